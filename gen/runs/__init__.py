"""Runs: the room that binds codec, data, model and trainer, and keeps them in files.

Begin with run.py, a trained run that writes and is measured, classifier.py, one that finds labels, tagger.py, one that
tags words, and session.py, a run that is being trained. opening.py opens a session from options, tasks/ says what
depends on its task; prepared.py holds its corpus. files.py writes the files of a run, header.py holds the typed header
of its checkpoints, and checkpoint.py reads and writes them as safetensors.
"""
