"""Primers, compared with pieces cut by hand."""

import pytest

from gen.errors import SettingError
from gen.music.excerpt import before_bar
from gen.music.score import (
    ChannelEvent,
    ChannelEvents,
    Note,
    Notes,
    PedalSpan,
    Score,
    Tempo,
    Text,
    TimeSignature,
    Track,
)

# Two bars of 3/4, then bars of 4/4: bar 1 at 0, bar 2 at 300, bar 3 at 600, bar 4 at 1000 ticks.
BENDS = ChannelEvents([ChannelEvent(299, 0xE0, 0, 80), ChannelEvent(300, 0xE0, 0, 64)])
PIECE = Score(
    (
        Track(
            Notes([Note(0, 350, 60, 80), Note(299, 1, 62, 80), Note(300, 50, 64, 80), Note(1000, 100, 65, 80)]),
            40,
            events=BENDS,
        ),
        Track(Notes([Note(600, 10, 36, 90)]), is_drum=True, pedal=(PedalSpan(0, 700), PedalSpan(650, 10))),
    ),
    ticks_per_beat=100,
    tempos=(Tempo(0, 400_000), Tempo(600, 600_000)),
    time_signatures=(TimeSignature(0, 3, 4), TimeSignature(600, 4, 4)),
    texts=(Text(0, 5, "la"), Text(300, 5, "le")),
)


def test_what_begins_before_the_bar_is_kept_and_what_goes_on_into_it_is_cut() -> None:
    cut = before_bar(PIECE, 2)
    assert [tuple(track.notes) for track in cut.tracks] == [(Note(0, 300, 60, 80), Note(299, 1, 62, 80)), ()]
    assert cut.tracks[0].program == 40
    assert tuple(cut.tracks[0].events) == tuple(BENDS[:1])
    assert cut.tracks[1].pedal == (PedalSpan(0, 300),)
    assert cut.tempos == PIECE.tempos[:1]
    assert cut.time_signatures == PIECE.time_signatures[:1]
    assert cut.texts == PIECE.texts[:1]


def test_bars_follow_the_time_signatures() -> None:
    assert [before_bar(PIECE, bar).num_notes for bar in (2, 3, 4)] == [2, 3, 4]
    assert before_bar(PIECE, 4).duration_seconds == pytest.approx(6 * 0.4 + 0.06)


@pytest.mark.parametrize(("bar", "what"), [(0, "1 to 4"), (5, "1 to 4"), (1, "nothing begins before it")])
def test_bars_that_no_primer_can_end_at(bar: int, what: str) -> None:
    with pytest.raises(SettingError, match=what):
        before_bar(PIECE, bar)
