"""The measurements of `gen bench`: the speed of gen, compared with torch's own modules and the limits of the machine.

Begin with measure.py, which measures what plan.py describes. Contenders are functions that do some work and count it:
ours.py has those of gen, peer.py those of plain torch, limits.py those of the machine. stopwatch.py measures their
rates, counting.py counts arithmetic and bytes per token, report.py holds the figures.
"""
