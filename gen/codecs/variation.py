"""Augmentation of music: tables from ids to ids, drawn once a segment and an epoch.

Oore et al. 2018 transpose their training data and stretch it by up to 5 %; here loudness changes too. No value leaves
the range of the corpus, and ascending ids stay ascending, so that a varied segment is one that the encoder could have
written.

A model that learns music equally in all keys would also write equally in all keys, unlike its corpus. So a part of the
segments is read unchanged, and the others are tagged (Caswell, Chelba & Grangier 2019, "Tagged Back-Translation"): the
tag is an input at every token (`RecurrentLM.initial_state`), since the model forgets a tag that only opens a segment.
The last epochs of a run, too, are read unchanged (gen.training.trainer).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gen.codec import BoolArray, IdArray

MIN_TRANSPOSITION: Final = -5  # semitones; up to 6: each of the twelve keys once
MAX_TRANSPOSITION: Final = 6
MAX_VELOCITY_CHANGE: Final = 2  # levels of 4 MIDI velocities
MAX_STRETCH: Final = 0.05
UNCHANGED_SHARE: Final = 0.25  # of the segments


def present(ids: IdArray, vocab_size: int) -> BoolArray:
    """Returns (V,) True for each id that is among (N,) ids."""
    is_present = np.zeros(vocab_size, dtype=np.bool_)
    is_present[ids] = True
    return is_present


def drawn_shift(
    is_used: BoolArray, rng: np.random.Generator, *, least: int, most: int, lowest: int, highest: int
) -> int:
    """Draws by how much the used ones of (N,) values are moved, so that all stay within lowest to highest.

    Args:
        is_used: True for those of the values 0 to N - 1 that a segment has.
        least, most: the range of the shift, which is uniform.
    """
    used = np.flatnonzero(is_used)
    if len(used):
        least = max(least, lowest - int(used[0]))
        most = min(most, highest - int(used[-1]))
    # A segment that is beyond the range already, which is that of a part of the corpus, stays unmoved.
    return int(rng.integers(least, most + 1)) if least <= 0 <= most else 0


def move_(table: NDArray[np.int64], first: int, count: int, shift: int) -> None:
    """Makes a table map `count` ids from `first` on to those `shift` further; after the last comes the first."""
    table[first : first + count] = first + (np.arange(count) + shift) % count
