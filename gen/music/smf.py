"""Takes a Standard MIDI File apart: its chunks, then the events of each track.

The format is that of "The Complete MIDI 1.0 Detailed Specification" (MMA 1996). Nothing that a file says about its own
lengths is trusted: all reading stays within the bytes that are there, takes time in proportion to them, and keeps some
hundred bytes an event at most.

Channel events with two data bytes, which is nearly all that a file holds, are found one after another, for where one
ends depends on all before it; what they say is looked up for all of them at once, with numpy, in `Events`. A running
status holds until another channel event names one: meta, system exclusive and real-time events do not end it.
"""

import struct
from array import array
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gen.errors import MidiError
from gen.music.rules import BYTES_AFTER_END, CHUNKS_SKIPPED, MAX_TICKS
from gen.music.score import differences

TRACK_NAME, TEMPO, TIME_SIGNATURE, KEY_SIGNATURE = 0x03, 0x51, 0x58, 0x59

_HEADER = struct.Struct(">HHH")
_LONGEST_NUMBER = 4096  # bytes: no writer takes more than 4, yet readers take any
_PITCHED_NOTE_ON = bytes((*range(0x90, 0x99), *range(0x9A, 0xA0)))
_KEPT_METAS = frozenset({TRACK_NAME, TEMPO, TIME_SIGNATURE, KEY_SIGNATURE})
_SYSTEM_DATA_BYTES = {0xF1: 1, 0xF2: 2, 0xF3: 1, 0xF6: 0, 0xF8: 0, 0xFA: 0, 0xFB: 0, 0xFC: 0, 0xFE: 0}


class Chunks(NamedTuple):
    """A MIDI file taken apart."""

    data: bytes
    division: int
    tracks: list[tuple[int, int]]  # where in `data` each track's events start and stop
    findings: Counter[str]


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
    is_clipped: bool


class _DamagedError(Exception):
    """A track cannot be parsed; its argument says why. Never leaves this module."""


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

    def read_track(self, start: int, stop: int) -> None:
        """Adds the events of one track. Raises _DamagedError or, at the end of the data, IndexError."""
        data, place, tick, status = self.data, start, 0, 0
        add_place, add_tick = self.places.append, self.ticks.append
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
        if place > stop:
            raise IndexError
        self.counts.append(len(self.places))
        self.ends.append(tick)

    def events(self) -> Events:
        """Returns what was read. Raises _DamagedError if a track begins in a running status."""
        data = np.frombuffer(self.data, np.uint8)
        places, ticks = np.frombuffer(self.places, np.int64), np.frombuffer(self.ticks, np.int64)
        counts = differences(np.array(self.counts, np.int64))
        before = data[places - 1]  # a status, or else the last byte of a delta time, which is below 0x80
        has_status = before >= 0x80
        firsts_of_tracks = (np.array(self.counts) - counts)[counts > 0]
        if not has_status[firsts_of_tracks].all():
            raise _DamagedError("a data byte without a status before it")
        named = np.maximum.accumulate(np.where(has_status, np.arange(len(places)), 0))
        firsts, seconds = data[places], data[places + 1]
        return Events(
            tracks=np.repeat(np.arange(len(counts)), counts),
            ticks=ticks,
            statuses=before[named],
            firsts=np.minimum(firsts, 127),
            seconds=np.minimum(seconds, 127),
            programs=self.programs,
            metas=self.metas,
            ends=self.ends,
            is_clipped=self.is_clipped or bool(((firsts | seconds) > 127).any()),
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


def find_chunks(path: Path, data: bytes) -> Chunks:
    """Returns where the tracks of a file are.

    Raises:
        MidiError: the data is no MIDI file with the tracks that its header promises, or one of an unusable kind.
    """
    data = _out_of_riff(data)
    if data[:4] != b"MThd":
        raise MidiError(f"{path}: not a MIDI file (no MThd header)")
    start, place = _chunk(path, data, 0)
    if place - start < _HEADER.size:
        raise MidiError(f"{path}: the header is too short ({place - start} bytes)")
    kind, promised, division = _HEADER.unpack_from(data, start)
    _check_header(path, kind=kind, promised=promised, division=division)
    tracks: list[tuple[int, int]] = []
    findings: Counter[str] = Counter()
    while len(tracks) < promised and len(data) - place >= 8:
        is_track = data[place : place + 4] == b"MTrk"
        start, place = _chunk(path, data, place)
        if is_track:
            tracks.append((start, place))
        else:
            findings[CHUNKS_SKIPPED] += 1
    if len(tracks) < promised:
        raise MidiError(f"{path}: truncated ({len(tracks)} of {promised} tracks)")
    while data[place : place + 4].isalnum() and len(data) - place >= 8:
        place += 8 + int.from_bytes(data[place + 4 : place + 8])
        findings[CHUNKS_SKIPPED] += 1
    findings[BYTES_AFTER_END] += max(0, len(data) - place)
    return Chunks(data, division, tracks, findings)


def read_events(path: Path, chunks: Chunks) -> Events:
    """Returns what the tracks of a file say. Raises MidiError if they cannot be parsed."""
    reader = _Reader(chunks.data)
    try:
        for start, stop in chunks.tracks:
            reader.read_track(start, stop)
            if reader.ends[-1] > MAX_TICKS:
                raise MidiError(f"{path}: a track past {MAX_TICKS} ticks")
        return reader.events()
    except IndexError as err:
        raise MidiError(f"{path}: damaged (truncated inside a track)") from err
    except _DamagedError as err:
        raise MidiError(f"{path}: damaged ({err})") from err


def may_sound_pitched(chunks: Chunks) -> bool:
    """Returns whether there may be notes that are no drums; False is certain, True may be chance.

    It looks for the status bytes alone, a hundred times as fast as reading the events.
    """
    tracks = (chunks.data[start:stop] for start, stop in chunks.tracks)
    return any(len(track.translate(None, _PITCHED_NOTE_ON)) < len(track) for track in tracks)


def _out_of_riff(data: bytes) -> bytes:
    """Returns the MIDI file that an RMID file wraps; any other data as it is."""
    if data[:4] != b"RIFF" or data[8:12] != b"RMID":
        return data
    place = 12
    while place + 8 <= len(data):
        size = int.from_bytes(data[place + 4 : place + 8], "little")
        if data[place : place + 4] == b"data":
            return data[place + 8 : place + 8 + size]
        place += 8 + size + size % 2
    return data


def _chunk(path: Path, data: bytes, place: int) -> tuple[int, int]:
    """Returns where the body of the chunk at `place` starts and stops."""
    length = int.from_bytes(data[place + 4 : place + 8])
    stop = place + 8 + length
    if stop > len(data) or len(data) - place < 8:
        raise MidiError(f"{path}: truncated (a chunk of {length} bytes where {max(0, len(data) - place - 8)} are left)")
    return place + 8, stop


def _check_header(path: Path, *, kind: int, promised: int, division: int) -> None:
    if kind > 2:
        raise MidiError(f"{path}: unknown type of MIDI file ({kind})")
    if promised == 0:
        raise MidiError(f"{path}: no tracks")
    if promised > 0x7FFF:
        raise MidiError(f"{path}: too many tracks ({promised})")
    if kind == 2 and promised > 1:
        raise MidiError(f"{path}: independent patterns, not one piece (type 2 with {promised} tracks)")
    if division == 0:
        raise MidiError(f"{path}: no ticks in a beat (division 0)")
    if division & 0x8000:
        raise MidiError(f"{path}: time in SMPTE frames, not in beats (division {division:#06x})")
