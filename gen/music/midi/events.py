"""Reads the events of the tracks of a Standard MIDI File.

The format is that of "The Complete MIDI 1.0 Detailed Specification" (MMA 1996). Nothing that a file says about its own
lengths is trusted: all reading stays within the bytes that are there, takes time in proportion to them, and keeps some
hundred bytes an event at most. Where a track cannot be parsed, what came before in it is kept.

Channel events, which are nearly all that a file holds, are found one after another, for where one ends depends on all
before it; what they say is looked up for all of them at once, with numpy, in `Events`. A running status holds until
another channel event names one: meta, system exclusive and real-time events do not end it.
"""

from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gen.music.midi.chunks import PATTERNS, Chunks
from gen.music.midi.rules import DATA_CLIPPED, MAX_TICKS, PATTERNS_LEFT_OUT, TRACKS_CUT
from gen.music.score import differences

# Kinds of `Systems`: the type of a meta event; of another, its status and two zeros.
TEXT, COPYRIGHT, LYRIC, MARKER, CUE_POINT = 0x01, 0x02, 0x05, 0x06, 0x07
TRACK_NAME, DEVICE_NAME, CHANNEL_PREFIX, PORT_PREFIX = 0x03, 0x09, 0x20, 0x21
TEMPO, TIME_SIGNATURE, KEY_SIGNATURE = 0x51, 0x58, 0x59
EXCLUSIVE, CONTINUED = 0xF000, 0xF700  # a message, and what goes on with one that has no end yet

_TRUNCATED = "truncated inside a track"
_MAX_NUMBER = 4096  # bytes: no writer takes more than 4, yet readers take any
_SYSTEM_DATA_BYTES = {0xF1: 1, 0xF2: 2, 0xF3: 1, 0xF6: 0, 0xF8: 0, 0xFA: 0, 0xFB: 0, 0xFC: 0, 0xFE: 0}

Ints = NDArray[np.int64]


class System(NamedTuple):
    """A meta or system event; `data` is what follows its length, of an event without one its data bytes."""

    track: int
    tick: int
    kind: int
    data: bytes


class Systems(NamedTuple):
    """The meta and system events of a file in its order: (S,) arrays."""

    tracks: Ints
    ticks: Ints
    kinds: Ints
    places: Ints  # in the file, of the status
    starts: Ints  # in the file, of the data
    stops: Ints

    def where(self, kinds: Sequence[int]) -> Ints:
        """Returns the indices of the events of some kinds."""
        return np.flatnonzero(np.logical_or.reduce([self.kinds == kind for kind in kinds]))


class Events(NamedTuple):
    """What the tracks of a file say, in the order of the file.

    The arrays are (N,): the channel events. A data byte over 127 is read as 127; the second of an event that has one is
    0.
    """

    data: bytes
    tracks: Ints
    ticks: Ints
    statuses: NDArray[np.uint8]
    firsts: NDArray[np.uint8]
    seconds: NDArray[np.uint8]
    places: Ints  # in the file, of the first data byte
    systems: Systems
    starts: list[int]  # in the file, where each track starts
    ends: list[int]  # the last tick of each track
    findings: Counter[str]
    damage: str | None  # why the first of the tracks that were cut short was

    def each_system(self, indices: Ints) -> Iterator[System]:
        """Yields some of the meta and system events."""
        rows = (self.systems.tracks, self.systems.ticks, self.systems.kinds, self.systems.starts, self.systems.stops)
        for track, tick, kind, start, stop in zip(*(row[indices].tolist() for row in rows), strict=True):
            yield System(track, tick, kind, self.data[start:stop])


class _DamagedError(Exception):
    """A track cannot be parsed any further; its argument says why. Never leaves this module."""


