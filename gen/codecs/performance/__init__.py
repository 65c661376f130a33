"""Music as events in time, after Performance RNN (Oore et al. 2018): notes on and off, steps of 10 ms.

Begin with codec.py, then vocab.py for the tokens and decoder.py for how they become notes again.
"""
