"""Music on the grid of its metre, after REMI (Huang and Yang 2020): bars, positions, instruments, notes with lengths.

Begin with codec.py, then vocab.py for the tokens, layout.py for how a score falls on the grid, and decoder.py for how
tokens become notes again.
"""
