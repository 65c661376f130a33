"""Music on the grid of its metre, after REMI (Huang and Yang 2020): bars, positions, instruments, notes with lengths.

Begin with codec.py, then vocab.py for the tokens, layout.py for a score on the grid of its metre, and decoder.py for
the way back from tokens to notes.
"""
