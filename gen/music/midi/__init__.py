"""Standard MIDI files: bytes to scores and back.

A file is read in three stages: chunks.py finds the tracks, events.py turns their bytes into arrays of events, rules.py
decides which note-on and note-off make a note. read.py runs the three and is where to begin; write.py goes the other
way.
"""
