"""MIDI files as they are written under each suffix; a RIFF is read by hand, what it holds by mido."""

import io
from collections.abc import Callable
from pathlib import Path

import mido
import pytest

from gen.music.midi.copy import copy_midi
from gen.music.midi.read import read_midi
from gen.music.midi.recognise import MIDI_SUFFIXES
from gen.music.midi.save import in_riff
from gen.music.midi.write import write_midi
from gen.music.score import Note, Score, Track
from tests.music.midi_bytes import hexdump, midi, saved
from tests.music.mido_files import with_ticks

NOTE = "00 90 3c 40  60 80 3c 00"
SCORE = Score((Track((Note(0, 96, 60, 64),)),), ticks_per_beat=480)


def written(path: Path) -> Path:
    write_midi(path, SCORE)
    return path


def copied(path: Path) -> Path:
    copy_midi(saved(path.parent, midi(NOTE)), path)
    return path


def payload(riff: bytes) -> bytes:
    """Returns the body of the one chunk of a RIFF file of the form RMID."""
    assert (riff[:4], riff[8:16]) == (b"RIFF", b"RMIDdata")
    assert int.from_bytes(riff[4:8], "little") == len(riff) - 8
    size = int.from_bytes(riff[16:20], "little")
    assert len(riff) == 20 + size + size % 2
    assert riff[20 + size :] == b"\0" * (size % 2)
    return riff[20 : 20 + size]


def test_a_riff_is_its_header_then_the_midi_file_padded_to_an_even_size() -> None:
    expected = hexdump("""
        52 49 46 46  10 00 00 00  52 4d 49 44   # RIFF, 16 bytes: RMID
        64 61 74 61  03 00 00 00                # data, 3 bytes
        61 62 63  00                            # abc, a pad byte
    """)
    assert in_riff(b"abc") == expected


@pytest.mark.parametrize("saved_to", [written, copied])
@pytest.mark.parametrize("suffix", [".rmi", ".RMI"])
def test_an_rmi_file_is_a_riff_that_holds_the_file_that_mid_would_be(
    saved_to: Callable[[Path], Path], suffix: str, tmp_path: Path
) -> None:
    inner = payload(saved_to(tmp_path / f"a{suffix}").read_bytes())
    assert inner == saved_to(tmp_path / "a.mid").read_bytes()
    notes = [
        (tick, message.type, message.note)
        for track in mido.MidiFile(file=io.BytesIO(inner)).tracks
        for tick, message in with_ticks(track)
        if message.type in ("note_on", "note_off")
    ]
    assert notes == [(0, "note_on", 60), (96, "note_off", 60)]


@pytest.mark.parametrize("saved_to", [written, copied])
@pytest.mark.parametrize("suffix", MIDI_SUFFIXES)
def test_a_file_of_any_suffix_is_read_back(saved_to: Callable[[Path], Path], suffix: str, tmp_path: Path) -> None:
    score, findings = read_midi(saved_to(tmp_path / f"a{suffix}"))
    assert score.tracks == SCORE.tracks
    assert not findings
