"""The preparation of a corpus: from files to token ids on disk.

Begin with prepare.py. sources.py finds the files, file_kinds.py distinguishes texts from MIDI files, encoding.py reads
and encodes them, workers.py encodes MIDI files in several processes with limits of time and memory. The result is a
gen.data.store.Store in the cache. Apart from that, round_trip.py measures the losses of music codecs.
"""
