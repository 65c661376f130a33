import numpy as np
import pytest

from gen.errors import SettingError
from gen.music.keys import KEY_NAMES, estimated_keys, key_number, moved_key

MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11)
HARMONIC_MINOR_SCALE = (0, 2, 3, 5, 7, 8, 11)


def weights(*pitch_classes: int) -> np.ndarray:
    """Returns the (12,) durations of pitch classes in a piece in which each of the given ones sounds once."""
    return np.bincount(np.array(pitch_classes) % 12, minlength=12).astype(np.float64)[None]


def key_of(*pitch_classes: int) -> str:
    return KEY_NAMES[int(estimated_keys(weights(*pitch_classes))[0])]


@pytest.mark.parametrize("tonic", range(12))
def test_a_scale_that_dwells_on_its_triad_is_in_its_key(tonic: int) -> None:
    major = key_of(*(tonic + step for step in (*MAJOR_SCALE, 0, 4, 7, 0)))
    minor = key_of(*(tonic + step for step in (*HARMONIC_MINOR_SCALE, 0, 3, 7, 0)))
    assert (major, minor) == (KEY_NAMES[tonic], KEY_NAMES[12 + tonic])


def test_the_correlation_is_that_of_numpy() -> None:
    profiles = {  # Krumhansl and Kessler 1982, as numbers again
        0: [6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88],
        12: [6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17],
    }
    rng = np.random.default_rng(0)
    for row in rng.random((50, 12)):
        scores = [np.corrcoef(row, np.roll(profiles[mode], tonic))[0, 1] for mode in (0, 12) for tonic in range(12)]
        assert estimated_keys(row[None])[0] == np.argmax(scores)


def test_silence_has_no_key() -> None:
    assert estimated_keys(np.zeros((2, 12))).tolist() == [-1, -1]


@pytest.mark.parametrize(("name", "number"), [("C", 0), ("Bb", 10), ("A#", 10), ("Am", 21), ("Ebm", 15), ("F#m", 18)])
def test_a_key_is_known_by_its_name(name: str, number: int) -> None:
    assert key_number(name) == number


@pytest.mark.parametrize("name", ["", "H", "c", "Cmaj", "m", "C##"])
def test_what_is_no_key_is_an_error(name: str) -> None:
    with pytest.raises(SettingError, match="--key: no key"):
        key_number(name)


def test_a_key_moves_within_its_mode() -> None:
    assert [KEY_NAMES[moved_key(key_number(name), 6)] for name in ("C", "B", "Am", "F#m")] == ["F#", "F", "D#m", "Cm"]
    assert moved_key(key_number("Am"), -5) == key_number("Em")
