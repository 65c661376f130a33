"""The rate of dropout by the number of times that a corpus will be read."""

import math

MAX_DROPOUT = 0.5


def choose_dropout(readings: float) -> float:
    """Returns the rate of dropout, from 0 to `MAX_DROPOUT`."""
    rate = 0.25 * math.log2(max(readings, 1.0) / 5)
    return round(min(MAX_DROPOUT, max(0.0, rate)), 2)
