"""The networks: cells as equations, and the recurrent language model made of them.

Begin with cells.py, the textbook: vanilla RNN, LSTM and GRU as equations. recurrent.py stacks them into a language
model that torch's fused kernels train; stepper.py runs the same weights one token at a time, as sampling needs it.
"""
