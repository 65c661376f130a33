"""Measures of a trained model: nats per token, calibration, and simpler models to compare with.

Begin with evaluate.py. The room knows a network and integers, and neither text nor music.
"""
