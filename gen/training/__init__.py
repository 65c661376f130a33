"""Training: the recipe, the optimizer and the loop of truncated back-propagation through time.

Begin with trainer.py: one window of every row, forward, backward, an update. recipe.py chooses what the user did not
say; distributed.py shares the rows of a batch among several processes.
"""
