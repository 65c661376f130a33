"""The state of a stream of beat ids, which the decoder and the grammar share.

It takes any ids, also those that no grammar made. A symbol without a meaning in its state is passed over: a Duration
without a Pitch, a Position past the bar's end or before the last note, a TimeSignature within a bar, a Pitch that its
program still sounds. A Pitch without a Duration lasts one position.
"""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gen.codecs.beat import vocab
from gen.codecs.beat.layout import DRUM_TICKS
from gen.music.metre import POSITION_TICKS
from gen.music.score import Tempo, TimeSignature

_MIN_NOTE_TICKS: Final = POSITION_TICKS
_DEFAULT_LEVEL: Final = vocab.NUM_VELOCITIES // 2  # until the first Velocity


class Phase(IntEnum):
    """The kind of the last id, as far as it decides which ids may follow."""

    START = 0  # no id so far
    BAR = 1
    METRE = 2  # a TimeSignature
    OPENED = 3  # a Tempo at a bar's start
    POSITION = 4
    BEHIND = 5  # a Position that is later than the last note only with a MicroTiming
    MICRO_TIMING = 6
    TEMPO = 7  # at a position
    PROGRAM = 8
    VELOCITY = 9
    PITCH = 10
    LONG = 11  # a Duration_96, after which another Duration may come
    NOTE = 12  # a whole note


class BeatNote(NamedTuple):
    """A note in ticks of the grid."""

    onset: int
    length: int
    player: int  # a program or DRUMS
    pitch: int
    velocity: int


Event = BeatNote | Tempo | TimeSignature


