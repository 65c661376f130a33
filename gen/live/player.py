"""Plays pieces of music to a MIDI port, in time.

Every onset has a deadline on a clock that only runs forward: the time at which the music began plus the seconds of the
onset. So the error of one wait is not carried to the next. If the music is later than `STALL_SECONDS`, because a piece
was late or the machine slept, it continues from there in its own rhythm instead of catching up in a rush.

At the end, also after an error, every note that sounds gets its note-off, and every channel that has played gets pedal
up and "all notes off".
"""

import gc
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple, Protocol, Self

import mido

from gen.errors import SettingError
from gen.live.channels import Channels
from gen.music.midi.protocol import ALL_NOTES_OFF, SUSTAIN_PEDAL
from gen.music.score import NoteEvent, Tempo, TimeSignature

Piece = NoteEvent | Tempo | TimeSignature

TICK_SECONDS = 0.01  # the longest wait, so the delay of knobs, pieces and Ctrl-C
STALL_SECONDS = 0.1  # a greater lateness is a pause of the music, not an uneven note
SWITCH_SECONDS = 0.0005  # Python lets one thread compute for 5 ms while another wants to send a note


class Clock(Protocol):
    """Seconds that only run forward, from any beginning."""

    def now(self) -> float: ...
    def wait_until(self, seconds: float) -> None:
        """Returns at that time, or at once if it is past."""
        ...


class OutputPort(Protocol):
    """The part of a mido port that playing needs."""

    def send(self, message: mido.Message) -> None: ...


class RealClock:
    """The machine's own clock."""

    def now(self) -> float:
        """Returns `time.monotonic`."""
        return time.monotonic()

    def wait_until(self, seconds: float) -> None:
        """Sleeps."""
        time.sleep(max(0.0, seconds - time.monotonic()))


class Moment(NamedTuple):
    """The state of the playing."""

    seconds: float  # of the music
    num_notes: int  # begun so far
    num_stalls: int  # pauses in which the music had to wait


class _Voice(NamedTuple):
    """A key that is down."""

    channel: int
    pitch: int


class _Timed(NamedTuple):
    """An onset or an end at a time of the music; at equal times ends come first, then in the order of planning."""

    seconds: float
    rank: int  # 0 for an end, 1 for an onset
    number: int
    note: NoteEvent
    voice: _Voice | None  # of an end


