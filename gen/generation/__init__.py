"""Sampling: from logits to one drawn token, and the loop that feeds it back.

Begin with sampling.py, which draws a token from logits, then generate.py, the loop as a generator. guidance.py leans
samples towards controls, stop.py ends a text before a string, cuda/ holds the same loop as CUDA graphs.
"""