@dataclass(slots=True)
class BeatCursor:
    """The music so far; times are ticks of the grid."""

    phase: Phase = Phase.START
    bar_start: int = 0
    bar_length: int = vocab.bar_ticks(vocab.SIGNATURES.index((4, 4)))
    signature: int | None = None
    tempo: int | None = None
    time: int = -1  # of the last Position, with its MicroTiming
    is_open: bool = False  # whether notes may be added at that time
    program: int | None = None
    level: int = -1  # the velocity of the next note, after a Velocity
    has_program: bool = False  # whether a Program came right before that Velocity
    last_player: int = -1  # a program or DRUMS: of the last note at that time
    last_pitch: int = -1  # of that note
    positions: int = 0  # length so far of the note that is not finished
    silent_bars: int = 0  # in a row, right before this one
    has_onset: bool = False  # whether a note begins in this bar
    last_end: int = 0  # of all notes
    levels: list[int] = field(default_factory=lambda: [-1] * vocab.NUM_PLAYERS)  # of the last notes; -1 until the first
    ends: dict[int, NDArray[np.int64]] = field(default_factory=dict)  # by player: (128,) by pitch
    position: int = 0  # of the last Position
    before: int = -1  # `time` before it

    @property
    def is_silent(self) -> bool:
        """True if nothing begins or sounds in this bar so far."""
        return not self.has_onset and self.last_end <= self.bar_start

    def silent_pitches(self, player: int) -> NDArray[np.bool_]:
        """Returns (128,) True for each pitch that a player does not sound at `time`."""
        if player not in self.ends:
            return np.ones(vocab.NUM_PITCHES, np.bool_)
        return self.ends[player] <= self.time

    def advance(self, token: int) -> tuple[Event, ...]:
        """Takes an id; returns the events that it makes certain."""
        if token >= vocab.NUM_SYMBOLS:
            return ()
        if token >= vocab.DURATION:
            return self._duration(token)
        ended = self.finish()
        if token >= vocab.DRUM:
            return (*ended, *self._note(vocab.DRUMS, token - vocab.DRUM))
        if token >= vocab.PITCH:
            return (*ended, *self._note(self.program or 0, token - vocab.PITCH))
        if token >= vocab.VELOCITY:
            self.has_program = self.phase == Phase.PROGRAM
            self.level = token - vocab.VELOCITY
            self.phase = Phase.VELOCITY
        elif token >= vocab.PROGRAM:
            self.program = token - vocab.PROGRAM
            self.phase = Phase.PROGRAM
        elif token >= vocab.MICRO_TIMING:
            self._move(vocab.MICRO_TIMINGS[token - vocab.MICRO_TIMING])
        elif token >= vocab.POSITION:
            self._go_to((token - vocab.POSITION) * POSITION_TICKS)
        elif token >= vocab.TEMPO:
            return (*ended, *self._change_tempo(token - vocab.TEMPO))
        elif token >= vocab.TIME_SIGNATURE:
            return (*ended, *self._change_metre(token - vocab.TIME_SIGNATURE))
        elif token == vocab.BAR:
            self._next_bar()
        return ended

    def finish(self) -> tuple[Event, ...]:
        """Ends the note that is not finished, if there is one, and returns it."""
        if self.phase not in (Phase.PITCH, Phase.LONG):
            return ()
        length = max(self.positions, 1) * POSITION_TICKS
        self.phase = Phase.NOTE
        return (self._last_note(length),)

    def _last_note(self, length: int) -> BeatNote:
        level = self.levels[self.last_player]
        velocity = vocab.level_velocity(_DEFAULT_LEVEL if level < 0 else level)
        return BeatNote(self.time, length, self.last_player, self.last_pitch, velocity)

    def _duration(self, token: int) -> tuple[Event, ...]:
        if self.phase not in (Phase.PITCH, Phase.LONG):
            return ()
        self.positions += token - vocab.DURATION + 1
        self._sound_until(self.time + self.positions * POSITION_TICKS)
        self.phase = Phase.LONG
        return () if token == vocab.LAST_DURATION else self.finish()

    def _note(self, player: int, pitch: int) -> tuple[Event, ...]:
        if not self.is_open:
            self._open(max(self.time, self.bar_start))
        has_level = self.phase == Phase.VELOCITY
        self.phase = Phase.NOTE
        if not self.silent_pitches(player)[pitch]:
            return ()
        if has_level:
            self.levels[player] = self.level
        self.last_player, self.last_pitch = player, pitch
        self.has_onset = True
        if player == vocab.DRUMS:
            self._sound_until(self.time + DRUM_TICKS)
            return (self._last_note(DRUM_TICKS),)
        self.program = player
        self.phase = Phase.PITCH
        self.positions = 0
        self._sound_until(self.time + _MIN_NOTE_TICKS)
        return ()

    def _sound_until(self, end: int) -> None:
        if self.last_player not in self.ends:
            self.ends[self.last_player] = np.zeros(vocab.NUM_PITCHES, np.int64)
        self.ends[self.last_player][self.last_pitch] = end
        self.last_end = max(self.last_end, end)

    def _open(self, time: int) -> None:
        self.time = time
        self.is_open = True
        self.last_player = self.last_pitch = -1

    def _go_to(self, ticks: int) -> None:
        position = self.bar_start + ticks
        if ticks >= self.bar_length or position + vocab.LATEST <= self.time:
            return
        self.position, self.before = position, self.time
        if position <= self.time:
            self.phase = Phase.BEHIND
            return
        self._open(position)
        self.phase = Phase.POSITION

    def _move(self, ticks: int) -> None:
        if self.phase not in (Phase.POSITION, Phase.BEHIND) or self.position + ticks <= self.before:
            return
        self._open(self.position + ticks)
        self.phase = Phase.MICRO_TIMING

    def _change_tempo(self, level: int) -> tuple[Event, ...]:
        if self.phase in (Phase.BAR, Phase.METRE):
            self.phase, onset = Phase.OPENED, self.bar_start
        elif self.phase == Phase.POSITION and self.time > self.bar_start:
            self.phase, onset = Phase.TEMPO, self.time
        else:
            return ()
        self.tempo = level
        return (Tempo(onset, int(vocab.LEVEL_US[level])),)

    def _change_metre(self, signature: int) -> tuple[Event, ...]:
        if self.phase != Phase.BAR:
            return ()
        self.phase = Phase.METRE
        self.signature = signature
        self.bar_length = vocab.bar_ticks(signature)
        return (vocab.signature_at(self.bar_start, signature),)

    def _next_bar(self) -> None:
        if self.phase != Phase.START:
            self.silent_bars = self.silent_bars + 1 if self.is_silent else 0
            self.bar_start += self.bar_length
        self.phase = Phase.BAR
        self.has_onset = self.is_open = False
