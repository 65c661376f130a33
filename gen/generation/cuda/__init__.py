"""Sampling on a CUDA device: blocks of steps and draws are captured as graphs, so that no token waits for Python.

`gen.generation.generate` calls one function, `new_device_writer` of writer.py. drawing.py has filters and draw as torch
operations, streams.py the random numbers of each row, graph.py captures and replays.
"""
