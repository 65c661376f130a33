"""Which music codec suits a corpus."""

from pathlib import Path

import pytest

from gen.codecs.choice import choose_music
from gen.music.midi.write import write_midi
from gen.music.score import Note, Score, Track

ON_GRID = tuple(Note(tick, 100, 60, 64) for tick in range(0, 4800, 480))
PLAYED = tuple(Note(tick + 7 + tick % 11, 100, 60, 64) for tick in range(0, 4800, 480))


def choose(folder: Path, *files: tuple[Track, ...]) -> tuple[str, bool, str | None]:
    paths = [folder / f"{number}.mid" for number in range(len(files))]
    for path, tracks in zip(paths, files, strict=True):
        write_midi(path, Score(tracks, 480))
    choice = choose_music(paths)
    return choice.codec.name, getattr(choice.codec, "is_drums", False), choice.reason


def test_music_on_the_grid_is_for_beat(tmp_path: Path) -> None:
    assert choose(tmp_path, (Track(ON_GRID),)) == ("beat", False, "all onsets are on the grid")
    assert (
        choose(tmp_path, (Track(ON_GRID),), (Track(ON_GRID[:9] + PLAYED[9:]),))[2] == "9 of 10 onsets are on the grid"
    )


def test_played_music_is_for_performance(tmp_path: Path) -> None:
    assert choose(tmp_path, (Track(PLAYED),)) == ("performance", False, "no onsets are on the grid")


def test_played_music_of_several_instruments_is_for_beat(tmp_path: Path) -> None:
    band = (Track(PLAYED), Track(PLAYED, is_drum=True))
    assert choose(tmp_path, band, (Track(PLAYED),)) == ("beat", False, "5 of 10 files have several instruments")
    assert choose(tmp_path, band, *[(Track(PLAYED),)] * 9)[0] == "performance"


def test_drums_go_by_their_timing(tmp_path: Path) -> None:
    played = choose(tmp_path, (Track(PLAYED, is_drum=True),))
    assert played == ("performance", True, "only drums, and no onsets are on the grid")
    assert choose(tmp_path, (Track(ON_GRID, is_drum=True),))[0] == "beat"


def test_files_that_cannot_be_read_say_nothing(tmp_path: Path) -> None:
    bad = [tmp_path / f"bad{number}.mid" for number in range(200)]
    for path in bad:
        path.write_bytes(b"no MIDI")
    write_midi(tmp_path / "good.mid", Score((Track(PLAYED),), 480))
    assert choose_music([*bad, tmp_path / "good.mid"]).codec.name == "performance"
    assert choose_music(bad).reason == "no file can be read"


@pytest.mark.parametrize(
    ("folder", "codec"),
    [
        ("jsb_chorales", "beat"),
        ("nottingham", "beat"),
        ("freedoom", "beat"),
        ("asap", "performance"),
        ("groove", "performance"),
    ],
)
def test_real_corpora_get_the_codec_that_suits_them(shared_data: Path, folder: str, codec: str) -> None:
    assert choose_music(sorted((shared_data / "midi" / folder).rglob("*.mid"))[::20]).codec.name == codec
