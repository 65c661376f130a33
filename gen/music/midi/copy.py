"""Copies a MIDI file event by event, mended where it is damaged.

A sound file keeps all its events at their ticks, in their tracks and their order, with its type and division. Of a
damaged one that is written which `gen.music.midi.events` can read, with whole chunks and true lengths; data bytes over
127 become 127, events that reading leaves out for what they say are left out, and a note without an end gets a
note-off, but for one in a track that changes its port after its first note.
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
from gen.music.midi.devices import CHANNELS, find_channels
from gen.music.midi.events import DEVICE_NAME, PORT_PREFIX, Events, read_tracks
from gen.music.midi.read import flaw_of, load_midi, read_midi
from gen.music.midi.rules import LENGTH_0, PATTERNS_LEFT_OUT, REPAIRS
from gen.music.midi.save import save_midi
from gen.music.midi.voices import find_voices

_END_OF_TRACK = 0x2F
_COPIED = frozenset({LENGTH_0, PATTERNS_LEFT_OUT})  # what reading mends, but a copy keeps
_MAX_WAIT = 0x0FFFFFFF  # what a delta time of four bytes can hold


class _Event(NamedTuple):
    """The bytes of an event; of those at one tick, note-offs that were missing come first, then as in the file."""

    tick: int
    place: int
    data: bytes


def copy_midi(source: Path, path: Path) -> Counter[str]:
    """Writes the events of a MIDI file to another, which appears whole or not at all; returns what was mended.

    Raises:
        MidiError: the file is one that `read_midi` refuses, or has a pause longer than MIDI can say.
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
    columns = (events.ticks, events.places, events.statuses, events.firsts, events.seconds)
    for tick, place, status, first, second in _rows(events.tracks, track, columns):
        data = (status, first) if 0xC0 <= status < 0xE0 else (status, first, second)
        yield _Event(tick, place, bytes(data))


def _system_events(events: Events, track: int) -> Iterator[_Event]:
    systems = events.systems
    columns = (systems.ticks, systems.places, systems.kinds, systems.starts, systems.stops)
    for tick, place, kind, start, stop in _rows(systems.tracks, track, columns):
        data = events.data[start:stop]
        if kind != _END_OF_TRACK and flaw_of(kind, data) is None:
            yield _Event(tick, place, _system_bytes(kind, data))


def _rows(tracks: NDArray[np.int64], track: int, columns: Sequence[NDArray[Any]]) -> Iterator[tuple[int, ...]]:
    """Yields the rows of one track; `tracks` says in ascending order of which each is."""
    start, stop = np.searchsorted(tracks, (track, track + 1)).tolist()
    return zip(*(column[start:stop].tolist() for column in columns), strict=True)


def _system_bytes(kind: int, data: bytes) -> bytes:
    if kind < 0x100:
        return bytes((0xFF, kind)) + _number(len(data)) + data
    status = kind >> 8
    if status in (0xF0, 0xF7):
        return bytes([status]) + _number(len(data)) + data
    return bytes((status, *(min(byte, 127) for byte in data)))


def _missing_offs(events: Events, chunks: Chunks) -> defaultdict[int, list[_Event]]:
    """Returns by track a note-off for each note that has none."""
    missing: defaultdict[int, list[_Event]] = defaultdict(list)
    channels = find_channels(events, is_one_track=chunks.kind == 0)
    voices, _ = find_voices(events, channels, ticks_per_beat=chunks.ticks_per_beat)
    ports = events.systems.where((PORT_PREFIX, DEVICE_NAME))
    firsts = dict(zip(events.tracks[::-1].tolist(), events.places[::-1].tolist(), strict=True))
    places, tracks = events.systems.places[ports].tolist(), events.systems.tracks[ports].tolist()
    unsure = {track for track, place in zip(tracks, places, strict=True) if place > firsts.get(track, place)}
    for track, channel, columns, has_off in voices:
        if track in unsure:
            continue
        onsets, durations, pitches, _ = columns[:, ~has_off]
        for tick, pitch in zip((onsets + durations).tolist(), pitches.tolist(), strict=True):
            missing[track].append(_Event(tick, -1, bytes((0x80 | channel % CHANNELS, pitch, 0))))
    return missing


def _body(path: Path, events: Iterable[_Event], end: int) -> bytes:
    """Returns the bytes of a track."""
    now, body = 0, bytearray()
    for tick, _, data in chain(events, [_Event(end, 0, bytes((0xFF, _END_OF_TRACK, 0)))]):
        wait = max(tick - now, 0)  # the end of the track may come after a note-off that was missing
        if wait > _MAX_WAIT:
            raise MidiError(f"{path}: too long without an event for a MIDI file ({wait} ticks)")
        body += _number(wait) + data
        now = max(now, tick)
    return bytes(body)


def _number(value: int) -> bytes:
    """Returns a number as MIDI files have it, seven bits a byte."""
    data = bytes([value & 0x7F])
    while value := value >> 7:
        data = bytes([0x80 | value & 0x7F]) + data
    return data


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + len(body).to_bytes(4) + body
