"""Which files are MIDI, by their names and their first bytes."""

import gzip
from pathlib import Path

import pytest

from gen.music.midi.recognise import MIDI_SUFFIXES, has_midi_suffix, is_midi
from tests.music.midi_bytes import midi

NOTE = "00 90 3c 40  60 80 3c 00"


@pytest.mark.parametrize("suffix", [*MIDI_SUFFIXES, ".MID", ".rmi.gz", ".kar.xz"])
def test_a_file_is_midi_by_its_name_whether_it_is_there_or_not(suffix: str, tmp_path: Path) -> None:
    assert has_midi_suffix(Path(f"folder.txt/x{suffix}"))
    assert is_midi(tmp_path / f"x{suffix}")


@pytest.mark.parametrize("data", [midi(NOTE), bytes(128) + midi(NOTE), gzip.compress(midi(NOTE)), b"RIFF\0\0\0\0RMID"])
def test_a_file_of_any_name_is_midi_by_its_first_bytes(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes(data)
    assert is_midi(tmp_path / "x.txt")


@pytest.mark.parametrize("data", [b"", b"a name is MThd", b"RIFF\0\0\0\0WAVE", bytes(5000) + midi(NOTE)])
def test_any_other_file_is_not_midi(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(data)
    assert not is_midi(tmp_path / "x.bin")
    assert not is_midi(tmp_path / "missing.bin")