class _Reader:
    """Reads track after track of a file and collects what they say."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.places = array("q")  # of the first data byte of each channel event
        self.ticks = array("q")
        self.counts: list[int] = []  # how many of them there are when a track ends
        self.system_ticks = array("q")
        self.system_bounds = array("q")  # of each meta and system event: status, start and stop of its data
        self.system_counts: list[int] = []
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.is_clipped = False
        self.num_cut = 0
        self.damage: str | None = None

    def read_track(self, start: int, stop: int) -> None:
        """Adds the events of one track, up to where it breaks."""
        first, first_system = len(self.places), len(self.system_ticks)
        tick, damage = self._parse(start, stop)
        if len(self.places) > first and self.data[self.places[first] - 1] < 0x80:
            tick, damage = self.ticks[first], "a data byte without a status before it"
            self._cut(first, bisect_right(self.system_ticks, tick, first_system))
        if tick > MAX_TICKS:
            tick, damage = MAX_TICKS, f"a track past {MAX_TICKS} ticks"
            self._cut(bisect_right(self.ticks, tick, first), bisect_right(self.system_ticks, tick, first_system))
        self.num_cut += damage is not None
        self.damage = self.damage or damage
        self.counts.append(len(self.places))
        self.system_counts.append(len(self.system_ticks))
        self.starts.append(start)
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
                add_place(place)
                add_tick(tick)
                place += 1 if 0xC0 <= status < 0xE0 else 2
        except IndexError:
            return tick, _TRUNCATED
        except _DamagedError as err:
            return tick, str(err)
        if place <= stop:
            return tick, None
        if byte < 0xF0:  # the last event is no whole one
            self.places.pop()
            self.ticks.pop()
        return tick, _TRUNCATED

    def _cut(self, num_events: int, num_systems: int) -> None:
        """Takes back what was read last, but for so many events."""
        del self.places[num_events:], self.ticks[num_events:]
        del self.system_ticks[num_systems:], self.system_bounds[3 * num_systems :]

    def events(self) -> Events:
        """Returns what was read."""
        data = np.frombuffer(self.data, np.uint8)
        places, ticks = np.frombuffer(self.places, np.int64), np.frombuffer(self.ticks, np.int64)
        counts = differences(np.array(self.counts, np.int64))
        before = data[places - 1]  # a status, or else the last byte of a delta time, which is below 0x80
        has_status = before >= 0x80
        named = np.maximum.accumulate(np.where(has_status, np.arange(len(places)), 0))
        statuses = before[named]
        firsts = data[places]
        seconds = np.where(statuses & 0xE0 == 0xC0, 0, data[np.minimum(places + 1, len(data) - 1)])
        is_clipped = self.is_clipped or bool(((firsts | seconds) > 127).any())
        return Events(
            data=self.data,
            tracks=np.repeat(np.arange(len(counts)), counts),
            ticks=ticks,
            statuses=statuses,
            firsts=np.minimum(firsts, 127),
            seconds=np.minimum(seconds, 127),
            places=places,
            systems=self._systems(data),
            starts=self.starts,
            ends=self.ends,
            findings=+Counter({DATA_CLIPPED: int(is_clipped), TRACKS_CUT: self.num_cut}),
            damage=self.damage,
        )

    def _systems(self, data: NDArray[np.uint8]) -> Systems:
        counts = differences(np.array(self.system_counts, np.int64))
        places, starts, stops = np.frombuffer(self.system_bounds, np.int64).reshape(-1, 3).T
        statuses = data[places].astype(np.int64)
        types = data[np.minimum(places + 1, len(data) - 1)]
        return Systems(
            tracks=np.repeat(np.arange(len(counts)), counts),
            ticks=np.frombuffer(self.system_ticks, np.int64),
            kinds=np.where(statuses == 0xFF, types, statuses << 8),
            places=places,
            starts=starts,
            stops=stops,
        )

    def _number(self, start: int) -> tuple[int, int]:
        """Returns the number that starts there, and where it stops; past MAX_TICKS its exact value is lost."""
        value, place = 0, start
        while (byte := self.data[place]) >= 0x80:
            value = min(value << 7 | byte & 0x7F, MAX_TICKS + 1)
            place += 1
        if place - start > _MAX_NUMBER:
            raise _DamagedError(f"over {_MAX_NUMBER} bytes above 127 in a row")
        return min(value << 7 | byte, MAX_TICKS + 1), place + 1

    def _read_system(self, status: int, place: int, *, tick: int, stop: int) -> int:
        """Adds the meta or system event whose status stands before `place`; returns where it stops."""
        before = place - 1
        if status in (0xF0, 0xF7, 0xFF):
            length, place = self._number(place + (status == 0xFF))
        else:
            size = _SYSTEM_DATA_BYTES.get(status)
            if size is None:
                raise _DamagedError(f"undefined status byte {status:#04x}")
            length = size
            self.is_clipped = self.is_clipped or max(self.data[place : place + size], default=0) > 127
        if place + length > stop:
            raise IndexError
        self.system_ticks.append(tick)
        self.system_bounds.extend((before, place, place + length))
        return place + length


def read_events(chunks: Chunks) -> Events:
    """Returns what the tracks of a file say, each as far as it is sound; of patterns, the first that has notes."""
    if chunks.kind != PATTERNS:
        return read_tracks(chunks)
    patterns = (_read(chunks.data, [track]) for track in chunks.tracks)
    events = next(patterns)
    while not (events.statuses & 0xF0 == 0x90).any() and (following := next(patterns, None)):
        events = following
    events.findings[PATTERNS_LEFT_OUT] += len(chunks.tracks) - 1
    return events


def read_tracks(chunks: Chunks) -> Events:
    """Returns what all tracks of a file say, each as far as it is sound."""
    return _read(chunks.data, chunks.tracks)


def _read(data: bytes, tracks: Sequence[tuple[int, int]]) -> Events:
    reader = _Reader(data)
    for start, stop in tracks:
        reader.read_track(start, stop)
    return reader.events()
