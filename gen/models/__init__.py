"""The networks: recurrent cells as equations, and the language model that is made of them.

Begin with cells.py, the textbook: vanilla RNN, LSTM and GRU as equations, and the table of all cells. recurrent.py
stacks layers into a language model, which torch's fused modules and the kernels train. stepper.py runs the same weights
one token at a time, as sampling needs it; packed.py does so in torch operations. output_loss.py saves memory and time
for large vocabularies, transfer.py moves weights to a model of another vocabulary, device.py chooses the device.
"""
