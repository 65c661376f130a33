"""Views of a score: a picture, a piano roll in the terminal, and sound.

Begin with picture.py, which draws the systems that page.py arranges. terminal.py shows notes while they are made.
sound.py plays a score through a synthesiser, with the commands that gestures.py makes of its pedals, bends and
controllers. instruments.py names instruments and drums.
"""
