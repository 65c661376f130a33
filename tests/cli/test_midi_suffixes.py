"""Each suffix of MIDI files is trained on, taken as a primer, exported from and written to."""

from pathlib import Path

import pytest

from gen.music.midi.read import read_midi
from gen.music.midi.recognise import MIDI_SUFFIXES
from tests.cli.conftest import Gen

every_suffix = pytest.mark.parametrize("suffix", MIDI_SUFFIXES)


@pytest.fixture
def tune(gen: Gen, music_folder: Path, tmp_path: Path, suffix: str) -> Path:
    """A chorale as it is exported under a suffix."""
    path = tmp_path / f"tune{suffix}"
    assert gen("export", music_folder / "bwv2.6.mid", "--out", path).code == 0
    return path


@every_suffix
def test_a_file_of_any_suffix_holds_what_was_exported(tune: Path, music_folder: Path) -> None:
    assert read_midi(tune) == read_midi(music_folder / "bwv2.6.mid")
    assert (tune.read_bytes()[:4] == b"RIFF") == (tune.suffix == ".rmi")


@every_suffix
def test_a_corpus_of_any_suffix_is_music(gen: Gen, tune: Path) -> None:
    outcome = gen("corpus", tune, "--json")
    assert outcome.code == 0
    assert '"beat"' in outcome.out


@every_suffix
def test_a_primer_of_any_suffix_is_gone_on_from(gen: Gen, music_run: Path, music_folder: Path, tune: Path) -> None:
    arguments = ("sample", music_run, "--length", "20", "--seed", "0", "--prompt-file")
    assert gen(*arguments, tune).out == gen(*arguments, music_folder / "bwv2.6.mid").out


@every_suffix
def test_a_sample_is_written_to_any_suffix(gen: Gen, music_run: Path, suffix: str, tmp_path: Path) -> None:
    for path in (tmp_path / f"a{suffix}", tmp_path / "b.mid"):
        assert gen("sample", music_run, "--length", "200", "--seed", "0", "--out", path).code == 0
    assert read_midi(tmp_path / f"a{suffix}") == read_midi(tmp_path / "b.mid")


@every_suffix
def test_ids_are_exported_from_any_suffix_and_to_it(gen: Gen, tune: Path, tmp_path: Path) -> None:
    assert gen("export", tune, "--out", tmp_path / "a.json").code == 0
    assert gen("export", tmp_path / "a.json", "--out", tmp_path / f"b{tune.suffix}").code == 0
    assert gen("export", tmp_path / f"b{tune.suffix}", "--out", tmp_path / "b.json").code == 0
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


@every_suffix
def test_text_is_not_written_as_music(gen: Gen, text_run: Path, suffix: str, tmp_path: Path) -> None:
    outcome = gen("sample", text_run, "--length", "9", "--out", tmp_path / f"a{suffix}")
    assert outcome.code == 2
    assert f"text cannot be written as {suffix}" in outcome.err
