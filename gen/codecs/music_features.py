"""Arithmetic that the features of both codecs of music share."""

import numpy as np
from numpy.typing import NDArray

from gen.music.keys import KEY_NAMES, estimated_keys

NOTES_OF_A_KEY = 32  # the last ones, of which the key is estimated

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]


def as_floats(values: NDArray[np.generic]) -> Floats:
    """Returns numbers as features hold them."""
    return np.asarray(values, np.float32)


def latest(values: NDArray[np.int64], is_new: Bools) -> NDArray[np.int64]:
    """Returns for each of (N,) places the value at the last place where `is_new` holds; 0 before the first."""
    at = np.maximum.accumulate(np.where(is_new, np.arange(len(values)), -1))
    return np.where(at < 0, 0, values[at]) if len(values) else values


def since(is_start: Bools, counted: Bools) -> NDArray[np.int64]:
    """Returns how many of the counted places lie after the last start, up to each of (N,) places."""
    totals = np.cumsum(counted, dtype=np.int64)
    return np.asarray(totals - latest(totals, is_start))


def key_features(pitches: NDArray[np.int64], is_note: Bools) -> dict[str, Floats]:
    """Returns by name whether the music is in each key that it reaches, and in a minor key, after each of (N,) ids.

    The key is estimated from the last `NOTES_OF_A_KEY` notes.

    Args:
        pitches: (N,) of the notes among the ids; other entries are not read.
        is_note: (N,) true where a pitched note begins.
    """
    counts = np.cumsum(np.eye(12)[pitches[is_note] % 12], axis=0)
    counts[NOTES_OF_A_KEY:] -= counts[:-NOTES_OF_A_KEY].copy()
    keys = np.append(-1, estimated_keys(counts))[np.cumsum(is_note)]
    found = {f"key {KEY_NAMES[key]}": as_floats(keys == key) for key in np.unique(keys) if key >= 0}
    return found | {"minor key": as_floats(keys >= len(KEY_NAMES) // 2)} if found else {}
