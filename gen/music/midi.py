"""Reads MIDI files: the only place that opens one.

What is refused and what is mended stands in `gen.music.rules`. The chunks are walked here before mido sees them,
because mido trusts every length in the file (a header of 12 bytes can make it ask for 4 GiB) and takes division 0,
SMPTE divisions and a negative number of tracks without a word. mido then gets a file of known chunks alone.
"""

import io
import stat
import struct
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import mido
import numpy as np
from mido.midifiles.meta import add_meta_spec, build_meta_message

from gen.errors import MidiError
from gen.files import reason
from gen.music.rules import (
    BYTES_AFTER_END,
    CHUNKS_SKIPPED,
    DATA_CLIPPED,
    MAX_BYTES,
    MAX_SECONDS,
    MAX_TICKS,
    pair_notes,
    pedal_spans,
)
from gen.music.score import KeySignature, Note, PedalSpan, Score, Tempo, TimeSignature, Track

DRUM_CHANNEL = 9  # the tenth, counted from 1 in the manuals
SUSTAIN_PEDAL = 64

_BY_TICK = itemgetter(0)  # events keep the order of the file within a tick
_HEADER = struct.Struct(">HHH")
_MAX_HIGH_RUN = 4096  # mido's time for one number grows with the square of its bytes, and a file may be one number
_PITCHED_NOTE_ON = bytes((*range(0x90, 0x99), *range(0x9A, 0xA0)))
_KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}

_Change = TypeVar("_Change", Tempo, TimeSignature, KeySignature)


class _UnknownMeta:
    """Teaches mido a meta event that it does not know; for those mido 1.3.3 loses the time that passes before."""

    attributes: Sequence[str] = ()
    defaults: Sequence[int] = ()

    def __init__(self, type_byte: int) -> None:
        self.type_byte = type_byte
        self.type = f"unknown_meta_{type_byte:02x}"

    def decode(self, message: Any, data: list[int]) -> None:
        """Keeps nothing of the event but its time."""


for _type_byte in range(256):
    if build_meta_message(_type_byte, [0] * 8).type == "unknown_meta":
        add_meta_spec(partial(_UnknownMeta, _type_byte))


class _Chunks(NamedTuple):
    """A MIDI file taken apart."""

    kind: int  # 0, 1 or 2
    division: int
    tracks: list[bytes]
    findings: Counter[str]


class _Event(NamedTuple):
    """A change on one channel, which acts on all tracks."""

    tick: int
    value: int


class _Collected:
    """What the messages of a file say, by what they act on."""

    def __init__(self) -> None:
        self.notes: dict[tuple[int, int], list[tuple[int, int, int]]] = {}  # by track, channel: tick, pitch, velocity
        self.programs: defaultdict[int, list[_Event]] = defaultdict(list)  # by channel
        self.pedals: defaultdict[int, list[_Event]] = defaultdict(list)  # by channel
        self.tempos: list[Tempo] = []
        self.times: list[TimeSignature] = []
        self.keys: list[KeySignature] = []
        self.names: dict[int, str] = {}  # by track
        self.ends: list[int] = []  # the last tick, by track

    def add(self, message: Any, *, index: int, tick: int) -> None:
        """Takes a message on a channel, or a system message, of a track."""
        kind = message.type
        if kind == "note_on":
            event = (tick, message.note, message.velocity)
            self.notes.setdefault((index, message.channel), []).append(event)
        elif kind == "note_off":
            self.notes.setdefault((index, message.channel), []).append((tick, message.note, 0))
        elif kind == "control_change":
            if message.control == SUSTAIN_PEDAL:
                self.pedals[message.channel].append(_Event(tick, message.value))
        elif kind == "program_change":
            self.programs[message.channel].append(_Event(tick, message.program))

    def add_meta(self, message: Any, *, index: int, tick: int) -> None:
        """Takes a meta message of a track."""
        kind = message.type
        if kind == "track_name":
            self.names.setdefault(index, message.name)
        elif kind == "set_tempo":
            self.tempos.append(Tempo(tick, message.tempo))
        elif kind == "time_signature":
            self.times.append(TimeSignature(tick, message.numerator, message.denominator))
        elif kind == "key_signature":
            self.keys.append(KeySignature(tick, message.key))


