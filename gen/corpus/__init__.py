"""From the files of a corpus to token ids on disk.

Begin with prepare.py: sources.py finds the files, kinds.py tells text from MIDI, passes.py reads and encodes them,
workers.py does so in several processes within limits. What comes out is a gen.data.store.Store, kept in the cache.
"""
