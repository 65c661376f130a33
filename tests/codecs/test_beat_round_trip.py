"""What of a score comes back from the beat codec."""

from pathlib import Path

import pytest
from hypothesis import given

from gen.codecs.beat import BeatCodec
from gen.codecs.round_trip import Losses, RoundTrip, round_trip, sum_up
from gen.music.midi import read_midi
from gen.music.score import Note, Score, Tempo, Track
from tests.music.scores import scores

CODEC = BeatCodec()


def trip(*notes: Note, ticks_per_beat: int = 480) -> RoundTrip:
    return round_trip(Score((Track(notes),), ticks_per_beat), CODEC)


def test_notes_on_the_grid_come_back_exactly() -> None:
    result = trip(Note(160, 100, 60, 66), Note(300, 100, 60, 66))
    assert (result.notes, result.kept, result.exact) == (2, 2, 2)
    assert result.onset_errors_seconds.tolist() == [0.0, 0.0]


def test_a_triplet_that_the_file_rounds_comes_back_to_its_tick() -> None:
    assert trip(Note(341, 100, 60, 66), Note(683, 100, 60, 66), ticks_per_beat=1024).exact == 2


def test_errors_are_at_the_tempo_of_the_score() -> None:
    result = round_trip(Score((Track((Note(1, 100, 60, 64),)),), 1000, (Tempo(0, 1_000_000),)), CODEC)
    assert result.onset_errors_seconds[0] == pytest.approx(0.001)
    assert result.exact == 0


def test_a_silence_that_was_cut_is_no_error() -> None:
    late = 1920 * 30
    result = trip(Note(0, 480, 60, 66), Note(late, 480, 60, 66), Note(late + 480, 480, 60, 66))
    assert result.exact == 3


def test_programs_and_drums_are_told_apart() -> None:
    band = Score((Track((Note(0, 480, 60, 66),), 5), Track((Note(480, 480, 60, 90),), is_drum=True)), 480)
    result = round_trip(band, CODEC)
    assert (result.kept, result.exact, result.velocity_errors.tolist()) == (2, 2, [0, 0])


def test_notes_that_become_one_count_as_the_loudest() -> None:
    result = trip(Note(480, 100, 60, 10), Note(485, 100, 60, 90))
    assert (result.notes, result.kept, result.velocity_errors.tolist()) == (2, 1, [0])


def test_a_score_without_notes_loses_nothing() -> None:
    assert sum_up([round_trip(Score(()), CODEC)]) == Losses(0, 0, 0, 0.0, 0.0, 0.0, 0)


@given(scores())
def test_no_onset_is_off_by_more_than_half_a_tick_of_the_grid(score: Score) -> None:
    result = round_trip(score, CODEC)
    slowest = max(tempo.tempo_us_per_beat for tempo in score.tempos) / 1e6
    assert result.onset_errors_seconds.max() <= 0.5 / 384 * slowest + 1e-9
    assert result.velocity_errors.max() <= 2


@pytest.mark.parametrize("folder", ["jsb_chorales", "nottingham", "mutopia_keyboard"])
def test_onsets_of_printed_music_come_back_exactly(shared_data: Path, folder: str) -> None:
    paths = sorted((shared_data / "midi" / folder).rglob("*.mid"))[::40]
    lost = sum_up(round_trip(read_midi(path)[0], CODEC) for path in paths)
    assert lost.exact == lost.kept > 0.97 * lost.notes