class Player:
    """Plays to one port; as a context manager it leaves the port silent.

    Args:
        port: a mido output port, or an object with the same `send`.
        clock: the time of the playing.
    """

    def __init__(self, port: OutputPort, clock: Clock) -> None:
        self._port = port
        self._clock = clock
        self._channels = Channels()
        self._plan: list[_Timed] = []  # a heap
        self._numbers = count()
        self._sounding: dict[_Voice, int] = {}  # with the number of the end that is planned for it
        self._begin = 0.0  # when second 0 of the music is, by the clock
        self._has_begun = False
        self._next: NoteEvent | None = None  # the first note that is not in the plan
        self._latest_onset = 0.0
        self._num_notes = self._num_stalls = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.silence()

    def play(self, pieces: Iterator[Piece | None]) -> Iterator[Moment]:
        """Plays to the end of the pieces, or until its caller stops; yields at least every `TICK_SECONDS`.

        Args:
            pieces: in time order; None if the next one is not there yet. A note is pulled two ticks before it sounds. A
                note that follows a later one begins at once, if it has not ended by then.

        Raises SettingError if the port fails, and the errors of `pieces`.
        """
        may_come = True
        while True:
            may_come = may_come and self._planned(pieces)
            if not may_come and not self._plan:
                return
            tick = self._clock.now() + TICK_SECONDS
            self._clock.wait_until(min(self._due(self._plan[0]), tick) if self._plan else tick)
            self._act()
            yield Moment(self._position(), self._num_notes, self._num_stalls)

    def silence(self) -> None:
        """Ends every note that sounds, then silences every channel that was used; a broken port is no error here."""
        for voice in list(self._sounding):
            with suppress(SettingError):
                self._end(voice)
        for channel in self._channels.used():
            for control in (SUSTAIN_PEDAL, ALL_NOTES_OFF):
                with suppress(SettingError):
                    self._send("control_change", channel=channel, control=control, value=0)
        self._sounding.clear()
        self._plan.clear()

    def _position(self) -> float:
        """Returns the time of the music; 0 before it begins."""
        return self._clock.now() - self._begin if self._has_begun else 0.0

    def _due(self, timed: _Timed) -> float:
        """Returns the deadline on the clock; as one sum, so that after a wait until then it is due."""
        return self._begin + timed.seconds

    def _planned(self, pieces: Iterator[Piece | None]) -> bool:
        """Plans the onsets of the next two ticks; returns whether more may come."""
        while True:
            if self._next is None:
                try:
                    piece = next(pieces)
                except StopIteration:
                    return False
                if piece is None:
                    return True
                if not isinstance(piece, NoteEvent):
                    continue  # onsets are in seconds: tempo and metre do not change them
                self._next = piece
            if not self._has_begun:
                self._has_begun = True
                self._begin = self._clock.now() - self._next.onset_seconds
            if self._next.onset_seconds > self._position() + 2 * TICK_SECONDS:
                return True
            self._plan_onset(self._next)
            self._next = None

    def _plan_onset(self, note: NoteEvent) -> None:
        onset = note.onset_seconds
        if onset < self._latest_onset:  # its decoder let others past it
            onset = max(onset, self._position())
            if onset >= note.onset_seconds + note.duration_seconds:
                return
        self._latest_onset = max(onset, self._latest_onset)
        heappush(self._plan, _Timed(onset, 1, next(self._numbers), note, None))

    def _act(self) -> None:
        """Sends the onsets and ends that are due."""
        while self._plan and (late := self._clock.now() - self._due(self._plan[0])) >= 0:
            timed = heappop(self._plan)
            if late > STALL_SECONDS:
                self._begin += late
                self._num_stalls += 1
            if timed.voice is None:
                self._start(timed)
            elif self._sounding.get(timed.voice) == timed.number:
                self._end(timed.voice)

    def _start(self, timed: _Timed) -> None:
        note = timed.note
        busy = {voice.channel for voice in self._sounding}
        channel, is_new = self._channels.take(note.program, is_drum=note.is_drum, busy=busy)
        if is_new:
            for voice in [voice for voice in self._sounding if voice.channel == channel]:
                self._end(voice)
            self._send("program_change", channel=channel, program=note.program)
        voice = _Voice(channel, note.pitch)
        if voice in self._sounding:
            self._end(voice)
        number = next(self._numbers)
        self._sounding[voice] = number  # before it is sent: an exception between the two leaves no note hanging
        self._send("note_on", channel=channel, note=note.pitch, velocity=note.velocity)
        self._num_notes += 1
        end = max(timed.seconds, note.onset_seconds + note.duration_seconds)
        heappush(self._plan, _Timed(end, 0, number, note, voice))

    def _end(self, voice: _Voice) -> None:
        self._send("note_off", channel=voice.channel, note=voice.pitch, velocity=0)
        del self._sounding[voice]
        self._channels.rest(voice.channel)

    def _send(self, kind: str, **fields: int) -> None:
        try:
            self._port.send(mido.Message(kind, **fields))
        except (OSError, ValueError) as err:  # ValueError is what mido says of a closed port
            raise SettingError(
                f"port: takes no more notes ({err})", hint="gen play --list shows what is there"
            ) from err


@contextmanager
def punctual() -> Iterator[None]:
    """Keeps the pauses of Python itself short while music plays."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()  # a collection would look through the half million objects of torch, which takes 50 ms
    try:
        yield
    finally:
        gc.unfreeze()
        sys.setswitchinterval(before)
