"""Measurements of this machine: the program beside torch's own modules and beside the machine's limits.

Begin with plan.py, which lists what `gen bench` measures, then measure.py.
"""
