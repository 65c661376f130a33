"""Measures of a trained model: nats per token, calibration, and simpler models to compare with.

Begin with evaluate.py. It knows a network and ids, and neither text nor music.
"""
