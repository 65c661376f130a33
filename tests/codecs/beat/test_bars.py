"""The bars of the beat codec."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gen.codecs.beat.bars import SIGNATURES_MOVED, SIGNATURES_REPLACED, EqualBars, equal_bars
from gen.codecs.beat.layout import score_grid
from gen.codecs.beat.vocab import SIGNATURES, bar_ticks
from gen.music.metre import GRID_TICKS, bars_before
from gen.music.score import Score, Tempo, TimeSignature

QUARTER = 384
FAST = Tempo(0, 60_000)  # 1000 quarters a minute: a quarter becomes a 16th


def read(
    *signatures: TimeSignature, until: int, ticks_per_beat: int = QUARTER, tempos: tuple[Tempo, ...] = ()
) -> tuple[list[EqualBars], Counter[str]]:
    score = Score((), ticks_per_beat, tempos, signatures)
    return equal_bars(score, score_grid(score), until=until)


def bars(
    *signatures: TimeSignature, until: int = 0, ticks_per_beat: int = QUARTER, tempos: tuple[Tempo, ...] = ()
) -> list[tuple[int, int, str]]:
    """Returns where each stretch starts, how many bars it has, and its signature."""
    listed, _ = read(*signatures, until=until, ticks_per_beat=ticks_per_beat, tempos=tempos)
    return [(start, num, "{}/{}".format(*SIGNATURES[at])) for start, num, at in listed]


def found(*signatures: TimeSignature, until: int) -> Counter[str]:
    return read(*signatures, until=until)[1]


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


def test_a_bar_line_stands_on_the_nearest_32nd() -> None:
    late = TimeSignature(QUARTER // 3, 3, 4)
    assert bars(late, until=4 * QUARTER) == [(0, 1, "3/32"), (144, 2, "3/4")]
    assert found(late, until=4 * QUARTER) == {SIGNATURES_MOVED: 1}


def test_a_length_that_no_signature_says_is_two_bars() -> None:
    assert bars(TimeSignature(25 * QUARTER // 8, 3, 4), until=4 * QUARTER) == [
        (0, 1, "3/4"),
        (3 * QUARTER, 1, "1/32"),
        (25 * QUARTER // 8, 1, "3/4"),
    ]


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ((10, 4), "5/4"),
        ((12, 4), "6/4"),
        ((24, 8), "12/8"),
        ((11, 4), "1/4"),
        ((4, 1), "2/1"),
        ((5, 64), "4/4"),
        ((4, 64), "2/32"),
        ((255, 8), "15/8"),
    ],
)
def test_a_signature_that_is_not_there_is_parted_or_replaced(said: tuple[int, int], taken: str) -> None:
    assert bars(TimeSignature(0, *said))[0][2] == taken
    assert found(TimeSignature(0, *said), until=0) == {SIGNATURES_REPLACED: 1}


def test_a_signature_that_means_a_bar_line_stands_there() -> None:
    off = TimeSignature(2 * 1024 + 3, 3, 4)
    assert bars(TimeSignature(0, 2, 4), off, until=2 * QUARTER, ticks_per_beat=1024)[0] == (0, 1, "2/4")


@pytest.mark.parametrize(("us", "taken"), [(60_000, "4/16"), (120_000, "4/8"), (6_000_000, "4/2"), (9_000_000, "2/1")])
def test_a_tempo_in_another_note_value_changes_bars_likewise(us: int, taken: str) -> None:
    assert bars(TimeSignature(0, 4, 4), tempos=(Tempo(0, us),)) == [(0, 1, taken)]


def test_a_bar_in_which_the_note_value_changes_has_the_length_that_is_left() -> None:
    tempos = (Tempo(0, 500_000), Tempo(6 * QUARTER, 120_000), Tempo(9 * QUARTER, 500_000))
    assert bars(TimeSignature(0, 4, 4), until=11 * QUARTER, tempos=tempos) == [
        (0, 1, "4/4"),
        (4 * QUARTER, 1, "3/4"),
        (7 * QUARTER, 1, "7/8"),
        (21 * QUARTER // 2, 1, "4/4"),
    ]


def test_every_bar_is_of_whole_positions_and_has_192_at_most() -> None:
    lengths = np.array([bar_ticks(at) for at in range(len(SIGNATURES))])
    assert not (lengths % 16).any()
    assert lengths.max() == 192 * 16
    assert lengths[SIGNATURES.index((6, 8))] == 3 * GRID_TICKS


def test_a_stretch_ends_after_its_bars() -> None:
    assert EqualBars(100, 2, SIGNATURES.index((3, 4))).end == 100 + 6 * QUARTER


@st.composite
def metric_scores(draw: st.DrawFn) -> Score:
    """Scores without notes in which metres and tempos change anywhere."""
    places = st.lists(st.integers(0, 20_000), max_size=4, unique=True).map(sorted)
    powers = st.integers(0, 6)
    return Score(
        (),
        draw(st.integers(1, 1000)),
        tuple(Tempo(tick, draw(st.integers(1, 16_777_215))) for tick in draw(places)),
        tuple(TimeSignature(tick, draw(st.integers(1, 30)), 2 ** draw(powers)) for tick in draw(places)),
    )


@given(metric_scores(), st.integers(8, 1 << 20))
def test_bars_follow_one_another_without_a_gap(score: Score, until: int) -> None:
    listed, _ = equal_bars(score, score_grid(score), until=until)
    assert [stretch.start for stretch in listed] == [0, *(stretch.end for stretch in listed[:-1])]
    assert listed[-1].start <= until < listed[-1].end
    assert all(stretch.num_bars > 0 for stretch in listed)


@given(metric_scores(), st.integers(8, 1 << 16))
def test_every_bar_line_of_a_score_is_within_half_a_32nd_one_of_the_codec(score: Score, until: int) -> None:
    grid = score_grid(score)
    listed, findings = equal_bars(score, grid, until=until)
    if findings[SIGNATURES_REPLACED]:  # what it has nothing for is filled with others
        return
    ours = np.concatenate(
        [stretch.start + np.arange(stretch.num_bars) * bar_ticks(stretch.signature) for stretch in listed]
    )
    counted = bars_before(score, max(int(grid.score_ticks(np.array([until]))[0]), 1))
    bars = range(1, min(counted.num_bars, 300) + 1)
    theirs = np.array([float(grid.grid_tick(counted.start_of(bar))) for bar in bars])
    assert np.abs(ours[:, None] - theirs[None]).min(axis=0).max() <= 24
