"""Features of music in bars, worked out by hand."""

import numpy as np
import pytest

from gen.codecs.beat.codec import BeatCodec

SYMBOLS = ("Bar", "Position_0", "Program_33", "Velocity_12", "Pitch_43", "Duration_24", "Position_30", "Pitch_45",
           "Duration_6", "Drum_36", "Bar", "Position_24", "Pitch_48", "Duration_6")  # fmt: skip


def features() -> dict[str, list[float]]:
    codec = BeatCodec()
    ids = np.array([codec.vocab.index[symbol] for symbol in SYMBOLS], np.uint16)
    return {name: values.tolist() for name, values in codec.features(ids).items()}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("position in the bar", [0] * 6 + [1.25] * 4 + [0, 1, 1, 1]),
        ("position in the beat", [0] * 6 + [0.25] * 4 + [0, 0, 0, 0]),
        ("first beat", [1] * 6 + [0] * 4 + [1, 0, 0, 0]),
        ("position in the piece", [1] * 10 + [2] * 4),
        ("bar of four", [0] * 10 + [1] * 4),
        ("density", [0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 0, 0, 1, 1]),
        ("notes at this time", [0, 0, 0, 0, 1, 1, 0, 1, 1, 2, 0, 0, 1, 1]),
        ("register", [0, 0, 0, 0, 43, 43, 43, 45, 45, 45, 45, 45, 48, 48]),
        ("loudness", [0, 0, 0] + [12] * 11),
        ("program 33", [0, 0] + [1] * 7 + [0] * 5),
        ("drums", [0] * 9 + [1] * 5),
    ],
)
def test_a_feature_is_that_worked_out_by_hand(name: str, expected: list[float]) -> None:
    assert features()[name] == pytest.approx(expected)
