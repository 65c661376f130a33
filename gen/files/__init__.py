"""Files of any contents: whole or absent, locked, compressed, and pictures.

Begin with disk.py: every file of the package is written through it.
"""
