"""Runs: what binds codec, data, model and trainer, and keeps them in files.

Begin with run.py, a trained run that writes and is measured, and session.py, a run that is being trained. opening.py
makes a session out of options, prepared.py is its corpus, checkpoint.py and header.py its files.
"""
