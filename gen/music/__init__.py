"""Music without tokens: scores, metre, keys, pedals, primers and continuations.

Begin with score.py: its Note, Track and Score are the types that all other packages use for music. midi/ converts files
to scores and back; views/ shows scores as pictures, in the terminal and as sound. Nothing here knows tokens or models.
"""
