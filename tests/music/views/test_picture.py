import struct
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from gen.errors import SettingError
from gen.music.score import Note, Score, Tempo, TimeSignature, Track
from gen.music.views.page import MAX_SYSTEMS, SYSTEM_INCHES, rule, systems
from gen.music.views.picture import write_pianoroll

BAR = 1920  # ticks of 4/4 at 480 a beat, 2 s

A_SCORE = Score((Track((Note(0, 480, 60, 64), Note(480, 480, 64, 100))), Track((Note(0, 960, 48, 30),))))


@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml")])
def test_a_picture_of_the_kind_of_its_suffix_is_written(tmp_path: Path, suffix: str, start: bytes) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / f"x{suffix}"
    write_pianoroll(path, A_SCORE)
    assert path.read_bytes().startswith(start)


def texts(path: Path, score: Score) -> list[str]:
    """Returns the texts in the picture of a score."""
    write_pianoroll(path / "x.svg", score)
    root = ET.parse(path / "x.svg").getroot()  # noqa: S314 - we wrote it
    return [text.text or "" for text in root.iter("{http://www.w3.org/2000/svg}text")]


def size(path: Path, score: Score) -> tuple[int, int]:
    """Returns the width and height of the picture of a score."""
    write_pianoroll(path / "x.png", score)
    width, height = struct.unpack(">II", (path / "x.png").read_bytes()[16:24])
    return width, height


def a_piece(*metres: TimeSignature, bars: int = 3) -> Score:
    return Score((Track((Note(0, bars * BAR, 60, 64),)),), 480, time_signatures=metres)


def test_bars_and_metres_are_written_above(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    shown = texts(tmp_path, a_piece(TimeSignature(0, 4, 4), TimeSignature(BAR, 3, 4)))
    assert [text for text in shown if text.isdigit() or "/" in text] == ["1", "4/4", "2", "3/4", "3", "4"]


def test_without_a_metre_seconds_are_written(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert [text for text in texts(tmp_path, a_piece()) if ":" in text] == [f"0:0{second}" for second in range(6)]


def test_several_tracks_have_a_legend_and_one_has_none(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    notes = (Note(0, BAR, 60, 64),)
    tracks = (
        Track(notes, 40),
        Track(notes, 40),
        Track(notes, 73, name="solo $x$"),
        Track((Note(0, 9, 42, 80),), 0, True),
    )
    shown = texts(tmp_path, Score(tracks))
    assert {"violin 1", "violin 2", "solo $x$ (flute)", "drums", "closed hi-hat"} <= set(shown)
    assert "violin" not in texts(tmp_path, Score((Track(notes, 40),)))


def test_drums_have_lanes_with_names_and_no_place_among_the_pitches(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    drums = Track((Note(0, 9, 36, 90), Note(480, 9, 42, 90)), is_drum=True)
    shown = texts(tmp_path, Score((drums,)))
    assert {"bass drum", "closed hi-hat"} <= set(shown)
    assert "C2" not in shown


def test_a_long_piece_has_many_systems_of_one_width(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    metre = TimeSignature(0, 4, 4)
    (short, low), (long, high) = size(tmp_path, a_piece(metre, bars=16)), size(tmp_path, a_piece(metre, bars=96))
    assert long <= short * 1.6
    assert high > 3 * low


def test_ten_hours_fit_on_a_page() -> None:
    score = a_piece(TimeSignature(0, 4, 4), bars=18_000)
    ruling = rule(score)
    lines = systems(score, ruling, top=0, height=1)
    assert len(lines) <= MAX_SYSTEMS
    assert max((line.stop - line.start) * line.scale for line in lines) == pytest.approx(SYSTEM_INCHES)


@pytest.mark.parametrize("bars", [1, 2, 7, 12, 33, 100])
def test_systems_cover_the_piece_and_break_at_bars(bars: int) -> None:
    score = a_piece(TimeSignature(0, 4, 4), bars=bars)
    lines = systems(score, rule(score), top=0, height=1)
    edges = [line.start for line in lines] + [lines[-1].stop]
    assert edges[0] == 0
    assert edges[-1] == bars * BAR
    assert [line.stop for line in lines] == edges[1:]
    assert all(edge % BAR == 0 for edge in edges)


def test_a_bar_that_a_metre_cuts_short_ends_there() -> None:
    ruling = rule(a_piece(TimeSignature(0, 4, 4), TimeSignature(BAR + 480, 3, 8), bars=2))
    assert ruling.bars.tolist() == [0, 1920, 2400, 3120, 3840]
    assert ruling.beats.tolist() == [480, 960, 1440, 2640, 2880, 3360, 3600]


def test_positions_without_a_metre_are_seconds() -> None:
    score = Score((Track((Note(0, 4 * 480, 60, 64),)),), 480, (Tempo(0, 500_000), Tempo(960, 1_000_000)))
    ruling = rule(score)
    assert not ruling.is_metric
    assert ruling.bars.tolist() == [0, 1, 2, 3]


def test_a_metre_of_tiny_bars_is_not_believed() -> None:
    assert not rule(a_piece(TimeSignature(0, 1, 32), bars=1000)).is_metric


def test_louder_notes_are_darker(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    image = pytest.importorskip("matplotlib.image")
    darkness = []
    for velocity in (20, 120):
        write_pianoroll(tmp_path / "x.png", Score((Track((Note(0, BAR, 66, velocity),)),)))
        darkness.append(float(np.sum(1 - image.imread(tmp_path / "x.png")[..., 0])))
    assert darkness[1] > darkness[0]


def rightmost(path: Path, ticks: list[int], *, shade: float) -> int:
    """Returns the last column with a pixel darker than a shade, in the picture of drum hits in bars of 4/4."""
    image = pytest.importorskip("matplotlib.image")
    hits = Track(tuple(Note(tick, 9, 36, 127) for tick in ticks), is_drum=True)
    write_pianoroll(path / "x.png", Score((hits,), 480, time_signatures=(TimeSignature(0, 4, 4),)))
    is_dark = (image.imread(path / "x.png")[..., :3] < shade).any(axis=(0, 2))
    return int(np.flatnonzero(is_dark)[-1])


def test_a_drum_hit_at_the_end_of_a_system_stays_inside(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    starts = [BAR * bar for bar in range(30)]
    last_line = rightmost(tmp_path, starts, shade=0.97)
    assert rightmost(tmp_path, sorted([*starts, *(start + BAR - 1 for start in starts)]), shade=0.5) <= last_line


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_equal_scores_give_equal_pictures(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("matplotlib")
    for name in ("a", "b"):
        write_pianoroll(tmp_path / f"{name}{suffix}", A_SCORE)
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


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
