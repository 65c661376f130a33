"""Bars are counted alike by pictures, the terminal and the beat codec."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gen.codecs.beat.layout import lay_out_beats
from gen.errors import SettingError
from gen.music.excerpt import before_bar
from gen.music.metre import bars_before, bars_of, grid_share
from gen.music.score import Note, NoteEvent, Score, TimeSignature, Track
from gen.music.views.page import rule
from gen.music.views.terminal import ScrollingRoll

QUARTER = 480


def a_piece(*signatures: TimeSignature, quarters: int = 36, ticks_per_beat: int = QUARTER) -> Score:
    """Returns a piece of quarters."""
    notes = tuple(Note(tick * ticks_per_beat, ticks_per_beat, 60, 64) for tick in range(quarters))
    return Score((Track(notes),), ticks_per_beat, time_signatures=signatures)


def starts(*signatures: TimeSignature, quarters: int = 36, ticks_per_beat: int = QUARTER) -> list[float]:
    return list(bars_of(a_piece(*signatures, quarters=quarters, ticks_per_beat=ticks_per_beat)).starts())


def drawn_bars(score: Score) -> int:
    """Returns the number of the last bar that the terminal shows of a score of one track at 120 beats a minute."""
    roll = ScrollingRoll(ticks_per_beat=score.ticks_per_beat)
    notes = [
        NoteEvent(onset / score.ticks_per_beat / 2, length / score.ticks_per_beat / 2, pitch, velocity)
        for onset, length, pitch, velocity in score.tracks[0].notes
    ]
    end = len(notes) * score.ticks_per_beat
    signatures = [signature for signature in score.time_signatures if signature.onset_ticks < end]
    ticks = [signature.onset_ticks for signature in signatures] + [note.onset_ticks for note in score.tracks[0].notes]
    pieces = [*signatures, *notes]
    lines = [line for place in np.argsort(ticks, kind="stable") for line in roll.push(pieces[place])]
    labels = [line[:6].strip() for line in [*lines, *roll.finish()]]
    return max(int(label) for label in labels if label.isdigit())


def test_the_metre_is_four_four_until_it_is_said() -> None:
    assert starts(quarters=9) == [0, 1920, 3840]
    assert starts(TimeSignature(1920, 3, 4), quarters=10) == [0, 1920, 3360]


def test_a_bar_of_twelve_quarters_is_one() -> None:
    assert starts(TimeSignature(0, 12, 4)) == [0, 12 * QUARTER, 24 * QUARTER]


def test_a_signature_in_the_middle_of_a_bar_ends_it() -> None:
    assert starts(TimeSignature(0, 4, 4), TimeSignature(QUARTER, 4, 4), quarters=8) == [0, 480, 2400]


def test_of_two_signatures_at_one_place_the_last_counts() -> None:
    assert starts(TimeSignature(960, 5, 4), TimeSignature(960, 2, 4), quarters=6) == [0, 960, 1920]


def test_a_signature_that_means_a_bar_line_adds_none() -> None:
    assert starts(TimeSignature(0, 2, 4), TimeSignature(963, 3, 4), quarters=5) == [0, 960]
    assert starts(TimeSignature(0, 2, 4), TimeSignature(957, 3, 4), quarters=5) == [0, 960]
    assert starts(TimeSignature(0, 2, 4), TimeSignature(975, 3, 4), quarters=5) == [0, 960, 975]


def test_bars_of_no_whole_number_of_ticks_do_not_drift() -> None:
    """Three bars of 7/32 at 100 ticks are 262.5; the file says 262 or 263."""
    for said in (262, 263):
        bars = bars_before(Score((), 100, (), (TimeSignature(0, 7, 32), TimeSignature(said, 4, 4))), 300)
        assert bars.starts().tolist() == [0, 87.5, 175, 262.5]


def test_a_signature_after_the_last_note_changes_nothing() -> None:
    late = TimeSignature(37 * QUARTER, 7, 8)
    assert starts(TimeSignature(0, 4, 4), late) == starts(TimeSignature(0, 4, 4))


def test_bars_are_numbered_from_one_and_the_last_ends_where_another_would_begin() -> None:
    bars = bars_of(a_piece(TimeSignature(0, 5, 64), quarters=1))
    assert [bars.start_of(bar) for bar in (1, 2, 5)] == [0, 150, 600]
    assert bars.num_bars == 4


@pytest.mark.parametrize(("numerator", "denominator"), [(0, 4), (4, 3), (4, 128)])
def test_a_signature_that_is_none_is_refused(numerator: int, denominator: int) -> None:
    with pytest.raises(SettingError, match=f"no time signature .{numerator}/{denominator}"):
        Score((), 480, time_signatures=(TimeSignature(0, numerator, denominator),))


@st.composite
def metric_pieces(draw: st.DrawFn) -> Score:
    """Draws pieces of quarters at 120 beats a minute, in metres that change anywhere, even after the last note."""
    ticks_per_beat = draw(st.sampled_from((1, 24, 96, 100, 480, 1024)))
    quarters = draw(st.integers(1, 40))
    places = [0, *sorted(draw(st.lists(st.integers(0, 45 * ticks_per_beat), max_size=4)))]
    signatures = (TimeSignature(tick, draw(st.integers(1, 26)), 2 ** draw(st.integers(0, 6))) for tick in places)
    return a_piece(*signatures, quarters=quarters, ticks_per_beat=ticks_per_beat)


@given(metric_pieces())
def test_all_count_the_same_bars(score: Score) -> None:
    bars = bars_of(score)
    assert bars.starts().tolist() == [float(bars.start_of(bar)) for bar in range(1, bars.num_bars + 1)]
    assert rule(score).bars.tolist()[:-1] == bars.starts().tolist()
    assert drawn_bars(score) == bars.num_bars
    with pytest.raises(SettingError, match=f"must be 1 to {bars.num_bars}, the bars of the primer"):
        before_bar(score, bars.num_bars + 1)


@given(metric_pieces(), st.integers(2, 50))
def test_a_primer_ends_where_the_bar_begins_that_a_picture_numbers(score: Score, bar: int) -> None:
    starts = rule(score).bars[:-1]
    if bar > len(starts):
        return
    onsets = score.tracks[0].columns[0]
    assert before_bar(score, bar).num_notes == np.count_nonzero(onsets < starts[bar - 1])


@given(st.lists(st.tuples(st.integers(0, 80), st.integers(1, 8), st.sampled_from((4, 8))), max_size=4))
def test_the_beat_codec_has_the_bars_that_a_picture_shows(changes: list[tuple[int, int, int]]) -> None:
    """The metres begin on eighths, so that the codec has signatures for all bars."""
    changes = [(0, 4, 4), *sorted(changes)]
    score = a_piece(*(TimeSignature(eighth * QUARTER // 2, *metre) for eighth, *metre in changes), quarters=40)
    shown = rule(score).bars[:-1]
    ours = lay_out_beats(score).bars.starts * QUARTER / 384
    assert ours.tolist() == shown[shown <= 39 * QUARTER].tolist()


@pytest.mark.parametrize(
    ("ticks_per_beat", "onset", "share"),
    [(480, 20, 1.0), (480, 21, 0.0), (1024, 341, 1.0), (1024, 340, 0.0), (96, 1, 0.0)],
)
def test_onsets_are_on_the_grid_as_nearly_as_the_file_can_say(ticks_per_beat: int, onset: int, share: float) -> None:
    assert grid_share(Score((Track((Note(onset, 1, 60, 64),)),), ticks_per_beat)) == share
