"""Sampling on a CUDA device: whole steps are captured as graphs, so that no token waits for Python.

Begin with writer.py, which replaces the loop of gen.generation.generate there and draws the same tokens.
"""
