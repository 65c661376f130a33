from pathlib import Path

import pytest
from hypothesis import given

from gen.codecs.performance.codec import PerformanceCodec
from gen.corpus.round_trip import Losses, RoundTrip, round_trip, sum_up
from gen.errors import MidiError
from gen.music.midi.read import read_midi
from gen.music.score import Note, PedalSpan, Score, Tempo, Track
from tests.music.scores import scores

CODEC = PerformanceCodec()


def trip(*notes: Note) -> RoundTrip:
    return round_trip(Score((Track(notes),), ticks_per_beat=500, tempos=(Tempo(0, 500_000),)), CODEC)


def test_a_note_on_the_grid_comes_back_exactly() -> None:
    result = trip(Note(100, 100, 60, 66))
    assert (result.notes, result.kept) == (1, 1)
    assert (result.onset_errors_seconds.tolist(), result.velocity_errors.tolist()) == ([0.0], [0])


def test_errors_are_measured_against_the_score() -> None:
    result = trip(Note(103, 100, 60, 64), Note(108, 100, 61, 127))
    assert [round(error, 6) for error in result.onset_errors_seconds] == [0.003, 0.002]
    assert result.velocity_errors.tolist() == [2, 1]


def test_lengths_are_compared_as_the_pedal_holds_them() -> None:
    notes = (Note(0, 100, 60, 66), Note(204, 100, 62, 66), Note(1000, 50, 60, 66))
    score = Score((Track(notes, pedal=(PedalSpan(50, 1953),)),), 500, (Tempo(0, 500_000),))
    result = round_trip(score, CODEC)
    assert (result.lengths, result.exact_lengths) == (3, 1)  # struck again at 1 s; up at 2.003 s
    assert result.length_errors_seconds == pytest.approx([0, 0.003, 0.001])
    assert result.end_error_seconds == pytest.approx(0.003)


def test_a_unison_is_lost_and_the_loudest_counts() -> None:
    result = trip(Note(100, 100, 60, 10), Note(102, 100, 60, 90))
    assert (result.notes, result.kept, result.velocity_errors.tolist()) == (2, 1, [0])


def test_a_silence_that_was_cut_is_no_error() -> None:
    result = trip(Note(0, 100, 60, 66), Note(60_004, 100, 60, 66), Note(60_204, 100, 60, 66))
    assert result.onset_errors_seconds.max() == pytest.approx(0.004)


def test_a_score_without_notes_loses_nothing() -> None:
    assert sum_up([round_trip(Score(()), CODEC)]) == Losses()


@given(scores())
def test_no_onset_is_off_by_more_than_half_a_frame(score: Score) -> None:
    result = round_trip(score, CODEC)
    assert result.onset_errors_seconds.max() <= 0.005 + 1e-9  # float64 seconds
    assert result.velocity_errors.max() <= 2


@pytest.mark.parametrize("folder", ["jsb_chorales", "nottingham", "asap", "pop909", "freedoom", "mutopia_keyboard"])
def test_real_music_comes_back_within_half_a_frame(shared_data: Path, folder: str) -> None:
    paths = sorted((shared_data / "midi" / folder).rglob("*.mid"))[::40]
    lost = sum_up(round_trip(read_midi(path)[0], CODEC) for path in paths)
    assert lost.onset_error_ms_max <= 5 + 1e-6
    assert lost.velocity_error_max <= 2
    assert lost.kept > 0.6 * lost.notes  # game music doubles its guitars


def test_real_music_is_read_without_a_refusal(shared_data: Path) -> None:
    refused = []
    for path in sorted((shared_data / "midi").rglob("*.mid"))[::80]:
        try:
            read_midi(path)
        except MidiError as err:
            refused.append(str(err))
    assert not refused
