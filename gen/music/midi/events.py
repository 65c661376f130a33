"""Reads the events of the tracks of a Standard MIDI File.

The format is that of "The Complete MIDI 1.0 Detailed Specification" (MMA 1996). No length in a file is trusted: reading
stays within the bytes of the file, takes time proportional to their number, and keeps at most some hundred bytes per
event. Where a track cannot be parsed, the events before are kept.

Nearly all events are channel events. Their offsets are found one after another, because each depends on the event
before; then numpy reads the data of all of them at once, in `Events`. A running status holds until another channel
event has a status: meta, system exclusive and real-time events do not end it.
"""

from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gen.music.midi.chunks import PATTERNS, Chunks
from gen.music.midi.protocol import (
    BEND,
    CONTINUED_STATUS,
    EXCLUSIVE_STATUS,
    FIRST_SYSTEM_STATUS,
    META_STATUS,
    NOTE_ON,
    PROGRAM,
)
from gen.music.midi.rules import DATA_CLIPPED, MAX_TICKS, PATTERNS_LEFT_OUT, TRACKS_CUT
from gen.music.score import differences

# The kind of a meta event in `Systems` is its type, that of another event its status << 8.
EXCLUSIVE, CONTINUED = EXCLUSIVE_STATUS << 8, CONTINUED_STATUS << 8  # a message, and the next part of an unfinished one

_TRUNCATED = "truncated inside a track"
_MAX_NUMBER_BYTES = 4096  # of a variable-length number: writers use up to 4, but other readers accept any length
_SYSTEM_DATA_BYTES = {0xF1: 1, 0xF2: 2, 0xF3: 1, 0xF6: 0, 0xF8: 0, 0xFA: 0, 0xFB: 0, 0xFC: 0, 0xFE: 0}

Ints = NDArray[np.int64]


class System(NamedTuple):
    """A meta or system event; `data` is the bytes after its length, or its data bytes if it has no length."""

    track: int
    tick: int
    kind: int
    data: bytes


class Systems(NamedTuple):
    """The meta and system events of a file in the order of the file: (S,) arrays."""

    tracks: Ints
    ticks: Ints
    kinds: Ints
    offsets: Ints  # of the statuses, in the file
    starts: Ints  # of the data, in the file
    stops: Ints

    def where(self, kinds: Sequence[int]) -> Ints:
        """Returns the indices of the events of the given kinds."""
        return np.flatnonzero(np.logical_or.reduce([self.kinds == kind for kind in kinds]))


class Events(NamedTuple):
    """The events of the tracks of a file, in the order of the file.

    The arrays are (N,), one element per channel event. A data byte over 127 is read as 127. The second data byte of an
    event that has only one is 0.
    """

    data: bytes
    tracks: Ints
    ticks: Ints
    statuses: NDArray[np.uint8]
    firsts: NDArray[np.uint8]
    seconds: NDArray[np.uint8]
    offsets: Ints  # of the first data bytes, in the file
    systems: Systems
    starts: list[int]  # the offset of each track
    ends: list[int]  # the last tick of each track
    findings: Counter[str]
    damage: str | None  # the fault that cut the first damaged track short

    def each_system(self, indices: Ints) -> Iterator[System]:
        """Yields the meta and system events at some indices."""
        rows = (self.systems.tracks, self.systems.ticks, self.systems.kinds, self.systems.starts, self.systems.stops)
        for track, tick, kind, start, stop in zip(*(row[indices].tolist() for row in rows), strict=True):
            yield System(track, tick, kind, self.data[start:stop])


class _DamagedError(Exception):
    """A track cannot be parsed any further; its argument says why. Never leaves this module."""


