from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gen.music.score import NoteEvent, Tempo, TimeSignature
from gen.music.views.terminal import MIN_WIDTH, ScrollingRoll

Piece = NoteEvent | Tempo | TimeSignature
STRUCK = "\u2591\u2592\u2593\u2588"
EIGHTH = 0.125  # seconds a line where no tempo is told


def lines(pieces: Iterable[Piece], *, width: int = 80) -> list[str]:
    """Returns the lines of notes, without those with names of instruments and octaves."""
    roll = ScrollingRoll(width=width, ticks_per_beat=480)
    drawn = [line for piece in pieces for line in roll.push(piece)]
    return [line for line in [*drawn, *roll.finish()] if line[6:7] == "\u2502"]


def column(line: str, marks: str) -> int:
    return next(place for place, mark in enumerate(line) if mark in marks)


def a_note(
    onset: float, duration: float = EIGHTH, pitch: int = 60, velocity: int = 127, *, drum: bool = False
) -> NoteEvent:
    return NoteEvent(onset, duration, pitch, velocity, is_drum=drum)


def test_a_note_stands_in_the_lines_in_which_it_sounds() -> None:
    drawn = lines([a_note(2 * EIGHTH, 3 * EIGHTH, 61), a_note(6 * EIGHTH, pitch=61)])
    place = column(drawn[2], STRUCK)
    assert [line[place : place + 1].strip() for line in drawn] == ["", "", "\u2588", "\u2502", "\u2502", "", "\u2588"]


@pytest.mark.parametrize(("velocity", "mark"), [(1, "\u2591"), (33, "\u2592"), (64, "\u2593"), (127, "\u2588")])
def test_a_louder_note_is_darker(velocity: int, mark: str) -> None:
    assert mark in lines([a_note(0, velocity=velocity)])[0]


def test_a_higher_pitch_is_further_right_by_a_column_a_semitone() -> None:
    drawn = lines([a_note(0, pitch=60), a_note(EIGHTH, pitch=67), a_note(2 * EIGHTH, pitch=48)])
    places = [column(line, STRUCK) for line in drawn]
    assert [place - places[0] for place in places] == [0, 7, -12]


def test_bars_are_numbered_where_the_metre_says() -> None:
    metre: list[Piece] = [Tempo(0, 500_000), TimeSignature(0, 3, 4)]
    change: list[Piece] = [Tempo(2880, 1_000_000), TimeSignature(2880, 2, 4)]  # after two bars, 3 s
    drawn = lines([*metre, a_note(0), *change, a_note(3.0), a_note(8.75)])
    numbers = {place: line[:6].strip() for place, line in enumerate(drawn) if line[:6].strip()}
    assert numbers == {0: "1", 12: "2", 24: "3", 32: "4", 40: "5"}
    assert [place for place, line in enumerate(drawn) if "\u2588" in line] == [0, 24, 24 + 23]  # 5.75 s of 0.25 s


def test_without_a_metre_whole_seconds_are_numbered() -> None:
    drawn = lines([a_note(0), a_note(2.25)])
    assert [line[:6].strip() for line in drawn][::8] == ["0 s", "1 s", "2 s"]
    assert {line[:6].strip() for line in drawn} == {"0 s", "1 s", "2 s", ""}


def test_drums_have_columns_of_their_own_with_their_names() -> None:
    roll = ScrollingRoll(width=80)
    pieces = [a_note(0, pitch=60), a_note(0, pitch=36, drum=True), a_note(0, pitch=38, drum=True)]
    assert [line for piece in pieces for line in roll.push(piece)] == []
    instruments, head, first, *_ = roll.finish()
    assert instruments.split() == ["acoustic", "grand", "piano", "drums"]
    strip = first.rindex("\u2502") + 1
    assert head[strip:] == "ksrhotcro"
    assert (first[strip], first[strip + 1]) == ("\u2588", "\u2588")


def test_drums_alone_have_the_whole_width() -> None:
    roll = ScrollingRoll(width=80)
    list(roll.push(a_note(0, pitch=42, drum=True)))
    _, head, first = roll.finish()
    assert head.split() == ["kick", "snare", "rim", "hat", "open", "tom", "crash", "ride", "other"]
    assert head.index("hat") == first.index("\u2588")


def test_pitches_outside_the_columns_are_shown_an_octave_away() -> None:
    drawn = lines([a_note(0, pitch=21), a_note(EIGHTH, pitch=108)], width=MIN_WIDTH)
    low, high = (column(line, STRUCK) for line in drawn)
    assert (high - low) % 12 == (108 - 21) % 12


def test_a_line_comes_as_soon_as_a_later_piece_does() -> None:
    roll = ScrollingRoll()
    list(roll.push(a_note(0)))
    assert len(list(roll.push(a_note(0.9 * EIGHTH)))) == 0
    assert len(list(roll.push(a_note(EIGHTH)))) == 3  # with two lines of head


def test_a_note_that_comes_too_late_is_not_drawn_as_if_it_were_struck() -> None:
    late = [a_note(0), a_note(8 * EIGHTH), a_note(0, 20 * EIGHTH, pitch=72), a_note(0, EIGHTH, pitch=76)]
    drawn = lines(late)
    assert sum(mark in STRUCK for line in drawn for mark in line) == 2
    assert "\u2502" in drawn[8][7:]


@given(
    st.lists(
        st.tuples(
            st.floats(0, 3),
            st.floats(0.01, 9),
            st.integers(0, 127),
            st.integers(1, 127),
            st.booleans(),
            st.integers(0, 9),
        ),
        max_size=40,
    ),
    st.integers(1, 250),
)
def test_no_line_is_wider_than_asked_and_none_is_lost(
    notes: list[tuple[float, float, int, int, bool, int]], width: int
) -> None:
    events = sorted(NoteEvent(*note[:4], program=note[5], is_drum=note[4]) for note in notes)
    roll = ScrollingRoll(width=width)
    drawn = [line for event in events for line in roll.push(event)]
    drawn += roll.finish()
    assert all(len(line) <= max(width, MIN_WIDTH) for line in drawn)
    body = [line for line in drawn if line[6:7] == "\u2502"]
    ends = [(event.onset_seconds + event.duration_seconds) / EIGHTH for event in events]
    assert len(body) == pytest.approx(max(ends, default=0), abs=1.01)


def test_colours_are_given_only_when_asked_and_leave_the_text_as_it_is() -> None:
    import re

    pieces = [a_note(0), NoteEvent(0, 1, 50, 100, 40), a_note(0.5, drum=True, pitch=36)]
    plain, coloured = ScrollingRoll(), ScrollingRoll(is_coloured=True)
    shown = [
        [line for piece in pieces for line in roll.push(piece)] + list(roll.finish()) for roll in (plain, coloured)
    ]
    assert "\x1b" not in "".join(shown[0])
    assert [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in shown[1]] == shown[0]
    assert {"\x1b[0;36m", "\x1b[0;33m", "\x1b[0;32m"} <= set(re.findall(r"\x1b\[[0-9;]*m", "".join(shown[1])))
