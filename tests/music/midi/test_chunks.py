"""The tracks of a MIDI file are found, also where its lengths are wrong."""

from pathlib import Path

import mido
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gen.errors import MidiError
from gen.music.midi.chunks import Chunks, find_chunks
from gen.music.midi.rules import (
    BYTES_AFTER_END,
    BYTES_BEFORE_HEADER,
    CHUNKS_SKIPPED,
    LENGTHS_WRONG,
    TRACKS_MISSING,
)
from tests.music.midi_bytes import hexdump, midi
from tests.music.mido_files import as_bytes, mido_files

ANYWHERE = Path("x.mid")
RUNNING = "00 90 3c 40"
END = "00 ff 2f 00"
HEADER = midi(promised=3)


def track(events: str, *, length: int | None = None) -> bytes:
    """Returns a chunk whose length may be wrong."""
    body = hexdump(events)
    return b"MTrk" + (len(body) if length is None else length).to_bytes(4) + body


def bodies(chunks: Chunks) -> list[str]:
    return [chunks.data[start:stop].hex(" ") for start, stop in chunks.tracks]


A, B, C = (f"00 90 {pitch} 40 {END}" for pitch in ("3c", "3e", "40"))


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (track(A) + track(B) + track(C), {}),
        (track(A, length=0xFFFFFFFF) + track(B) + track(C), {LENGTHS_WRONG: 1}),
        (track(A, length=20) + track(B) + track(C), {LENGTHS_WRONG: 1}),  # too long, yet within the file
        (track(A, length=3) + track(B) + track(C), {LENGTHS_WRONG: 1}),
        (track(A, length=0) + track(B, length=0xFFFFFFFF) + track(C), {LENGTHS_WRONG: 2}),
        (track(A) + track(B) + track(C, length=100), {LENGTHS_WRONG: 1}),
        (track(A) + track(B) + track(C, length=0), {LENGTHS_WRONG: 1}),
        (track(A) + track(B) + track(C, length=100) + bytes(9), {LENGTHS_WRONG: 1, BYTES_AFTER_END: 9}),
        (track(A) + bytes(3) + track(B) + track(C), {CHUNKS_SKIPPED: 1}),
        (track(A) + track(B) + track(C) + bytes(99), {BYTES_AFTER_END: 99}),
        (track(A) + b"XFIH\0\0\0\2ab" + track(B) + track(C), {CHUNKS_SKIPPED: 1}),
        (track(A) + b"XFIH\xff\xff\xff\xffab" + track(B) + track(C), {CHUNKS_SKIPPED: 1}),
        (track(A) + track(B) + track(C) + b"XFIH\xff\xff\xff\xffab", {BYTES_AFTER_END: 10}),
    ],
)
def test_tracks_are_found_whatever_the_lengths_say(data: bytes, found: dict[str, int]) -> None:
    chunks = find_chunks(ANYWHERE, HEADER + data)
    assert bodies(chunks) == [A, B, C]
    assert chunks.findings == found


def test_a_last_track_without_an_end_goes_to_the_end_of_the_file() -> None:
    chunks = find_chunks(ANYWHERE, HEADER + track(A) + track(RUNNING, length=9))
    assert bodies(chunks) == [A, RUNNING]
    assert chunks.findings == {LENGTHS_WRONG: 1, TRACKS_MISSING: 1}


@given(file=mido_files(), length=st.integers(0, 2**32 - 1), part=st.floats(0, 1, exclude_max=True))
def test_a_wrong_length_loses_no_track_that_another_follows(file: mido.MidiFile, length: int, part: float) -> None:
    data = as_bytes(file)
    places = [start - 8 for start, _ in find_chunks(ANYWHERE, data).tracks]
    place = places[int(part * len(places))]
    wrong = data[: place + 4] + length.to_bytes(4) + data[place + 8 :]
    stop = place + 8 + length
    assume(stop > len(data) or not (data[stop : stop + 4].isascii() or data.endswith(b"\xff\x2f\x00", place, stop)))
    assert find_chunks(ANYWHERE, wrong).tracks == find_chunks(ANYWHERE, data).tracks


def riff(data: bytes, *, before: bytes = b"", after: bytes = b"", size: int | None = None) -> bytes:
    padded = data + b"\0" * (len(data) % 2)
    body = b"RMID" + before + b"data" + (len(data) if size is None else size).to_bytes(4, "little") + padded + after
    return b"RIFF" + len(body).to_bytes(4, "little") + body


INFO = b"INFO" + (3).to_bytes(4, "little") + b"abc\0"
ODD = midi(RUNNING + "00 c0 05")


@pytest.mark.parametrize("data", [midi(RUNNING), ODD])
@pytest.mark.parametrize("before", [b"", INFO, INFO * 1000])
@pytest.mark.parametrize("after", [b"", INFO])
def test_an_rmid_file_is_the_midi_file_in_it(data: bytes, before: bytes, after: bytes) -> None:
    assert find_chunks(ANYWHERE, riff(data, before=before, after=after)) == find_chunks(ANYWHERE, data)


@pytest.mark.parametrize("length", [0, 7, 0xFFFFFFFF])
def test_a_wrong_length_of_an_rmid_file_does_no_harm(length: int) -> None:
    data = riff(midi(RUNNING))
    wrong = data[:4] + length.to_bytes(4, "little") + data[8:]
    assert find_chunks(ANYWHERE, wrong) == find_chunks(ANYWHERE, midi(RUNNING))


@pytest.mark.parametrize("size", [0, 5, 0xFFFFFFFF])
def test_a_wrong_length_within_an_rmid_file_does_no_harm(size: int) -> None:
    assert find_chunks(ANYWHERE, riff(midi(RUNNING), size=size)) == find_chunks(ANYWHERE, midi(RUNNING))


def test_an_odd_midi_file_in_an_rmid_file_may_lack_its_pad_byte() -> None:
    assert len(ODD) % 2
    assert find_chunks(ANYWHERE, riff(ODD)[:-1]) == find_chunks(ANYWHERE, ODD)


def test_an_rmid_file_without_midi_in_it_is_refused() -> None:
    with pytest.raises(MidiError, match="no MThd header"):
        find_chunks(ANYWHERE, riff(b"")[:12])


@pytest.mark.parametrize(("num_bytes", "is_read"), [(1, True), (128, True), (4000, True), (5000, False)])
def test_a_little_before_the_header_is_passed_over(num_bytes: int, is_read: bool) -> None:
    data = b"\xaa" * num_bytes + midi(RUNNING)
    if is_read:
        assert find_chunks(ANYWHERE, data).findings == {BYTES_BEFORE_HEADER: num_bytes}
    else:
        with pytest.raises(MidiError, match="no MThd header"):
            find_chunks(ANYWHERE, data)


def test_a_text_about_midi_is_no_midi() -> None:
    with pytest.raises(MidiError, match="no MThd header"):
        find_chunks(ANYWHERE, b"every file begins with MThd, then come tracks, MTrk")