def read_midi(path: Path) -> tuple[Score, Counter[str]]:
    """Reads a MIDI file; also returns what was found and mended in it, by the names of `gen.music.rules`.

    Raises:
        MidiError: it is no usable MIDI file; the message says why.
    """
    chunks = _walk_chunks(path, _load(path))
    messages, findings = _parse(path, chunks)
    collected = _collect(path, messages)
    tracks, paired = _tracks(collected, ticks_per_beat=chunks.division)
    score = Score(
        tracks=tracks,
        ticks_per_beat=chunks.division,
        tempos=_last_of_each_tick(collected.tempos),
        time_signatures=_last_of_each_tick(collected.times),
        key_signatures=_last_of_each_tick(collected.keys),
    )
    if not score.num_notes:
        raise MidiError(f"{path}: no notes")
    seconds = score.duration_seconds
    if seconds > MAX_SECONDS:
        raise MidiError(f"{path}: longer than {MAX_SECONDS // 3600} hours ({seconds / 3600:.1f} h)")
    return score, +(chunks.findings + findings + paired)


def may_have_pitched_notes(path: Path) -> bool:
    """Returns whether a file may hold notes that are no drums; False is certain, True may be chance.

    It looks for the status bytes alone, a hundred times as fast as reading the file.

    Raises:
        MidiError: as `read_midi`, if the file's outer form is bad.
    """
    tracks = _walk_chunks(path, _load(path)).tracks
    return any(len(track.translate(None, _PITCHED_NOTE_ON)) < len(track) for track in tracks)


def _load(path: Path) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # opening a FIFO would wait for ever
            kind = _KINDS.get(stat.S_IFMT(status.st_mode), "a device")
            raise MidiError(f"{path}: not a regular file ({kind})")
        if status.st_size > MAX_BYTES:
            raise MidiError(f"{path}: larger than {MAX_BYTES >> 20} MiB ({status.st_size} bytes)")
        return path.read_bytes()
    except OSError as err:
        raise MidiError(f"{path}: cannot be read ({reason(err)})") from err


def _walk_chunks(path: Path, data: bytes) -> _Chunks:
    if data[:4] != b"MThd":
        raise MidiError(f"{path}: not a MIDI file (no MThd header)")
    header, place = _chunk(path, data, 0)
    if len(header) < _HEADER.size:
        raise MidiError(f"{path}: the header is too short ({len(header)} bytes)")
    kind, promised, division = _HEADER.unpack_from(header)
    _check_header(path, kind=kind, promised=promised, division=division)
    tracks: list[bytes] = []
    findings: Counter[str] = Counter()
    while len(tracks) < promised and len(data) - place >= 8:
        is_track = data[place : place + 4] == b"MTrk"
        body, place = _chunk(path, data, place)
        if is_track:
            tracks.append(body)
        else:
            findings[CHUNKS_SKIPPED] += 1
    if len(tracks) < promised:
        raise MidiError(f"{path}: truncated ({len(tracks)} of {promised} tracks)")
    while data[place : place + 4].isalnum() and len(data) - place >= 8:
        place += 8 + int.from_bytes(data[place + 4 : place + 8])
        findings[CHUNKS_SKIPPED] += 1
    findings[BYTES_AFTER_END] += max(0, len(data) - place)
    return _Chunks(kind, division, tracks, findings)


def _chunk(path: Path, data: bytes, place: int) -> tuple[bytes, int]:
    """Returns the body of the chunk that starts at `place`, and where the next one starts."""
    length = int.from_bytes(data[place + 4 : place + 8])
    stop = place + 8 + length
    if stop > len(data) or len(data) - place < 8:
        raise MidiError(f"{path}: truncated (a chunk of {length} bytes where {max(0, len(data) - place - 8)} are left)")
    return data[place + 8 : stop], stop


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


