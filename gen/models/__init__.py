"""The networks: recurrent cells as equations, and the models that are made of them.

Begin with cells.py, the textbook: vanilla RNN, LSTM and GRU as equations, and the table of all cells. stack.py runs
layers of them, one way and both ways, in torch's fused modules and the kernels. recurrent.py is the language model over
a stack, classifier.py finds labels, tagger.py tags. sequence_model.py is what the trainer knows of all. stepper.py runs
the language model one token at a time, as sampling needs it; packed.py does so in torch operations. output_loss.py
saves memory and time for large vocabularies, transfer.py moves weights to a model of another vocabulary, device.py
chooses the device.
"""
