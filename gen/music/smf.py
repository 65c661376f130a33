"""Reads the events of the tracks of a Standard MIDI File.

The format is that of "The Complete MIDI 1.0 Detailed Specification" (MMA 1996). Nothing that a file says about its own
lengths is trusted: all reading stays within the bytes that are there, takes time in proportion to them, and keeps some
hundred bytes an event at most. Where a track cannot be parsed, what came before in it is kept.

Channel events with two data bytes, which is nearly all that a file holds, are found one after another, for where one
ends depends on all before it; what they say is looked up for all of them at once, with numpy, in `Events`. A running
status holds until another channel event names one: meta, system exclusive and real-time events do not end it.
"""

from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gen.music.chunks import PATTERNS, Chunks
from gen.music.rules import DATA_CLIPPED, MAX_TICKS, PATTERNS_LEFT_OUT, TRACKS_CUT
from gen.music.score import differences

TRACK_NAME, TEMPO, TIME_SIGNATURE, KEY_SIGNATURE = 0x03, 0x51, 0x58, 0x59

_TRUNCATED = "truncated inside a track"
_LONGEST_NUMBER = 4096  # bytes: no writer takes more than 4, yet readers take any
_KEPT_METAS = frozenset({TRACK_NAME, TEMPO, TIME_SIGNATURE, KEY_SIGNATURE})
_SYSTEM_DATA_BYTES = {0xF1: 1, 0xF2: 2, 0xF3: 1, 0xF6: 0, 0xF8: 0, 0xFA: 0, 0xFB: 0, 0xFC: 0, 0xFE: 0}


class Meta(NamedTuple):
    """A meta event of one of the kinds that are read."""

    track: int
    tick: int
    kind: int
    data: bytes


class Program(NamedTuple):
    """From `tick` on a channel plays `program`."""

    tick: int
    channel: int
    program: int


class Events(NamedTuple):
    """What the tracks of a file say, in the order of the file.

    The arrays are (N,): the channel events of two data bytes, of which a data byte over 127 is read as 127.
    """

    tracks: NDArray[np.int64]
    ticks: NDArray[np.int64]
    statuses: NDArray[np.uint8]
    firsts: NDArray[np.uint8]
    seconds: NDArray[np.uint8]
    programs: list[Program]
    metas: list[Meta]
    ends: list[int]  # the last tick of each track
    findings: Counter[str]
    damage: str | None  # why the first of the tracks that were cut short was


class _DamagedError(Exception):
    """A track cannot be parsed any further; its argument says why. Never leaves this module."""