def _parse(path: Path, chunks: _Chunks) -> tuple[list[mido.MidiTrack], Counter[str]]:
    """Returns each track as mido reads it; bytes over 127 are clipped only where mido refuses them, and counted."""
    clean = [b"MThd" + (6).to_bytes(4) + _HEADER.pack(1, len(chunks.tracks), chunks.division)]
    for track in chunks.tracks:
        low = np.flatnonzero(np.frombuffer(track, dtype=np.uint8) < 0x80)
        if np.diff(low, prepend=-1, append=len(track)).max() > _MAX_HIGH_RUN:
            raise MidiError(f"{path}: damaged (over {_MAX_HIGH_RUN} bytes above 127 in a row)")
        clean += (b"MTrk", len(track).to_bytes(4), track)
    for is_clipped in (False, True):
        try:
            midi_file = mido.MidiFile(file=io.BytesIO(b"".join(clean)), clip=is_clipped)
        except Exception as err:  # OSError, EOFError, IndexError, ValueError, KeyError, MemoryError and mido's own
            if not is_clipped and "data byte must be in range 0..127" in str(err):
                continue
            reason = "truncated inside a track" if isinstance(err, EOFError) else str(err) or type(err).__name__
            raise MidiError(f"{path}: damaged ({reason[:1].lower()}{reason[1:200]})") from err
        return list(midi_file.tracks), Counter({DATA_CLIPPED: int(is_clipped)})
    raise AssertionError("mido checks no data byte when it clips")


def _collect(path: Path, tracks: list[mido.MidiTrack]) -> _Collected:
    collected = _Collected()
    for index, track in enumerate(tracks):
        tick = 0
        for message in track:
            tick += message.time
            if message.is_meta:
                collected.add_meta(message, index=index, tick=tick)
            else:
                collected.add(message, index=index, tick=tick)
        if tick > MAX_TICKS:
            raise MidiError(f"{path}: a track past {MAX_TICKS} ticks")
        collected.ends.append(tick)
    for tempo in collected.tempos:
        if tempo.tempo_us_per_beat == 0:
            raise MidiError(f"{path}: a beat of no length (tempo 0 at tick {tempo.onset_ticks})")
    return collected


def _tracks(collected: _Collected, *, ticks_per_beat: int) -> tuple[tuple[Track, ...], Counter[str]]:
    """Returns a track for each track of the file, channel and program that has notes, and what pairing them found."""
    notes: dict[tuple[int, int], list[Note]] = {}
    findings: Counter[str] = Counter()
    ends: Counter[int] = Counter()  # by channel
    for (index, channel), events in collected.notes.items():
        paired, found = pair_notes(events, end_ticks=collected.ends[index], ticks_per_beat=ticks_per_beat)
        notes[index, channel] = paired
        findings += found
        ends[channel] = max(ends[channel], *(note.onset_ticks + note.duration_ticks for note in paired), 0)
    pedals: dict[int, tuple[PedalSpan, ...]] = {
        channel: pedal_spans(sorted(events, key=_BY_TICK), end_ticks=ends[channel])
        for channel, events in collected.pedals.items()
    }
    tracks = tuple(
        Track(
            notes=tuple(chosen),
            program=program,
            is_drum=channel == DRUM_CHANNEL,
            name=collected.names.get(index, ""),
            pedal=pedals.get(channel, ()),
        )
        for (index, channel), paired in notes.items()
        for program, chosen in _by_program(paired, collected.programs[channel], is_drum=channel == DRUM_CHANNEL)
    )
    return tracks, findings


def _by_program(notes: list[Note], changes: list[_Event], *, is_drum: bool) -> Iterator[tuple[int, list[Note]]]:
    """Yields the notes of each program; a note has the last program set on its channel at its onset, or else 0.

    Drums stay together: there the first program names the kit.
    """
    if is_drum or len({change.value for change in changes}) < 2:
        if notes:
            yield (changes[0].value if changes else 0), notes
        return
    changes = sorted(changes, key=_BY_TICK)
    ticks = [change.tick for change in changes]
    chosen: dict[int, list[Note]] = {}
    for note in notes:
        place = bisect_right(ticks, note.onset_ticks)
        chosen.setdefault(changes[place - 1].value if place else 0, []).append(note)
    yield from chosen.items()


def _last_of_each_tick(changes: list[_Change]) -> tuple[_Change, ...]:
    by_tick = {change.onset_ticks: change for change in sorted(changes, key=_BY_TICK)}
    return tuple(by_tick.values())
