"""The reader of MIDI files, compared with a naive reader of mido's messages, and run on random bytes."""

import tempfile
from collections import Counter
from itertools import chain
from pathlib import Path

import mido
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gen.codecs.performance.codec import PerformanceCodec
from gen.errors import MidiError
from gen.music.midi.read import may_have_pitched_notes, read_midi
from gen.music.midi.rules import STRAY_OFFS, WITHOUT_END
from gen.music.score import Score
from tests.music.midi_bytes import midi, saved
from tests.music.mido_files import Sounded, as_bytes, exact_seconds, mido_files, read_reference, routed_files


def sounded(score: Score) -> Counter[Sounded]:
    return Counter(
        Sounded(track.is_drum, track.program, track.name, *note) for track in score.tracks for note in track.notes
    )


def check_against_mido(path: Path) -> None:
    """Compares the two readings of a file; a file without notes must be refused."""
    expected = read_reference(path)
    if not expected.notes:
        with pytest.raises(MidiError, match="no notes"):
            read_midi(path)
        return
    score, findings = read_midi(path)
    assert sounded(score) == expected.notes
    assert list(score.tempos) == expected.tempos
    assert list(score.time_signatures) == expected.times
    assert list(score.key_signatures) == expected.keys
    assert (findings[STRAY_OFFS], findings[WITHOUT_END]) == (expected.num_stray, expected.num_without_end)


@given(file=mido_files())
@settings(max_examples=200)
def test_notes_and_signatures_are_those_that_mido_wrote(file: mido.MidiFile) -> None:
    with tempfile.TemporaryDirectory() as folder:
        check_against_mido(saved(Path(folder), as_bytes(file)))


@given(file=routed_files())
@settings(max_examples=400)
def test_ports_programs_and_drums_are_those_of_a_naive_reader(file: mido.MidiFile) -> None:
    with tempfile.TemporaryDirectory() as folder:
        check_against_mido(saved(Path(folder), as_bytes(file)))


def test_real_files_hold_the_notes_that_mido_finds(shared_data: Path) -> None:
    paths = sorted((shared_data / "midi").rglob("*.mid"))[40::160]
    assert len(paths) > 20
    for path in paths:
        check_against_mido(path)


@given(file=mido_files(), ticks=st.lists(st.integers(0, 400_000), min_size=1))
def test_ticks_sound_when_exact_arithmetic_says(file: mido.MidiFile, ticks: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = saved(Path(folder), as_bytes(file))
        tempos, has_notes = read_reference(path).tempos, bool(read_reference(path).notes)
        if has_notes:
            seconds = read_midi(path)[0].seconds(ticks)
            exact = [float(exact_seconds(tick, tempos, file.ticks_per_beat)) for tick in ticks]
            assert seconds.tolist() == pytest.approx(exact, rel=1e-14)  # a rounding or two of float64


@given(file=mido_files())
def test_onsets_in_seconds_are_those_of_a_player(file: mido.MidiFile) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = saved(Path(folder), as_bytes(file))
        played, now = [], 0.0
        for message in mido.MidiFile(path):
            now += message.time
            if message.type == "note_on" and message.velocity > 0:
                played.append(now)
        if played:
            score, _ = read_midi(path)
            onsets = [score.seconds(track.columns[0]).tolist() for track in score.tracks]
            assert sorted(chain.from_iterable(onsets)) == pytest.approx(played, abs=1e-6)  # mido adds up rounded times


edits = st.tuples(
    st.sampled_from(("set", "length", "delete", "insert", "repeat", "cut")),
    st.floats(0, 1, exclude_max=True),  # where, as a part of the file
    st.binary(min_size=4, max_size=4),
    st.integers(1, 12),
)


def mutated(data: bytes, changes: list[tuple[str, float, bytes, int]]) -> bytes:
    """Returns the data with random damage."""
    result = bytearray(data)
    for kind, part, value, size in changes:
        place = int(part * len(result))
        if kind == "set":
            result[place : place + 1] = value[:1]
        elif kind == "length":  # what a length of four bytes may become
            result[place : place + 4] = value
        elif kind == "delete":
            del result[place : place + size]
        elif kind == "insert":
            result[place:place] = value * size
        elif kind == "repeat":
            result[place:place] = result[place : place + size]
        else:
            del result[place:]
    return bytes(result)


def check_read_or_refused(data: bytes) -> None:
    """Reads arbitrary bytes; they may cause nothing but a refusal in one line."""
    with tempfile.TemporaryDirectory() as folder:
        path = saved(Path(folder), data)
        score, refusal = None, f"{path}: "
        try:
            score, _ = read_midi(path)
        except MidiError as err:
            refusal = str(err)
        assert refusal.startswith(f"{path}: ")
        assert refusal.isprintable()
        if score is None:
            return
        assert score.num_notes > 0
        has_pitched = any(not track.is_drum for track in score.tracks)
        assert may_have_pitched_notes(path) or not has_pitched
        (part,) = PerformanceCodec(is_drums=not has_pitched).encode_file(path)
        assert part.findings["notes"] > 0


@given(file=mido_files(), changes=st.lists(edits, min_size=1, max_size=4))
@settings(max_examples=500)
def test_a_damaged_file_is_read_or_refused(file: mido.MidiFile, changes: list[tuple[str, float, bytes, int]]) -> None:
    check_read_or_refused(mutated(as_bytes(file), changes))


@given(events=st.binary(max_size=200), division=st.integers(0, 0xFFFF), kind=st.integers(0, 3))
@settings(max_examples=500)
def test_a_track_of_random_bytes_is_read_or_refused(events: bytes, division: int, kind: int) -> None:
    check_read_or_refused(midi(events.hex(), kind=kind, division=division))


@given(data=st.binary(max_size=100))
@example(data=b"")
@example(data=b"RIFF\xff\xff\xff\xffRMID")
@example(data=b"RIFF\xff\xff\xff\xffRMIDdata\xff\xff\xff\xff")
@example(data=b"MThd\0\0\0\6\0\1\0\1\1\xe0")
def test_random_bytes_are_refused(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.raises(MidiError):
        read_midi(saved(Path(folder), data))


def test_damaged_real_files_are_read_or_refused(shared_data: Path) -> None:
    path = min((shared_data / "midi" / "nottingham").rglob("*.mid"))
    data = path.read_bytes()
    for place in range(0, len(data), max(1, len(data) // 400)):
        check_read_or_refused(mutated(data, [("set", place / len(data), b"\xff\x00\x00\x00", 1)]))
