import random
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gen.errors import SettingError
from gen.live.player import STALL_SECONDS, TICK_SECONDS, Piece, Player
from gen.music.score import NoteEvent, Tempo, TimeSignature
from tests.live.live import FakeClock, KeepingPort, restruck, unbalanced

NUM_INTERRUPTS = 100
AFTERWARDS = [64, 123]  # pedal up, all notes off

frames = st.integers(0, 400).map(lambda frame: frame / 100)
notes = st.builds(
    NoteEvent,
    onset_seconds=frames,
    duration_seconds=st.integers(1, 100).map(lambda frame: frame / 100),
    pitch=st.integers(60, 64),
    velocity=st.integers(1, 127),
    program=st.integers(0, 2),
    is_drum=st.booleans(),
)
tunes = st.lists(notes, max_size=30).map(lambda tune: sorted(tune, key=lambda note: note.onset_seconds))


class Interrupted(BaseException):
    """As KeyboardInterrupt, which pytest would take for its own."""


def played(pieces: list[Piece] | Iterator[Piece | None], clock: FakeClock | None = None) -> KeepingPort:
    """Returns the port to which pieces were played to their end."""
    clock = clock or FakeClock()
    port = KeepingPort(clock)
    with Player(port, clock) as player:
        for _ in player.play(iter(pieces)):
            pass
    return port


def busy_tune() -> list[Piece]:
    """Two hundred notes of many programs and drums, some of them long, on keys that are struck again."""
    dice = random.Random(7)  # noqa: S311 - no secret
    tune: list[Piece] = [
        NoteEvent(n * 0.03, dice.uniform(0.01, 0.8), dice.randrange(50, 62), 80, dice.randrange(20), n % 5 == 0)
        for n in range(200)
    ]
    return tune


def test_notes_sound_when_and_as_long_as_they_are_written() -> None:
    tune = [NoteEvent(0.5, 0.25, 60, 90), NoteEvent(0.5, 1.0, 64, 80), NoteEvent(1.25, 0.125, 60, 70)]
    port = played(list(tune))
    begin = port.got[0][0]
    heard = [(seconds - begin, m.type, m.note) for seconds, m in port.got if m.type.startswith("note")]
    assert heard == [
        (0.0, "note_on", 60),
        (0.0, "note_on", 64),
        (0.25, "note_off", 60),
        (0.75, "note_on", 60),
        (0.875, "note_off", 60),
        (1.0, "note_off", 64),
    ]
    assert [m.velocity for m in port.messages("note_on")] == [90, 80, 70]


@given(tunes)
def test_every_note_of_any_tune_begins_on_time_and_ends(tune: list[NoteEvent]) -> None:
    port = played(list(tune))
    assert unbalanced(m for _, m in port.got) == {}
    assert restruck(m for _, m in port.got) == []
    began = port.times("note_on")
    assert [at - began[0] for at in began] == pytest.approx(
        [note.onset_seconds - tune[0].onset_seconds for note in tune], abs=1e-9
    )
    assert [m.note for m in port.messages("note_on")] == [note.pitch for note in tune]


def test_no_error_of_a_wait_is_carried_to_the_next() -> None:
    class Sluggish(FakeClock):
        def wait_until(self, seconds: float) -> None:
            super().wait_until(seconds + 0.004)

    tune = [NoteEvent(n * 0.1, 0.05, 60, 80) for n in range(500)]
    began = played(list(tune), Sluggish()).times("note_on")
    late = [at - began[0] - note.onset_seconds for at, note in zip(began, tune, strict=True)]
    assert max(map(abs, late)) < 0.0041


@pytest.mark.parametrize("seed", range(NUM_INTERRUPTS))
def test_an_interrupt_while_it_waits_leaves_no_note_behind(seed: int) -> None:
    moment = random.Random(seed).randrange(1, 700)  # noqa: S311 - no secret

    def interrupt(num_waits: int) -> None:
        if num_waits == moment:
            raise Interrupted

    clock = FakeClock(interrupt)
    port = KeepingPort(clock)
    with pytest.raises(Interrupted), Player(port, clock) as player:
        for _ in player.play(iter(busy_tune())):
            pass
    messages = [m for _, m in port.got]
    assert unbalanced(messages) == {}
    used = {m.channel for m in messages if m.type == "note_on"}
    assert [(m.channel, m.control) for m in port.messages("control_change")] == [
        (channel, control) for channel in sorted(used) for control in AFTERWARDS
    ]
    assert all(m.type == "control_change" for m in messages[-2 * len(used) :])


@pytest.mark.parametrize("seed", range(20))
def test_a_caller_that_stops_leaves_no_note_behind(seed: int) -> None:
    clock = FakeClock()
    port = KeepingPort(clock)
    with Player(port, clock) as player:
        for number, _ in enumerate(player.play(iter(busy_tune()))):
            if number == 30 * seed:
                break
    assert port.messages("note_on")
    assert unbalanced(m for _, m in port.got) == {}


@pytest.mark.parametrize("number", range(1, 100, 7))
def test_a_port_that_fails_once_is_one_line_and_gets_every_note_off(number: int) -> None:
    def fail(message: int) -> None:
        if message == number:
            raise OSError("unplugged")

    clock = FakeClock()
    port = KeepingPort(clock, fail)
    with pytest.raises(SettingError, match="port: takes no more notes") as failure, Player(port, clock) as player:
        for _ in player.play(iter(busy_tune())):
            pass
    assert "unplugged" in str(failure.value)
    assert all(number <= 0 for number in unbalanced(m for _, m in port.got).values())