class _Reader:
    """Reads track after track of a file and collects what they say."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.places = array("q")  # of the first data byte of each channel event that has two
        self.ticks = array("q")
        self.counts: list[int] = []  # how many of them there are when a track ends
        self.programs: list[Program] = []
        self.metas: list[Meta] = []
        self.ends: list[int] = []
        self.is_clipped = False
        self.num_cut = 0
        self.damage: str | None = None

    def read_track(self, start: int, stop: int) -> None:
        """Adds the events of one track, up to where it breaks."""
        first, first_program = len(self.places), len(self.programs)
        tick, damage = self._parse(start, stop)
        if len(self.places) > first and self.data[self.places[first] - 1] < 0x80:
            tick, damage = self.ticks[first], "a data byte without a status before it"
            self._cut(first, first_program, tick=tick)
        if tick > MAX_TICKS:
            tick, damage = MAX_TICKS, f"a track past {MAX_TICKS} ticks"
            self._cut(bisect_right(self.ticks, MAX_TICKS, first), first_program, tick=tick)
        self.num_cut += damage is not None
        self.damage = self.damage or damage
        self.counts.append(len(self.places))
        self.ends.append(tick)

    def _parse(self, start: int, stop: int) -> tuple[int, str | None]:
        """Adds the events from `start` on; returns the last tick, and what keeps the rest from being read."""
        data, place, tick, status, byte = self.data, start, 0, 0, 0xFF
        add_place, add_tick = self.places.append, self.ticks.append
        try:
            while place < stop:
                delta = data[place]
                place += 1
                if delta >= 0x80:
                    byte = data[place]
                    place += 1
                    if byte < 0x80:  # a call for each would take a third longer
                        delta = (delta & 0x7F) << 7 | byte
                    else:
                        delta, place = self._number(place - 2)
                tick += delta
                byte = data[place]
                if byte >= 0x80:
                    place += 1
                    if byte >= 0xF0:
                        place = self._read_system(byte, place, tick=tick, stop=stop)
                        continue
                    status = byte
                if 0xC0 <= status < 0xE0:
                    self._read_one_byte(status, data[place], tick=tick)
                    place += 1
                else:
                    add_place(place)
                    add_tick(tick)
                    place += 2
        except IndexError:
            return tick, _TRUNCATED
        except _DamagedError as err:
            return tick, str(err)
        if place <= stop:
            return tick, None
        if byte < 0xF0:  # the last event is no whole one
            self._drop_last(is_program=0xC0 <= status < 0xD0, is_short=0xC0 <= status < 0xE0)
        return tick, _TRUNCATED

    def _drop_last(self, *, is_program: bool, is_short: bool) -> None:
        """Takes back the channel event that was added last."""
        if is_program:
            self.programs.pop()
        elif not is_short:
            self.places.pop()
            self.ticks.pop()

    def _cut(self, num_events: int, num_programs: int, *, tick: int) -> None:
        """Takes back the events of the current track from the given one on, and all others of it after `tick`."""
        del self.places[num_events:], self.ticks[num_events:]
        while len(self.programs) > num_programs and self.programs[-1].tick > tick:
            self.programs.pop()
        while self.metas and self.metas[-1].track == len(self.ends) and self.metas[-1].tick > tick:
            self.metas.pop()

    def events(self) -> Events:
        """Returns what was read."""
        data = np.frombuffer(self.data, np.uint8)
        places, ticks = np.frombuffer(self.places, np.int64), np.frombuffer(self.ticks, np.int64)
        counts = differences(np.array(self.counts, np.int64))
        before = data[places - 1]  # a status, or else the last byte of a delta time, which is below 0x80
        has_status = before >= 0x80
        named = np.maximum.accumulate(np.where(has_status, np.arange(len(places)), 0))
        firsts, seconds = data[places], data[places + 1]
        is_clipped = self.is_clipped or bool(((firsts | seconds) > 127).any())
        return Events(
            tracks=np.repeat(np.arange(len(counts)), counts),
            ticks=ticks,
            statuses=before[named],
            firsts=np.minimum(firsts, 127),
            seconds=np.minimum(seconds, 127),
            programs=self.programs,
            metas=self.metas,
            ends=self.ends,
            findings=+Counter({DATA_CLIPPED: int(is_clipped), TRACKS_CUT: self.num_cut}),
            damage=self.damage,
        )

    def _number(self, start: int) -> tuple[int, int]:
        """Returns the number that starts there, and where it stops; past MAX_TICKS its exact value is lost."""
        value, place = 0, start
        while (byte := self.data[place]) >= 0x80:
            value = min(value << 7 | byte & 0x7F, MAX_TICKS + 1)
            place += 1
        if place - start > _LONGEST_NUMBER:
            raise _DamagedError(f"over {_LONGEST_NUMBER} bytes above 127 in a row")
        return min(value << 7 | byte, MAX_TICKS + 1), place + 1

    def _read_system(self, status: int, place: int, *, tick: int, stop: int) -> int:
        """Reads the meta or system event whose status stands before `place`; returns where it stops."""
        if status not in (0xF0, 0xF7, 0xFF):
            size = _SYSTEM_DATA_BYTES.get(status)
            if size is None:
                raise _DamagedError(f"undefined status byte {status:#04x}")
            self._clip(max(self.data[place : place + size], default=0))
            return place + size
        kind = self.data[place]
        length, place = self._number(place + (status == 0xFF))
        if status == 0xFF and kind in _KEPT_METAS:
            if place + length > stop:
                raise IndexError
            self.metas.append(Meta(len(self.ends), tick, kind, self.data[place : place + length]))
        return place + length

    def _read_one_byte(self, status: int, value: int, *, tick: int) -> None:
        """Takes a change of program, or an aftertouch, which counts only if it is out of range."""
        if status < 0xD0:
            self.programs.append(Program(tick, status & 0x0F, self._clip(value)))
        else:
            self._clip(value)

    def _clip(self, value: int) -> int:
        self.is_clipped = self.is_clipped or value > 127
        return min(value, 127)


def read_events(chunks: Chunks) -> Events:
    """Returns what the tracks of a file say, each as far as it is sound; of patterns, the first that has notes."""
    if chunks.kind != PATTERNS:
        return _read(chunks.data, chunks.tracks)
    patterns = (_read(chunks.data, [track]) for track in chunks.tracks)
    events = next(patterns)
    while not (events.statuses & 0xF0 == 0x90).any() and (following := next(patterns, None)):
        events = following
    events.findings[PATTERNS_LEFT_OUT] += len(chunks.tracks) - 1
    return events


def _read(data: bytes, tracks: Sequence[tuple[int, int]]) -> Events:
    reader = _Reader(data)
    for start, stop in tracks:
        reader.read_track(start, stop)
    return reader.events()
