import sys
from pathlib import Path

import pytest

from gen.errors import SettingError
from gen.music.pianoroll import write_pianoroll
from gen.music.score import Note, Score, Track

A_SCORE = Score((Track((Note(0, 480, 60, 64), Note(480, 480, 64, 100))), Track((Note(0, 960, 48, 30),))))


@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml")])
def test_a_picture_of_the_kind_of_its_suffix_is_written(tmp_path: Path, suffix: str, start: bytes) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / f"x{suffix}"
    write_pianoroll(path, A_SCORE)
    assert path.read_bytes().startswith(start)


def test_equal_scores_give_equal_pictures(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for name in ("a.svg", "b.svg"):
        write_pianoroll(tmp_path / name, A_SCORE)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_a_score_without_notes_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    write_pianoroll(tmp_path / "x.png", Score((Track(()),)))
    assert (tmp_path / "x.png").exists()


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"unknown kind of picture \(.gif\)"):
        write_pianoroll(tmp_path / "x.gif", A_SCORE)


def test_without_matplotlib_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(SettingError, match="needs matplotlib") as error:
        write_pianoroll(tmp_path / "x.png", A_SCORE)
    assert error.value.hint == 'pip install "gen-rnn[plots]"'
