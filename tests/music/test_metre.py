"""Bars and the grid."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given

from gen.music.metre import (
    GRID_TICKS,
    SIGNATURES,
    SIGNATURES_MOVED,
    SIGNATURES_REPLACED,
    Stretch,
    bar_ticks,
    grid_share,
    stretches,
    to_grid,
)
from gen.music.score import Note, Score, TimeSignature, Track
from tests.music.scores import scores

QUARTER = 384


def bars(*signatures: TimeSignature, until: int = 0, ticks_per_beat: int = QUARTER) -> list[tuple[int, int, str]]:
    """Returns where each stretch starts, how many bars it has, and its signature."""
    score = Score((), ticks_per_beat, (), signatures)
    return [(start, num, "{}/{}".format(*SIGNATURES[at])) for start, num, at in stretches(score, until=until)[0]]


def found(*signatures: TimeSignature, until: int) -> Counter[str]:
    return stretches(Score((), QUARTER, (), signatures), until=until)[1]


def test_the_metre_is_four_four_until_it_is_said() -> None:
    assert bars(until=4 * QUARTER) == [(0, 2, "4/4")]
    assert bars(TimeSignature(8 * QUARTER, 3, 4), until=9 * QUARTER) == [(0, 2, "4/4"), (8 * QUARTER, 1, "3/4")]


def test_the_last_bar_is_the_one_that_holds_the_last_tick() -> None:
    three = TimeSignature(0, 3, 4)
    assert bars(three, until=3 * QUARTER - 1) == [(0, 1, "3/4")]
    assert bars(three, until=3 * QUARTER) == [(0, 2, "3/4")]


def test_a_bar_that_is_cut_short_says_its_length() -> None:
    upbeat = (TimeSignature(0, 4, 4), TimeSignature(QUARTER, 4, 4))
    assert bars(*upbeat, until=QUARTER) == [(0, 1, "1/4"), (QUARTER, 1, "4/4")]
    assert bars(TimeSignature(5 * QUARTER // 2, 3, 4), until=5 * QUARTER // 2)[0] == (0, 1, "5/8")
    assert bars(TimeSignature(QUARTER // 8, 3, 4), until=QUARTER // 8)[0] == (0, 1, "1/32")


def test_a_length_that_no_signature_says_makes_the_next_one_wait_for_the_bar_line() -> None:
    late = TimeSignature(QUARTER // 3, 3, 4)
    assert bars(late, until=4 * QUARTER) == [(0, 1, "4/4"), (4 * QUARTER, 1, "3/4")]
    assert found(late, until=4 * QUARTER) == {SIGNATURES_MOVED: 1}


def test_signatures_that_wait_for_the_same_bar_line_leave_the_last() -> None:
    both = (TimeSignature(QUARTER // 3, 3, 4), TimeSignature(QUARTER // 2, 2, 4))
    assert bars(*both, until=5 * QUARTER) == [(0, 1, "4/4"), (4 * QUARTER, 1, "2/4")]


@pytest.mark.parametrize(
    ("said", "taken"),
    [((10, 4), "5/4"), ((12, 4), "6/4"), ((11, 4), "1/4"), ((4, 1), "2/1"), ((5, 64), "4/4"), ((255, 8), "15/8")],
)
def test_a_signature_that_is_not_there_is_parted_or_replaced(said: tuple[int, int], taken: str) -> None:
    assert bars(TimeSignature(0, *said))[0][2] == taken
    assert found(TimeSignature(0, *said), until=0) == {SIGNATURES_REPLACED: 1}


def test_a_signature_stands_on_the_position_nearest_to_it() -> None:
    assert bars(TimeSignature(1027, 3, 4), until=2 * QUARTER, ticks_per_beat=1024)[0] == (0, 1, "1/4")


def test_every_bar_is_of_whole_positions_and_has_192_at_most() -> None:
    lengths = np.array([bar_ticks(at) for at in range(len(SIGNATURES))])
    assert not (lengths % 16).any()
    assert lengths.max() == 192 * 16
    assert lengths[SIGNATURES.index((6, 8))] == 3 * GRID_TICKS


@given(scores())
def test_bars_follow_one_another_without_a_gap(score: Score) -> None:
    until = int(to_grid(max(track.columns[0].max() for track in score.tracks), ticks_per_beat=score.ticks_per_beat))
    listed, _ = stretches(score, until=until)
    assert [stretch.start for stretch in listed] == [0, *(stretch.end for stretch in listed[:-1])]
    assert listed[-1].start <= until < listed[-1].end


def test_a_stretch_ends_after_its_bars() -> None:
    assert Stretch(100, 2, SIGNATURES.index((3, 4))).end == 100 + 6 * QUARTER


@pytest.mark.parametrize(
    ("ticks_per_beat", "onset", "share"),
    [(480, 20, 1.0), (480, 21, 0.0), (1024, 341, 1.0), (1024, 340, 0.0), (96, 1, 0.0)],
)
def test_onsets_are_on_the_grid_as_nearly_as_the_file_can_say(ticks_per_beat: int, onset: int, share: float) -> None:
    assert grid_share(Score((Track((Note(onset, 1, 60, 64),)),), ticks_per_beat)) == share


@given(scores())
def test_ticks_are_rounded_to_the_nearest(score: Score) -> None:
    ticks = np.concatenate([track.columns[0] for track in score.tracks])
    off = to_grid(ticks, ticks_per_beat=score.ticks_per_beat) - ticks * GRID_TICKS / score.ticks_per_beat
    assert np.abs(off).max() <= 0.5
