"""Screens of commands while they work: progress with the time left, and the curve of a run."""
