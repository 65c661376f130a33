"""Music as events in time, after Performance RNN (Oore et al. 2018): notes on and off, steps of 10 ms.

Begin with codec.py, then vocab.py for the tokens, layout.py for a score on the grid of time, and decoder.py for the way
back from tokens to notes.
"""