def test_a_closed_port_does_not_hide_why_it_ended() -> None:
    def refuse(message: int) -> None:
        if message > 20:
            raise ValueError("send() called on closed port")

    clock = FakeClock()
    with pytest.raises(SettingError, match="closed port"), Player(KeepingPort(clock, refuse), clock) as player:
        for _ in player.play(iter(busy_tune())):
            pass


def test_drums_play_on_channel_10_and_programs_on_channels_of_their_own() -> None:
    tune = [NoteEvent(0.1 * n, 1.0, 60, 80, program) for n, program in enumerate((0, 40, 0, 73))]
    port = played([*tune, NoteEvent(0.5, 0.1, 38, 80, 0, is_drum=True)])
    channels = [m.channel for m in port.messages("note_on")]
    assert channels == [0, 1, 0, 2, 9]
    changes = [(m.channel, m.program) for m in port.messages("program_change")]
    assert changes == [(0, 0), (1, 40), (2, 73), (9, 0)]


def test_a_sixteenth_program_takes_the_channel_that_was_silent_for_longest() -> None:
    # Fifteen programs begin one after the other; program 3 and then program 1 fall silent, all others sound on.
    tune = [NoteEvent(0.1 * n, {3: 0.2, 1: 1.0}.get(n, 9.0), 60, 80, n) for n in range(15)]
    port = played([*tune, NoteEvent(3.0, 0.5, 60, 80, 100), NoteEvent(3.1, 0.5, 60, 80, 101)])
    of = {m.program: m.channel for m in port.messages("program_change")}
    assert len({of[program] for program in range(15)} | {9}) == 16
    assert (of[100], of[101]) == (of[3], of[1])
    assert unbalanced(m for _, m in port.got) == {}


def test_where_all_channels_sound_one_is_silenced_before_it_is_taken() -> None:
    port = played([NoteEvent(0.1 * n, 9.0, 60, 80, n) for n in range(16)])
    messages = [m for _, m in port.got]
    change = next(n for n, m in enumerate(messages) if m.type == "program_change" and m.program == 15)
    assert (messages[change - 1].type, messages[change - 1].channel) == ("note_off", messages[change].channel)
    assert unbalanced(messages) == {}


def test_what_comes_too_late_is_a_pause_and_the_rhythm_goes_on() -> None:
    tune = [NoteEvent(n * 0.2, 0.1, 60, 80) for n in range(10)]

    def pieces() -> Iterator[Piece | None]:
        yield from tune[:5]
        yield from [None] * 300  # 3 seconds
        yield from tune[5:]

    clock = FakeClock()
    port = KeepingPort(clock)
    with Player(port, clock) as player:
        *_, last = player.play(pieces())
    gaps = [after - before for before, after in pairwise(port.times("note_on"))]
    assert gaps[:4] + gaps[5:] == pytest.approx([0.2] * 8)
    assert gaps[4] > 2.0
    assert last.num_stalls == 1
    lengths = [off - on for on, off in zip(port.times("note_on"), port.times("note_off"), strict=True)]
    assert lengths == pytest.approx([0.1] * 10)


def test_a_note_behind_later_ones_is_begun_at_once_or_left_out() -> None:
    tune = [
        NoteEvent(0.0, 0.1, 60, 80),
        NoteEvent(2.0, 0.1, 62, 80),
        NoteEvent(0.5, 4.0, 64, 80),  # still sounds: it began long ago
        NoteEvent(0.6, 0.1, 65, 80),  # over
        NoteEvent(3.0, 0.1, 67, 80),
    ]
    port = played(list(tune))
    begin = port.got[0][0]
    began = {m.note: seconds - begin for seconds, m in port.got if m.type == "note_on"}
    ended = {m.note: seconds - begin for seconds, m in port.got if m.type == "note_off"}
    assert began == pytest.approx({60: 0.0, 62: 2.0, 64: 2.0, 67: 3.0}, abs=2 * TICK_SECONDS)
    assert ended[64] == pytest.approx(4.5)


def test_a_key_that_is_struck_again_is_let_go_first_and_only_once() -> None:
    port = played([NoteEvent(0.0, 1.0, 60, 80), NoteEvent(0.5, 1.0, 60, 80)])
    begin = port.got[0][0]
    heard = [(seconds - begin, m.type) for seconds, m in port.got if m.type.startswith("note")]
    assert heard == [(0.0, "note_on"), (0.5, "note_off"), (0.5, "note_on"), (1.5, "note_off")]


def test_tempo_and_metre_change_nothing_that_is_heard() -> None:
    note = NoteEvent(0.0, 0.5, 60, 80)
    plain, marked = played([note]), played([Tempo(0, 250_000), TimeSignature(0, 3, 4), note])
    assert [m for _, m in marked.got] == [m for _, m in plain.got]


def test_nothing_played_sends_nothing() -> None:
    assert played([]).got == []


def test_a_caller_hears_of_every_tick() -> None:
    clock = FakeClock()
    seconds = []
    with Player(KeepingPort(clock), clock) as player, suppress(StopIteration):
        seconds += [moment.seconds for moment in player.play(iter([NoteEvent(0.0, 1.0, 60, 80)]))]
    assert max(after - before for before, after in pairwise(seconds)) <= TICK_SECONDS * 1.001
    assert STALL_SECONDS > 2 * TICK_SECONDS
