"""How a segment of music is read otherwise: tables from ids to ids, drawn once a segment and an epoch.

Oore et al. 2018 transpose what they train on and stretch it by up to 5 %; here louder and softer are added. Nothing
leaves the range that the corpus has, and what was written in order stays in order, so that what is read is what the
encoder would have written.

A model that learns music in all keys alike would also write in all keys alike, which its corpus does not. So a part of
the segments is read as it is, and what was varied is tagged (Caswell, Chelba & Grangier 2019, "Tagged
Back-Translation"): the model is told at every token (`RecurrentLM.initial_state`), since a tag that only opens a
segment is forgotten in the course of it. The last epochs of a run, too, are read as they are (gen.training.trainer).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gen.codec import BoolArray, IdArray

MIN_TRANSPOSITION: Final = -5  # semitones; up to 6: each of the twelve keys once
MAX_TRANSPOSITION: Final = 6
MAX_VELOCITY_CHANGE: Final = 2  # levels of 4 MIDI velocities
MAX_STRETCH: Final = 0.05
AS_IT_IS: Final = 0.25  # of the segments


def present(ids: IdArray, vocab_size: int) -> BoolArray:
    """Returns (V,) whether each id stands in (N,) ids."""
    is_present = np.zeros(vocab_size, dtype=np.bool_)
    is_present[ids] = True
    return is_present


def drawn_shift(
    is_used: BoolArray, rng: np.random.Generator, *, least: int, most: int, lowest: int, highest: int
) -> int:
    """Draws how far the used ones of (N,) values are moved, so that all stay within lowest to highest; 0 if none can.

    Args:
        is_used: which of the values 0 to N - 1 a segment has.
        least, most: the shifts that are drawn from, all equally likely.
    """
    used = np.flatnonzero(is_used)
    if len(used):
        least = max(least, lowest - int(used[0]))
        most = min(most, highest - int(used[-1]))
    # A segment beyond the range, of which the corpus that was looked at knows nothing, stays where it is.
    return int(rng.integers(least, most + 1)) if least <= 0 <= most else 0


def move_(table: NDArray[np.int64], first: int, count: int, shift: int) -> None:
    """Makes a table read `count` ids from `first` on as those `shift` further; past the last comes the first."""
    table[first : first + count] = first + (np.arange(count) + shift) % count
