"""Views of a score: a picture, a piano roll in the terminal, a page of notes, and sound.

Each module takes a Score, or notes as they come, and knows nothing of models or tokens. Begin with picture.py.
"""
