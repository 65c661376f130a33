"""The characters and notes that ids belong to, worked out by hand; the contract suite has what all codecs promise."""

import numpy as np
import pytest

from gen.codec import AnyCodec, IdArray
from gen.codecs.beat.codec import BeatCodec
from gen.codecs.performance.codec import PerformanceCodec
from gen.codecs.text.byte import ByteCodec
from gen.codecs.text.char import CharCodec


def ids_of(codec: AnyCodec, *symbols: str) -> IdArray:
    return np.array([codec.vocab.index[symbol] for symbol in symbols], np.uint16)


def owners(codec: AnyCodec, *symbols: str) -> list[int]:
    owned: list[int] = codec.pieces(ids_of(codec, *symbols)).owners.tolist()
    return owned


def test_a_character_owns_its_id() -> None:
    found = CharCodec.build("abc").pieces(np.array([2, 0, 0], np.uint8))
    assert (found.pieces, found.owners.tolist()) == (["c", "a", "a"], [0, 1, 2])


def test_a_character_owns_all_of_its_bytes() -> None:
    found = ByteCodec().pieces(np.frombuffer("a\u00e9\u8a69\U0001f40e".encode(), np.uint8))
    assert found.pieces == ["a", "\u00e9", "\u8a69", "\U0001f40e"]
    assert found.owners.tolist() == [0, 1, 1, 2, 2, 2, 3, 3, 3, 3]


@pytest.mark.parametrize(
    ("raw", "pieces", "owned"),
    [(b"\xa9a", ["\ufffd", "a"], [0, 1]), (b"a\xc3", ["a", "\ufffd"], [0, 1]), (b"\xc3a", ["\ufffda"], [0, 0])],
)
def test_bytes_that_are_no_character_have_a_mark(raw: bytes, pieces: list[str], owned: list[int]) -> None:
    found = ByteCodec().pieces(np.frombuffer(raw, np.uint8))
    assert (found.pieces, found.owners.tolist()) == (pieces, owned)


def test_time_and_velocity_belong_to_the_note_that_they_lead_to_or_end() -> None:
    symbols = ("Velocity_20", "NoteOn_60", "TimeShift_50", "NoteOn_64", "TimeShift_50", "NoteOff_60", "NoteOff_64")
    assert owners(PerformanceCodec(), *symbols, "TimeShift_9") == [0, 0, 1, 1, 0, 0, 1, -1]


def test_the_notes_of_a_performance_are_in_the_order_of_their_beginnings() -> None:
    codec = PerformanceCodec()
    ids = ids_of(codec, "NoteOn_64", "NoteOn_60", "TimeShift_100", "NoteOff_60", "TimeShift_100", "NoteOff_64")
    assert [(note.pitch, note.duration_seconds) for note in codec.pieces(ids).pieces] == [(64, 2.0), (60, 1.0)]


def test_ids_of_notes_that_began_before_a_part_belong_to_none() -> None:
    assert owners(PerformanceCodec(), "TimeShift_5", "NoteOff_60", "NoteOff_61") == [-1, -1, -1]
    assert owners(BeatCodec(), "Duration_5", "Pitch_60", "Duration_2") == [0, 0, 0]


def test_all_that_leads_to_a_note_of_the_beat_belongs_to_it() -> None:
    first = ("Bar", "TimeSignature_3/4", "Tempo_120", "Position_0", "Program_0", "Velocity_16", "Pitch_60")
    rest = ("Duration_96", "Duration_12", "Pitch_64", "Duration_24", "Position_24", "Velocity_9", "Drum_36", "Bar")
    assert owners(BeatCodec(), *first, *rest) == [0] * 9 + [1] * 2 + [2] * 3 + [-1]


@pytest.mark.parametrize("codec", [PerformanceCodec(control_names=("density",)), BeatCodec(control_names=("density",))])
def test_a_control_belongs_to_no_note(codec: AnyCodec) -> None:
    control = next(symbol for symbol in codec.vocab.symbols if symbol.startswith("Density"))
    note = ("NoteOn_60",) if codec.name == "performance" else ("Position_0", "Pitch_60")
    assert owners(codec, control, *note) == [-1] + [0] * len(note)
