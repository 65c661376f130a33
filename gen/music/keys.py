"""Estimates the key of music from its pitch classes.

The algorithm of Krumhansl and Schmuckler (Krumhansl 1990, "Cognitive Foundations of Musical Pitch", chapter 4): the
time for which each pitch class sounds is correlated with the profiles that Krumhansl and Kessler 1982 ("Tracing the
Dynamic Changes in Perceived Tonal Organization in a Spatial Representation of Musical Keys") measured for a major and a
minor key, rotated to each tonic; the key is that of the highest correlation.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gen.errors import SettingError
from gen.music.score import NOTE_NAMES

KEY_NAMES: Final = (*NOTE_NAMES, *(f"{tonic}m" for tonic in NOTE_NAMES))
NUM_KEYS: Final = len(KEY_NAMES)
_SHARPS = {"Db": "C#", "Eb": "D#", "Gb": "F#", "Ab": "G#", "Bb": "A#", "Cb": "B", "Fb": "E", "E#": "F", "B#": "C"}

_MAJOR = np.array((6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88))
_MINOR = np.array((6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17))


def _standardised(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns rows of mean 0 and length 1; a row of equal numbers becomes zeros."""
    centred = rows - rows.mean(axis=-1, keepdims=True)
    lengths = np.sqrt((centred**2).sum(axis=-1, keepdims=True))
    return np.asarray(centred / np.where(lengths > 0, lengths, 1))


_PROFILES = _standardised(np.stack([np.roll(profile, tonic) for profile in (_MAJOR, _MINOR) for tonic in range(12)]))


def estimated_keys(weights: NDArray[np.float64]) -> NDArray[np.int64]:
    """Returns the (N,) indices in `KEY_NAMES` of the likeliest keys; -1 if nothing sounds.

    Args:
        weights: (N, 12) times for which the pitch classes sound, from C.
    """
    keys = np.argmax(_standardised(weights) @ _PROFILES.T, axis=-1)
    return np.where(weights.any(axis=-1), keys, -1)


def key_number(name: str) -> int:
    """Returns the index in `KEY_NAMES` of a key, which may be written with flats. Raises SettingError."""
    tonic, mode = (name[:-1], "m") if name.endswith("m") else (name, "")
    sharp = _SHARPS.get(tonic, tonic) + mode
    if sharp not in KEY_NAMES:
        raise SettingError(f"--key: no key ({name})", hint="a key is C, F#, Bb, or in minor Am, F#m, Bbm; or any")
    return KEY_NAMES.index(sharp)


def moved_key(key: int, semitones: int) -> int:
    """Returns the index in `KEY_NAMES` of a transposed key."""
    return key // 12 * 12 + (key + semitones) % 12
