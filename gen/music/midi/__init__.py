"""Standard MIDI files: bytes to scores and back.

Begin with rules.py, which lists what is refused and what is repaired, then read.py. A file is read in four stages:
chunks.py finds the tracks, events.py reads their events into arrays, devices.py and parts.py find the channels and the
drums, voices.py pairs note-ons with note-offs (pairing.py) and builds tracks. write.py writes a score, copy.py copies a
file event by event. protocol.py holds the numbers of MIDI.
"""
