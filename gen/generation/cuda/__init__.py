"""Sampling on a CUDA device: blocks of steps and draws are captured as graphs, so that no token waits for Python.

`gen.generation.generate` calls one function, `new_device_writer` of writer.py; its writer draws the tokens that one
step after the other would draw. drawing.py has filters and draw as torch operations, graph.py captures and replays.
"""
