"""Copies a MIDI file event by event and repairs damage.

The copy of an undamaged file has the same type, division, tracks and events, at the same ticks and in the same order.
Of a damaged file the copy holds the events that `gen.music.midi.events` can read, in complete chunks with correct
lengths. Data bytes over 127 become 127, events with impossible contents are left out, and a note without a note-off
gets one, except in a track that changes its port after its first note.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gen.errors import MidiError
from gen.music.midi.chunks import Chunks, find_chunks
from gen.music.midi.devices import find_channels
from gen.music.midi.events import Events, read_tracks
from gen.music.midi.protocol import (
    BEND,
    CHANNELS,
    CONTINUED_STATUS,
    DEVICE_NAME,
    END_OF_TRACK,
    EXCLUSIVE_STATUS,
    MAX_DELTA_TICKS,
    META_STATUS,
    NOTE_OFF,
    PORT_PREFIX,
    PROGRAM,
)
from gen.music.midi.read import flaw_of, load_midi, read_midi
from gen.music.midi.rules import LENGTH_0, PATTERNS_LEFT_OUT, REPAIRS
from gen.music.midi.save import save_midi
from gen.music.midi.voices import find_voices

_COPIED = frozenset({LENGTH_0, PATTERNS_LEFT_OUT})  # findings that reading repairs and a copy keeps


class _Event(NamedTuple):
    """The bytes of an event; events at one tick are written in the order of their offsets in the file."""

    tick: int
    offset: int  # -1 for a note-off that the file lacks
    data: bytes


def copy_midi(source: Path, path: Path) -> Counter[str]:
    """Writes a copy of a MIDI file; returns the repairs. The copy appears whole or not at all.

    Raises:
        MidiError: `read_midi` refuses the file, or a pause is longer than a MIDI file can hold.
        SettingError: the copy cannot be written.
    """
    _, findings = read_midi(source)
    chunks = find_chunks(source, load_midi(source))
    events = read_tracks(chunks)
    kind = 1 if chunks.kind == 0 and len(chunks.tracks) > 1 else chunks.kind
    header = b"".join(number.to_bytes(2) for number in (kind, len(chunks.tracks), chunks.division))
    missing = _missing_offs(events, chunks)
    bodies = [_body(path, _merged(events, track, missing[track]), end) for track, end in enumerate(events.ends)]
    data = _chunk(b"MThd", header) + b"".join(_chunk(b"MTrk", body) for body in bodies)
    save_midi(path, data)
    return Counter({name: count for name, count in findings.items() if name in REPAIRS - _COPIED})


def _merged(events: Events, track: int, missing: Iterable[_Event]) -> Iterator[_Event]:
    """Yields the events of a track in order."""
    return merge(_channel_events(events, track), _system_events(events, track), sorted(missing))


def _channel_events(events: Events, track: int) -> Iterator[_Event]:
    columns = (events.ticks, events.offsets, events.statuses, events.firsts, events.seconds)
    for tick, offset, status, first, second in _rows(events.tracks, track, columns):
        data = (status, first) if PROGRAM <= status < BEND else (status, first, second)
        yield _Event(tick, offset, bytes(data))


def _system_events(events: Events, track: int) -> Iterator[_Event]:
    systems = events.systems
    columns = (systems.ticks, systems.offsets, systems.kinds, systems.starts, systems.stops)
    for tick, offset, kind, start, stop in _rows(systems.tracks, track, columns):
        data = events.data[start:stop]
        if kind != END_OF_TRACK and flaw_of(kind, data) is None:
            yield _Event(tick, offset, _system_bytes(kind, data))


def _rows(tracks: NDArray[np.int64], track: int, columns: Sequence[NDArray[Any]]) -> Iterator[tuple[int, ...]]:
    """Yields the rows of one track; `tracks` holds the track of each row, in ascending order."""
    start, stop = np.searchsorted(tracks, (track, track + 1)).tolist()
    return zip(*(column[start:stop].tolist() for column in columns), strict=True)


def _system_bytes(kind: int, data: bytes) -> bytes:
    if kind < 0x100:
        return bytes((META_STATUS, kind)) + _number(len(data)) + data
    status = kind >> 8
    if status in (EXCLUSIVE_STATUS, CONTINUED_STATUS):
        return bytes([status]) + _number(len(data)) + data
    return bytes((status, *(min(byte, 127) for byte in data)))


def _missing_offs(events: Events, chunks: Chunks) -> defaultdict[int, list[_Event]]:
    """Returns note-offs for the notes that have none, by track."""
    missing: defaultdict[int, list[_Event]] = defaultdict(list)
    channels = find_channels(events, is_one_track=chunks.kind == 0)
    voices, _ = find_voices(events, channels, ticks_per_beat=chunks.ticks_per_beat)
    ports = events.systems.where((PORT_PREFIX, DEVICE_NAME))
    firsts = dict(zip(events.tracks[::-1].tolist(), events.offsets[::-1].tolist(), strict=True))
    offsets, tracks = events.systems.offsets[ports].tolist(), events.systems.tracks[ports].tolist()
    unsure = {track for track, offset in zip(tracks, offsets, strict=True) if offset > firsts.get(track, offset)}
    for track, channel, columns, has_off in voices:
        if track in unsure:
            continue
        onsets, durations, pitches, _ = columns[:, ~has_off]
        for tick, pitch in zip((onsets + durations).tolist(), pitches.tolist(), strict=True):
            missing[track].append(_Event(tick, -1, bytes((NOTE_OFF | channel % CHANNELS, pitch, 0))))
    return missing


def _body(path: Path, events: Iterable[_Event], end: int) -> bytes:
    """Returns the bytes of a track."""
    now, body = 0, bytearray()
    for tick, _, data in chain(events, [_Event(end, 0, bytes((META_STATUS, END_OF_TRACK, 0)))]):
        wait = max(tick - now, 0)  # an added note-off may be later than the end of the track
        if wait > MAX_DELTA_TICKS:
            raise MidiError(f"{path}: too long without an event for a MIDI file ({wait} ticks)")
        body += _number(wait) + data
        now = max(now, tick)
    return bytes(body)


def _number(value: int) -> bytes:
    """Returns a variable-length number: seven bits per byte, the highest first."""
    data = bytes([value & 0x7F])
    while value := value >> 7:
        data = bytes([0x80 | value & 0x7F]) + data
    return data


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + len(body).to_bytes(4) + body
