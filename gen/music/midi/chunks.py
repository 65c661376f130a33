"""Finds the chunks of a Standard MIDI File: what its header says, and where its tracks stand.

The format is that of "The Complete MIDI 1.0 Detailed Specification" (MMA 1996). No length that a file tells is
trusted: where one is wrong, the search goes on at the next name of a track. All of it takes time in proportion to the
bytes that are there. What is done about each fault stands in `gen.music.midi.rules`.
"""

import re
import struct
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from gen.errors import MidiError
from gen.music.midi.recognise import MAX_PREAMBLE, begins_as_riff
from gen.music.midi.rules import (
    BYTES_AFTER_END,
    BYTES_BEFORE_HEADER,
    CHUNKS_SKIPPED,
    LENGTHS_WRONG,
    MAX_TRACKS,
    SMPTE_TIME,
    TRACKS_MISSING,
)

PATTERNS = 2  # the type of a file whose tracks are pieces of their own

_TRACK = b"MTrk"
_WHOLE_HEADER = b"MThd\0\0\0\6"  # as nearly all files begin
_END_OF_TRACK = b"\xff\x2f\x00"
_HEADER = struct.Struct(">HHH")
_PITCHED_NOTE_ON = bytes((*range(0x90, 0x99), *range(0x9A, 0xA0)))
# By the frames a second that the file names: how many make a beat here, and how long that is in microseconds. 29 stands
# for 30/1.001, whose time code drops numbers, never frames: 30 of them last 1,001,000 us exactly.
_SMPTE_BEATS = {24: (24, 1_000_000), 25: (25, 1_000_000), 29: (30, 1_001_000), 30: (30, 1_000_000)}


class Chunks(NamedTuple):
    """A MIDI file taken apart.

    `tempo` is how many microseconds a beat lasts where the file tells time in seconds, not beats; None where it tells
    the tempo by events.
    """

    data: bytes
    kind: int
    division: int  # as it stands in the header
    ticks_per_beat: int
    tempo: int | None
    tracks: list[tuple[int, int]]  # where in `data` each track's events start and stop
    findings: Counter[str]


def find_chunks(path: Path, data: bytes) -> Chunks:
    """Returns where the tracks of a file are.

    Raises:
        MidiError: the data is no MIDI file with a track in it, or one of an unusable kind.
    """
    findings: Counter[str] = Counter()
    data = _unwrapped(data, findings)
    if data[:4] != b"MThd":
        raise MidiError(f"{path}: not a MIDI file (no MThd header)")
    length = int.from_bytes(data[4:8])
    if max(length + 8, 14) > len(data):
        raise MidiError(f"{path}: truncated (a header of {length} bytes where {max(0, len(data) - 8)} are left)")
    if length < _HEADER.size:
        raise MidiError(f"{path}: the header is too short ({length} bytes)")
    kind, promised, division = _HEADER.unpack_from(data, 8)
    if kind > PATTERNS:
        raise MidiError(f"{path}: unknown type of MIDI file ({kind})")
    ticks_per_beat, tempo = _time(path, division)
    findings[SMPTE_TIME] += tempo is not None
    tracks = _Walk(data, findings).tracks(8 + length, promised=promised)
    if not tracks:
        raise MidiError(f"{path}: no tracks ({promised} promised)")
    return Chunks(data, kind, division, ticks_per_beat, tempo, tracks, +findings)


def may_sound_pitched(chunks: Chunks) -> bool:
    """Returns whether there may be notes that are no drums; False is certain, True may be chance.

    It looks for the status bytes alone, a hundred times as fast as reading the events.
    """
    tracks = (chunks.data[start:stop] for start, stop in chunks.tracks)
    return any(len(track.translate(None, _PITCHED_NOTE_ON)) < len(track) for track in tracks)


