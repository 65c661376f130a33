"""Reads the header of a Standard MIDI File and finds its tracks.

The format is that of "The Complete MIDI 1.0 Detailed Specification" (MMA 1996). No length in a file is trusted: where
one is wrong, the search continues at the next track header, `MTrk`. The time is proportional to the size of the file.
`gen.music.midi.rules` lists the faults and how each is handled.
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
from gen.music.midi.protocol import CHANNELS, DRUM_CHANNEL, END_OF_TRACK, META_STATUS, NOTE_ON
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

PATTERNS = 2  # the type of a file whose tracks are independent pieces

_TRACK = b"MTrk"
_WHOLE_HEADER = b"MThd\0\0\0\6"  # the first bytes of nearly all files
_END_OF_TRACK = bytes((META_STATUS, END_OF_TRACK, 0))
_HEADER = struct.Struct(">HHH")
_PITCHED_NOTE_ON = bytes(NOTE_ON + channel for channel in range(CHANNELS) if channel != DRUM_CHANNEL)
# By the frames per second that the file names: the number of frames in a beat, and the length of a beat in
# microseconds. 29 stands for 30/1.001 frames per second. Its time code skips numbers but no frames: 30 frames last
# 1,001,000 us.
_SMPTE_BEATS = {24: (24, 1_000_000), 25: (25, 1_000_000), 29: (30, 1_001_000), 30: (30, 1_000_000)}


class Chunks(NamedTuple):
    """The header and the tracks of a MIDI file."""

    data: bytes
    kind: int  # the type of the file: 0, 1 or 2
    division: int  # the field of the header
    ticks_per_beat: int
    tempo: int | None  # microseconds a beat if time is measured in SMPTE frames; None if tempo events tell it
    tracks: list[tuple[int, int]]  # the offsets in `data` at which the events of each track start and stop
    findings: Counter[str]


def find_chunks(path: Path, data: bytes) -> Chunks:
    """Returns the header and the tracks of a file.

    Raises:
        MidiError: the data is no MIDI file, has no track, or is of an unusable kind.
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
    """Returns whether a file may have notes on other channels than channel 10; False is certain.

    The test looks for the byte values of such note-ons, a hundred times as fast as reading the events.
    """
    tracks = (chunks.data[start:stop] for start, stop in chunks.tracks)
    return any(len(track.translate(None, _PITCHED_NOTE_ON)) < len(track) for track in tracks)


class _Walk:
    """Steps from chunk to chunk and counts faults."""

    def __init__(self, data: bytes, findings: Counter[str]) -> None:
        self._data = data
        self._findings = findings

    def tracks(self, offset: int, *, promised: int) -> list[tuple[int, int]]:
        """Returns the bounds of the tracks from `offset` on."""
        found: list[tuple[int, int]] = []
        max_tracks = min(promised or MAX_TRACKS, MAX_TRACKS)
        num_tracks = 0
        for start, stop in self._bodies(offset):
            is_track = self._data.startswith(_TRACK, start - 8)
            num_tracks += is_track
            if is_track and len(found) < max_tracks:
                found.append((start, stop))
            else:
                self._findings[CHUNKS_SKIPPED] += 1
        self._findings[TRACKS_MISSING] += max(0, promised - num_tracks)
        return found

    def _bodies(self, offset: int) -> Iterator[tuple[int, int]]:
        """Yields the bounds of the body of each chunk."""
        data = self._data
        while len(data) - offset >= 8:
            start = offset + 8
            stop = start + int.from_bytes(data[offset + 4 : start])
            if data.startswith(_TRACK, offset):
                stop = self._true_end(start, stop)
            elif stop > len(data) or not self._is_name(offset):
                following = data.find(_TRACK, offset)
                if following < 0:
                    break
                self._findings[CHUNKS_SKIPPED] += 1
                offset = following
                continue
            yield start, stop
            offset = stop
        self._findings[BYTES_AFTER_END] += max(0, len(data) - offset)

    def _is_name(self, offset: int) -> bool:
        name = self._data[offset : offset + 4]
        return len(name) == 4 and name.isascii() and name.decode("ascii").isprintable()

    def _true_end(self, start: int, stop: int) -> int:
        """Returns the end of a track: by its length if that leads to a chunk, else at an end-of-track event."""
        if stop == len(self._data) or self._is_name(stop):
            return stop
        if stop < len(self._data) and self._data.endswith(_END_OF_TRACK, start, stop):
            return stop  # the length is right; the bytes after the track are wrong
        at = bisect_left(self._ends, start)
        if at < len(self._ends):
            self._findings[LENGTHS_WRONG] += 1
            return self._ends[at]
        self._findings[LENGTHS_WRONG] += stop > len(self._data)
        return min(stop, len(self._data))

    @cached_property
    def _ends(self) -> list[int]:
        """The offsets after end-of-track events that precede a track header, and after the last one of the file."""
        before_a_track = re.finditer(re.escape(_END_OF_TRACK) + b"(?=MTrk)", self._data)
        offsets = [match.start() for match in before_a_track]
        offsets.append(max(self._data.rfind(_END_OF_TRACK), 0))
        return [offset + len(_END_OF_TRACK) for offset in offsets]


def _unwrapped(data: bytes, findings: Counter[str]) -> bytes:
    """Returns the MIDI file inside an RMID file or after a preamble; any other data unchanged."""
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
    """Returns the ticks in a beat and, for SMPTE time, the microseconds in a beat."""
    if division < 0x8000:
        if division == 0:
            raise MidiError(f"{path}: no ticks in a beat (division 0)")
        return division, None
    frames, ticks = 256 - (division >> 8), division & 0xFF
    if frames not in _SMPTE_BEATS or ticks == 0:
        raise MidiError(f"{path}: no SMPTE time ({ticks} ticks in each of {frames} frames a second)")
    frames_per_beat, tempo = _SMPTE_BEATS[frames]
    return frames_per_beat * ticks, tempo
