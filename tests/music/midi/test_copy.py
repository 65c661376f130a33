"""Copies of MIDI files, compared event by event through mido."""

import tempfile
from collections import Counter
from pathlib import Path

import mido
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gen.errors import MidiError
from gen.music.midi.copy import copy_midi
from gen.music.midi.read import read_midi
from gen.music.midi.rules import LENGTH_0, WITHOUT_END
from tests.music.midi_bytes import midi, saved
from tests.music.mido_files import as_bytes, mido_files, routed_files, with_ticks

NOTE = "00 90 3c 40  60 80 3c 00"


def messages(path: Path) -> list[list[tuple[int, list[int]]]]:
    """Returns the tick and the bytes of every event of every track."""
    return [[(tick, message.bytes()) for tick, message in with_ticks(track)] for track in mido.MidiFile(path).tracks]


def check_copy(path: Path, folder: Path) -> Counter[str]:
    """Copies a file and compares the two; notes without a note-off may gain one."""
    mended = copy_midi(path, folder / "copy.mid")
    before, after = mido.MidiFile(path), mido.MidiFile(folder / "copy.mid")
    assert (before.type, before.ticks_per_beat) == (after.type, after.ticks_per_beat)
    if mended[WITHOUT_END]:
        for left, right in zip(messages(path), messages(folder / "copy.mid"), strict=True):
            assert not Counter(map(str, left[:-1])) - Counter(map(str, right))
    else:
        assert messages(path) == messages(folder / "copy.mid")
    assert read_midi(folder / "copy.mid")[0] == read_midi(path)[0]
    return mended


@given(file=st.one_of(mido_files(), routed_files()))
@settings(max_examples=300)
def test_every_event_is_kept(file: mido.MidiFile) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = saved(Path(folder), as_bytes(file))
        try:
            read_midi(path)
        except MidiError:
            return
        check_copy(path, Path(folder))


def test_real_files_are_kept_event_by_event(shared_data: Path, tmp_path: Path) -> None:
    paths = sorted((shared_data / "midi").rglob("*.mid"))[60::160]
    assert len(paths) > 20
    for path in paths:
        assert not check_copy(path, tmp_path)


def test_time_in_frames_stays_so(tmp_path: Path) -> None:
    path = saved(tmp_path, midi("00 ff 51 03 07 a1 20" + NOTE, division=0xE728))
    copy_midi(path, tmp_path / "copy.mid")
    assert (tmp_path / "copy.mid").read_bytes()[12:14] == b"\xe7\x28"
    assert read_midi(tmp_path / "copy.mid") == read_midi(path)


def test_notes_of_length_0_stay_as_they_are(tmp_path: Path) -> None:
    path = saved(tmp_path, midi("00 99 24 40  00 89 24 00"))
    assert not copy_midi(path, tmp_path / "copy.mid")
    assert messages(tmp_path / "copy.mid") == messages(path)
    assert read_midi(tmp_path / "copy.mid")[1] == {LENGTH_0: 1}


DAMAGED = {
    "a track cut short": midi(NOTE)[:-7],
    "a data byte over 127": midi("00 90 bc 40  60 80 bc 00"),
    "a tempo of 0": midi("00 ff 51 03 00 00 00" + NOTE),
    "an impossible key": midi("00 ff 59 02 09 00" + NOTE),
    "a short tempo": midi("00 ff 51 01 07" + NOTE),
    "an unknown chunk": midi(NOTE)[:14] + b"XFIH\0\0\0\2ab" + midi(NOTE)[14:],
    "bytes after the end": midi(NOTE) + b"abc",
    "a track that is missing": midi(NOTE, promised=2),
    "a note without an end": midi("00 90 3c 40"),
    "a wrong length": midi(NOTE)[:18] + b"\0\0\0\1" + midi(NOTE)[22:],
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_file_is_written_mended(tmp_path: Path, damage: str) -> None:
    path = saved(tmp_path, DAMAGED[damage])
    assert copy_midi(path, tmp_path / "copy.mid")
    assert read_midi(tmp_path / "copy.mid") == (read_midi(path)[0], {})
    assert mido.MidiFile(tmp_path / "copy.mid").tracks


def test_a_note_without_an_end_gets_one_before_it_is_struck_again(tmp_path: Path) -> None:
    path = saved(tmp_path, midi("00 90 3c 40  10 90 3c 41  10 ff 2f 00"))
    copy_midi(path, tmp_path / "copy.mid")
    track = mido.MidiFile(tmp_path / "copy.mid").tracks[0]
    assert [(tick, m.type) for tick, m in with_ticks(track)] == [
        (0, "note_on"),
        (16, "note_off"),
        (16, "note_on"),
        (32, "note_off"),
        (32, "end_of_track"),
    ]


def test_a_file_of_patterns_keeps_them_all(tmp_path: Path) -> None:
    assert not copy_midi(saved(tmp_path, midi(NOTE, "00 c0 05" + NOTE, kind=2)), tmp_path / "copy.mid")
    assert len(mido.MidiFile(tmp_path / "copy.mid").tracks) == 2


def test_type_0_with_several_tracks_becomes_type_1(tmp_path: Path) -> None:
    copy_midi(saved(tmp_path, midi(NOTE, NOTE, kind=0)), tmp_path / "copy.mid")
    assert mido.MidiFile(tmp_path / "copy.mid").type == 1


def test_a_file_in_a_riff_becomes_a_plain_one(tmp_path: Path) -> None:
    inner = midi(NOTE)
    size = len(inner).to_bytes(4, "little")
    path = saved(tmp_path, b"RIFF" + (len(inner) + 12).to_bytes(4, "little") + b"RMIDdata" + size + inner)
    copy_midi(path, tmp_path / "copy.mid")
    assert (tmp_path / "copy.mid").read_bytes() == inner


def test_what_cannot_be_read_is_not_copied(tmp_path: Path) -> None:
    with pytest.raises(MidiError, match="no notes"):
        copy_midi(saved(tmp_path, midi("00 c0 05")), tmp_path / "copy.mid")
    assert not (tmp_path / "copy.mid").exists()


def test_a_pause_that_midi_cannot_say_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MidiError, match="too long without an event"):
        copy_midi(saved(tmp_path, midi("81 80 80 80 00 90 3c 40", division=0x7FFF)), tmp_path / "copy.mid")
