"""The part of the recipe that is for GPUs, which read a usual corpus more often in a minute than is worth the while.

On an H200 two layers of 1,024 units, 128 rows and a dropout of 0.5 were the best of eleven settings that read Tiny
Shakespeare 12 to 40 times, and after 24 readings better than one layer after 40 (docs/lab-notes.md). Other corpora and
GPUs were not tried.
"""

from typing import Any

from gen.training.dropout import VARIED

USEFUL_READINGS = 24.0  # of a corpus; more gained nothing
NUM_LAYERS = 2


def useful_readings(*, is_varied: bool) -> float:
    """Returns how many readings of a corpus are worth their time."""
    return USEFUL_READINGS * (VARIED if is_varied else 1.0)


def choices_for_many_readings(readings: float, *, is_varied: bool) -> dict[str, tuple[Any, str]]:
    """Returns settings with the reasons for them.

    Args:
        readings: that one layer would get through in the time of the run, which is its only limit.
        is_varied: whether the corpus is read in variations.
    """
    most = useful_readings(is_varied=is_varied)
    if readings < most:
        return {}
    return {
        "num_layers": (NUM_LAYERS, f"the time is enough for {readings:,.0f} readings by one"),
        "epochs": (most, "more readings would gain nothing"),
    }
