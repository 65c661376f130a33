"""Token ids on disk, and the order in which training reads them: integers only.

Begin with store.py: a store is a memory-mapped array of ids with the start of each document; store_writer.py makes it.
split.py divides it into training, validation and test, as tables of stretches (stretches.py). epoch.py orders the
training part for an epoch, and batches.py cuts it into windows for the trainer; passages.py does so for a classifier,
tagging.py for a tagger.
"""
