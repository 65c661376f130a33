import pytest
from hypothesis import given
from hypothesis import strategies as st

from gen.errors import SettingError
from gen.music.score import Note, NoteEvent, Score, Tempo, Track, pitch_name
from tests.music.scores import scores


def test_a_beat_without_a_tempo_lasts_half_a_second() -> None:
    assert Score((), ticks_per_beat=480).seconds([0, 480, 720]).tolist() == [0.0, 0.5, 0.75]


def test_seconds_follow_the_tempo_map() -> None:
    score = Score((), ticks_per_beat=100, tempos=(Tempo(100, 1_000_000), Tempo(300, 250_000)))
    assert score.seconds([50, 100, 200, 300, 500]).tolist() == [0.25, 0.5, 1.5, 2.5, 3.0]


@given(scores(), st.lists(st.integers(0, 2**31 - 1), min_size=1))
def test_ticks_come_back_from_their_seconds(score: Score, ticks: list[int]) -> None:
    assert score.ticks(score.seconds(ticks)).tolist() == ticks


def test_middle_c_is_c4() -> None:
    assert [pitch_name(pitch) for pitch in (0, 60, 61, 69, 127)] == ["C-1", "C4", "C#4", "A4", "G9"]


def test_a_note_prints_as_one_line_with_its_time_name_velocity_and_length() -> None:
    assert str(NoteEvent(12.34, 0.5, 61, 66)) == "    12.34 s  C#4  velocity  66    0.50 s"


@pytest.mark.parametrize("note", [Note(-1, 1, 60, 64), Note(0, 0, 60, 64), Note(0, 1, 128, 64), Note(0, 1, 60, 0)])
def test_a_note_out_of_range_is_refused(note: Note) -> None:
    with pytest.raises(SettingError, match="a note is out of range"):
        Track((note,))


@pytest.mark.parametrize("ticks_per_beat", [0, 32768])
def test_ticks_per_beat_out_of_range_are_refused(ticks_per_beat: int) -> None:
    with pytest.raises(SettingError, match="ticks per beat must be 1 to 32767"):
        Score((), ticks_per_beat=ticks_per_beat)


def test_a_tempo_of_0_is_refused() -> None:
    with pytest.raises(SettingError, match="a tempo must be 1 to"):
        Score((), tempos=(Tempo(0, 0),))
