"""Token ids on disk and the order in which they are read: integers only.

store.py is where to begin: one memory-mapped array of ids with the start of each document. split.py divides it into
training, validation and test; epoch.py orders an epoch; batches.py cuts it into windows for the trainer.
"""
