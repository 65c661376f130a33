"""Music without tokens: scores, metre, keys and excerpts.

Begin with score.py, whose Note, Track and Score all other rooms hand on. midi/ turns files into scores and back, views/
shows a score as a picture, in the terminal, as a page and as sound. Nothing here knows what a token is.
"""
