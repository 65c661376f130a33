"""Inspection of a trained network: gates and states token by token, units that follow a feature, units that are held.

Begin with gates.py. The room knows a network, integers and named arrays, and neither text nor music.
"""
