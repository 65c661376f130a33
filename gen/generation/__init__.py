"""Sampling: from logits to one drawn token, and the loop that feeds it back.

Begin with filters.py, one function for each filter. sampling.py applies them in their order and draws a token with the
row's own random numbers (uniforms.py). generate.py is the loop, as a generator. guidance.py makes samples lean towards
controls, prompt.py has the text or music that a sample continues, stop.py ends a text before a string. cuda/ runs the
loop as CUDA graphs on a GPU.
"""
