"""Features of music in time, worked out by hand."""

import numpy as np
import pytest

from gen.codecs.performance.codec import PerformanceCodec
from gen.music.score import Note, Score, Tempo, Track

SYMBOLS = ("Velocity_16", "NoteOn_60", "TimeShift_50", "NoteOn_64", "TimeShift_100", "NoteOff_60", "TimeShift_100",
           "Velocity_20", "NoteOn_72", "NoteOff_64")  # fmt: skip


def features() -> dict[str, list[float]]:
    codec = PerformanceCodec()
    ids = np.array([codec.vocab.index[symbol] for symbol in SYMBOLS], np.uint16)
    return {name: values.tolist() for name, values in codec.features(ids).items()}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("position in the piece", [0, 0, 0.5, 0.5, 1.5, 1.5, 2.5, 2.5, 2.5, 2.5]),
        ("time since the last note", [0, 0, 0.5, 0, 1, 1, 2, 2, 0, 0]),
        ("notes sounding", [0, 1, 1, 2, 2, 1, 1, 1, 2, 1]),
        ("density", [0, 1, 1, 2, 2, 2, 0, 0, 1, 1]),
        ("register", [0, 60, 60, 64, 64, 64, 64, 64, 72, 72]),
        ("loudness", [16, 16, 16, 16, 16, 16, 16, 20, 20, 20]),
    ],
)
def test_a_feature_is_that_worked_out_by_hand(name: str, expected: list[float]) -> None:
    assert features()[name] == pytest.approx(expected)


def test_a_scale_of_g_major_is_in_g_after_it() -> None:
    pitches = [55, 57, 59, 60, 62, 64, 66, 67] * 4 + [55, 59, 62, 67]
    notes = tuple(Note(500 * number, 400, pitch, 64) for number, pitch in enumerate(pitches))
    codec = PerformanceCodec()
    found = codec.features(codec.encode(Score((Track(notes),), 500, tempos=(Tempo(0, 500_000),))))
    assert found["key G"][-1] == 1
    assert found["minor key"][-1] == 0