class _Reader:
    """Reads the tracks of a file one after another and collects their events."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.offsets = array("q")  # of the first data byte of each channel event
        self.ticks = array("q")
        self.counts: list[int] = []  # the number of channel events at the end of each track
        self.system_ticks = array("q")
        self.system_bounds = array("q")  # three offsets per meta or system event: status, start and stop of its data
        self.system_counts: list[int] = []
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.is_clipped = False
        self.num_cut = 0
        self.damage: str | None = None

    def read_track(self, start: int, stop: int) -> None:
        """Adds the events of one track, up to the first damage."""
        first, first_system = len(self.offsets), len(self.system_ticks)
        tick, damage = self._parse(start, stop)
        if len(self.offsets) > first and self.data[self.offsets[first] - 1] < 0x80:
            tick, damage = self.ticks[first], "a data byte without a status before it"
            self._cut(first, bisect_right(self.system_ticks, tick, first_system))
        if tick > MAX_TICKS:
            tick, damage = MAX_TICKS, f"a track past {MAX_TICKS} ticks"
            self._cut(bisect_right(self.ticks, tick, first), bisect_right(self.system_ticks, tick, first_system))
        self.num_cut += damage is not None
        self.damage = self.damage or damage
        self.counts.append(len(self.offsets))
        self.system_counts.append(len(self.system_ticks))
        self.starts.append(start)
        self.ends.append(tick)

    def _parse(self, start: int, stop: int) -> tuple[int, str | None]:
        """Adds the events from `start` on; returns the last tick, and the damage that ends the reading, if any."""
        data, offset, tick, status, byte = self.data, start, 0, 0, 0xFF
        add_offset, add_tick = self.offsets.append, self.ticks.append
        try:
            while offset < stop:
                delta = data[offset]
                offset += 1
                if delta >= 0x80:
                    byte = data[offset]
                    offset += 1
                    if byte < 0x80:  # two bytes are so common that a call for each would take a third longer
                        delta = (delta & 0x7F) << 7 | byte
                    else:
                        delta, offset = self._number(offset - 2)
                tick += delta
                byte = data[offset]
                if byte >= 0x80:
                    offset += 1
                    if byte >= FIRST_SYSTEM_STATUS:
                        offset = self._read_system(byte, offset, tick=tick, stop=stop)
                        continue
                    status = byte
                add_offset(offset)
                add_tick(tick)
                offset += 1 if PROGRAM <= status < BEND else 2
        except IndexError:
            return tick, _TRUNCATED
        except _DamagedError as err:
            return tick, str(err)
        if offset <= stop:
            return tick, None
        if byte < FIRST_SYSTEM_STATUS:  # the last channel event is incomplete
            self.offsets.pop()
            self.ticks.pop()
        return tick, _TRUNCATED

    def _cut(self, num_events: int, num_systems: int) -> None:
        """Removes all events but the first `num_events` channel and `num_systems` other events."""
        del self.offsets[num_events:], self.ticks[num_events:]
        del self.system_ticks[num_systems:], self.system_bounds[3 * num_systems :]

    def events(self) -> Events:
        """Returns the events of all tracks read."""
        data = np.frombuffer(self.data, np.uint8)
        offsets, ticks = np.frombuffer(self.offsets, np.int64), np.frombuffer(self.ticks, np.int64)
        counts = differences(np.array(self.counts, np.int64))
        before = data[offsets - 1]  # the status or, under running status, the last byte of a delta time, below 0x80
        has_status = before >= 0x80
        named = np.maximum.accumulate(np.where(has_status, np.arange(len(offsets)), 0))
        statuses = before[named]
        firsts = data[offsets]
        has_one_byte = (statuses >= PROGRAM) & (statuses < BEND)
        seconds = np.where(has_one_byte, 0, data[np.minimum(offsets + 1, len(data) - 1)])
        is_clipped = self.is_clipped or bool(((firsts | seconds) > 127).any())
        return Events(
            data=self.data,
            tracks=np.repeat(np.arange(len(counts)), counts),
            ticks=ticks,
            statuses=statuses,
            firsts=np.minimum(firsts, 127),
            seconds=np.minimum(seconds, 127),
            offsets=offsets,
            systems=self._systems(data),
            starts=self.starts,
            ends=self.ends,
            findings=+Counter({DATA_CLIPPED: int(is_clipped), TRACKS_CUT: self.num_cut}),
            damage=self.damage,
        )

    def _systems(self, data: NDArray[np.uint8]) -> Systems:
        counts = differences(np.array(self.system_counts, np.int64))
        offsets, starts, stops = np.frombuffer(self.system_bounds, np.int64).reshape(-1, 3).T
        statuses = data[offsets].astype(np.int64)
        types = data[np.minimum(offsets + 1, len(data) - 1)]
        return Systems(
            tracks=np.repeat(np.arange(len(counts)), counts),
            ticks=np.frombuffer(self.system_ticks, np.int64),
            kinds=np.where(statuses == META_STATUS, types, statuses << 8),
            offsets=offsets,
            starts=starts,
            stops=stops,
        )

    def _number(self, start: int) -> tuple[int, int]:
        """Returns the variable-length number at an offset, and the offset after it; more than MAX_TICKS is inexact."""
        value, offset = 0, start
        while (byte := self.data[offset]) >= 0x80:
            value = min(value << 7 | byte & 0x7F, MAX_TICKS + 1)
            offset += 1
        if offset - start > _MAX_NUMBER_BYTES:
            raise _DamagedError(f"over {_MAX_NUMBER_BYTES} bytes above 127 in a row")
        return min(value << 7 | byte, MAX_TICKS + 1), offset + 1

    def _read_system(self, status: int, offset: int, *, tick: int, stop: int) -> int:
        """Adds the meta or system event whose status is before `offset`; returns the offset after it."""
        before = offset - 1
        if status in (EXCLUSIVE_STATUS, CONTINUED_STATUS, META_STATUS):
            length, offset = self._number(offset + (status == META_STATUS))
        else:
            size = _SYSTEM_DATA_BYTES.get(status)
            if size is None:
                raise _DamagedError(f"undefined status byte {status:#04x}")
            length = size
            self.is_clipped = self.is_clipped or max(self.data[offset : offset + size], default=0) > 127
        if offset + length > stop:
            raise IndexError
        self.system_ticks.append(tick)
        self.system_bounds.extend((before, offset, offset + length))
        return offset + length


def read_events(chunks: Chunks) -> Events:
    """Returns the events of a file, of each track up to its first damage; of patterns, the first that has notes."""
    if chunks.kind != PATTERNS:
        return read_tracks(chunks)
    patterns = (_read(chunks.data, [track]) for track in chunks.tracks)
    events = next(patterns)
    while not (events.statuses & 0xF0 == NOTE_ON).any() and (following := next(patterns, None)):
        events = following
    events.findings[PATTERNS_LEFT_OUT] += len(chunks.tracks) - 1
    return events


def read_tracks(chunks: Chunks) -> Events:
    """Returns the events of all tracks of a file, of each up to its first damage."""
    return _read(chunks.data, chunks.tracks)


def _read(data: bytes, tracks: Sequence[tuple[int, int]]) -> Events:
    reader = _Reader(data)
    for start, stop in tracks:
        reader.read_track(start, stop)
    return reader.events()
