"""What of a score comes back from the beat codec."""

from pathlib import Path

import pytest
from hypothesis import given

from gen.codec import decode
from gen.codecs.beat.codec import BeatCodec
from gen.corpus.round_trip import Losses, RoundTrip, round_trip, sum_up
from gen.music.midi.read import read_midi
from gen.music.score import Note, PedalSpan, Score, Tempo, Track
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


def test_errors_are_in_seconds_of_the_file() -> None:
    result = round_trip(Score((Track((Note(1, 100, 60, 64),)),), 1000, (Tempo(0, 1_000_000),)), CODEC)
    assert result.onset_errors_seconds[0] == pytest.approx(0.001)
    assert result.exact == 0


def quarters(*tempos: Tempo, count: int = 9, pedal: tuple[PedalSpan, ...] = ()) -> Score:
    notes = tuple(Note(480 * place, 480, 60 + place % 12, 66) for place in range(count))
    return Score((Track(notes, pedal=pedal),), 480, tempos)


def test_what_becomes_of_the_tempo_is_in_the_errors() -> None:
    """121 quarters a minute come back as 120: a beat of 495,868 us lasts 500,000."""
    result = round_trip(quarters(Tempo(0, 495_868)), CODEC)
    assert result.exact == result.exact_lengths == 9
    assert result.onset_errors_seconds == pytest.approx([place * 0.004132 for place in range(9)])
    assert result.length_errors_seconds == pytest.approx([0.004132] * 9)
    assert result.end_error_seconds == pytest.approx(9 * 0.004132)


@pytest.mark.parametrize("us", [1, 999, 60_000, 62_500, 120_000, 4_000_000, 6_000_000, 16_777_215])
def test_no_tempo_is_too_slow_or_too_fast(us: int) -> None:
    score = quarters(Tempo(0, us))
    back = decode(CODEC, CODEC.encode(score))
    assert back.duration_seconds == pytest.approx(score.duration_seconds, rel=0.01, abs=0.02)
    result = round_trip(score, CODEC)
    assert result.onset_errors_seconds.max() <= 0.01 * score.duration_seconds + 0.001


def test_tempos_in_and_out_of_the_range_take_turns() -> None:
    score = quarters(Tempo(0, 500_000), Tempo(700, 62_500), Tempo(1440, 8_000_000), Tempo(2400, 500_000), count=12)
    result = round_trip(score, CODEC)
    assert result.kept == 12
    assert result.onset_errors_seconds.max() <= 0.02
    assert result.end_error_seconds <= 0.02


def test_tempos_that_take_turns_within_a_position_add_up_to_no_error() -> None:
    """A twentieth of a quarter at 400 a minute, which is a tempo of the codec, one at 600, which is none, and so on."""
    changes = [Tempo(24 * place, (150_000, 100_000)[place % 2]) for place in range(240)]
    result = round_trip(quarters(*changes, count=12), CODEC)
    assert result.kept == 12
    assert result.onset_errors_seconds.max() <= 0.1


def test_lengths_are_compared_as_the_pedal_holds_them() -> None:
    held = quarters(count=8, pedal=(PedalSpan(0, 1440), PedalSpan(1920, 1900)))
    result = round_trip(held, CODEC)
    assert (result.lengths, result.exact_lengths) == (8, 8)
    assert result.length_errors_seconds.max() == 0
    back = decode(CODEC, CODEC.encode(held))
    assert [note.duration_ticks for note in back.tracks[0].notes] == [1152, 768, 384, 1904, 1520, 1136, 752, 384]


def test_lengths_that_the_grid_rounds_and_those_that_are_cut_are_told() -> None:
    result = trip(Note(0, 105, 60, 66), Note(480, 300 * 480, 62, 66), Note(960, 480, 60, 66))
    assert (result.lengths, result.exact_lengths) == (3, 1)
    assert sorted(result.length_errors_seconds) == pytest.approx([0, 5 / 960, 44 / 2])


def test_drums_have_no_length() -> None:
    result = round_trip(Score((Track((Note(0, 480, 36, 66),), is_drum=True),), 480), CODEC)
    assert (result.kept, result.lengths, result.length_errors_seconds.tolist()) == (1, 0, [])
    assert result.end_error_seconds == 0


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
    assert sum_up([round_trip(Score(()), CODEC)]) == Losses()


@given(scores())
def test_errors_are_those_of_the_tempo_and_of_half_a_tick_or_position(score: Score) -> None:
    result = round_trip(score, CODEC)
    quarter = max(tempo.tempo_us_per_beat for tempo in score.tempos) / 1e6
    last = max(float(score.seconds(track.columns[0]).max()) for track in score.tracks)
    tempos = 0.01 * last + len(score.tempos) * quarter / 24  # rounded by 1 %, and moved to a position
    assert result.onset_errors_seconds.max() <= quarter / 768 + tempos
    assert result.velocity_errors.max() <= 2


@pytest.mark.parametrize("folder", ["jsb_chorales", "nottingham", "mutopia_keyboard"])
def test_onsets_of_printed_music_come_back_exactly(shared_data: Path, folder: str) -> None:
    paths = sorted((shared_data / "midi" / folder).rglob("*.mid"))[::40]
    lost = sum_up(round_trip(read_midi(path)[0], CODEC) for path in paths)
    assert lost.exact == lost.kept > 0.97 * lost.notes
