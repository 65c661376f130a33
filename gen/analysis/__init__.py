"""Measures of a trained model: nats per token, right labels, calibration, and simpler models to compare with.

Begin with evaluate.py, for labels with classification.py, and for tags with tag_scores.py. The room knows a network and
integers, and neither text nor music.
"""