class _Walk:
    """Goes from chunk to chunk and counts what it finds odd."""

    def __init__(self, data: bytes, findings: Counter[str]) -> None:
        self._data = data
        self._findings = findings

    def tracks(self, place: int, *, promised: int) -> list[tuple[int, int]]:
        """Returns where the tracks from `place` on start and stop."""
        found: list[tuple[int, int]] = []
        most = min(promised or MAX_TRACKS, MAX_TRACKS)
        num_tracks = 0
        for start, stop in self._bodies(place):
            is_track = self._data.startswith(_TRACK, start - 8)
            num_tracks += is_track
            if is_track and len(found) < most:
                found.append((start, stop))
            else:
                self._findings[CHUNKS_SKIPPED] += 1
        self._findings[TRACKS_MISSING] += max(0, promised - num_tracks)
        return found

    def _bodies(self, place: int) -> Iterator[tuple[int, int]]:
        """Yields where the body of each chunk starts and stops."""
        data = self._data
        while len(data) - place >= 8:
            start = place + 8
            stop = start + int.from_bytes(data[place + 4 : start])
            if data.startswith(_TRACK, place):
                stop = self._true_end(start, stop)
            elif stop > len(data) or not self._is_name(place):
                following = data.find(_TRACK, place)
                if following < 0:
                    break
                self._findings[CHUNKS_SKIPPED] += 1
                place = following
                continue
            yield start, stop
            place = stop
        self._findings[BYTES_AFTER_END] += max(0, len(data) - place)

    def _is_name(self, place: int) -> bool:
        name = self._data[place : place + 4]
        return len(name) == 4 and name.isascii() and name.decode("ascii").isprintable()

    def _true_end(self, start: int, stop: int) -> int:
        """Returns where a track ends; if its length leads nowhere, where it says so itself."""
        if stop == len(self._data) or self._is_name(stop):
            return stop
        if stop < len(self._data) and self._data.endswith(_END_OF_TRACK, start, stop):
            return stop  # what is wrong is what comes after
        at = bisect_left(self._ends, start)
        if at < len(self._ends):
            self._findings[LENGTHS_WRONG] += 1
            return self._ends[at]
        self._findings[LENGTHS_WRONG] += stop > len(self._data)
        return min(stop, len(self._data))

    @cached_property
    def _ends(self) -> list[int]:
        """Where in the whole file an end of track stands before another track, or as the last one."""
        before_a_track = re.finditer(re.escape(_END_OF_TRACK) + b"(?=MTrk)", self._data)
        places = [match.start() for match in before_a_track]
        places.append(max(self._data.rfind(_END_OF_TRACK), 0))
        return [place + len(_END_OF_TRACK) for place in places]


def _unwrapped(data: bytes, findings: Counter[str]) -> bytes:
    """Returns the MIDI file in an RMID file, or after bytes that do not belong to it; any other data as it is."""
    if data[:4] == b"MThd":
        return data
    is_riff = begins_as_riff(data)
    start = data.find(_WHOLE_HEADER, 0, len(data) if is_riff else MAX_PREAMBLE)
    if start < 0:
        return data
    if not is_riff:
        findings[BYTES_BEFORE_HEADER] += start
        return data[start:]
    size = int.from_bytes(data[start - 4 : start], "little")
    has_size = data[start - 8 : start - 4] == b"data" and len(_WHOLE_HEADER) < size <= len(data) - start
    return data[start : start + size] if has_size else data[start:]


def _time(path: Path, division: int) -> tuple[int, int | None]:
    """Returns the ticks in a beat, and how long it lasts in microseconds where that is fixed: in SMPTE time."""
    if division < 0x8000:
        if division == 0:
            raise MidiError(f"{path}: no ticks in a beat (division 0)")
        return division, None
    frames, ticks = 256 - (division >> 8), division & 0xFF
    if frames not in _SMPTE_BEATS or ticks == 0:
        raise MidiError(f"{path}: no SMPTE time ({ticks} ticks in each of {frames} frames a second)")
    frames_per_beat, tempo = _SMPTE_BEATS[frames]
    return frames_per_beat * ticks, tempo
