"""Dropout and the decay of weights, by the number of times that a corpus will be read.

benchmarks/results/recipe.md and docs/lab-notes.md have the runs behind them.
"""

import math

MAX_DROPOUT = 0.5
# Readings up to which a model of `FEW_WEIGHTS` is best without dropout; a larger model learns a corpus by heart sooner.
FREE_READINGS, FEW_WEIGHTS = 9.0, 420_000
BY_READINGS = 0.25  # for twice the readings
BY_WEIGHTS = 0.09  # for twice the weights
VARIED = 4.0  # readings in variations, such as other keys, that count as one

DECAY, LITTLE_DECAY, DECAY_READINGS = 0.3, 0.01, 4.0  # the first from so many readings on


def choose_dropout(readings: float, num_weights: int, *, is_varied: bool) -> float:
    """Returns the rate of dropout, from 0 to `MAX_DROPOUT`.

    Args:
        readings: of the corpus, in the whole run.
        num_weights: of the model.
        is_varied: whether the corpus is read in variations.
    """
    effective = max(1.0, readings / VARIED if is_varied else readings)
    by_readings = BY_READINGS * math.log2(effective / FREE_READINGS)
    by_weights = BY_WEIGHTS * math.log2(num_weights / FEW_WEIGHTS)
    return round(min(MAX_DROPOUT, max(0.0, by_readings + by_weights)), 2)


def choose_weight_decay(readings: float) -> float:
    """Returns the share of the weights that a step takes off, divided by the rate of learning."""
    return DECAY if readings >= DECAY_READINGS else LITTLE_DECAY
