"""Reads MIDI files: the only place that opens one.

What is refused and what is mended stands in `gen.music.midi.rules`; how bytes become events in `gen.music.midi.events`,
how events become tracks in `gen.music.midi.voices`.
"""

import stat
from collections import Counter
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple, TypeVar

from gen.compressed import open_unpacked
from gen.errors import CorpusError, MidiError
from gen.files import reason
from gen.music.midi.census import BANKS, EXCLUSIVES, KEYS, METRES, PROGRAMS, TEMPOS, Census, count_events, system_name
from gen.music.midi.chunks import Chunks, find_chunks, may_sound_pitched
from gen.music.midi.devices import find_channels
from gen.music.midi.events import (
    COPYRIGHT,
    CUE_POINT,
    KEY_SIGNATURE,
    LYRIC,
    MARKER,
    PORT_PREFIX,
    TEMPO,
    TEXT,
    TIME_SIGNATURE,
    TRACK_NAME,
    Events,
    read_events,
)
from gen.music.midi.parts import find_parts, may_make_melody
from gen.music.midi.rules import (
    KEYS_LEFT_OUT,
    MAX_BYTES,
    MAX_DENOMINATOR,
    MAX_SECONDS,
    MAX_VOICES,
    METAS_LEFT_OUT,
    METRES_LEFT_OUT,
    TEMPOS_LEFT_OUT,
)
from gen.music.midi.voices import find_voices, tracks_of
from gen.music.score import KeySignature, Score, Tempo, Text, TimeSignature

_BY_TICK = itemgetter(0)  # events keep the order of the file within a tick
_KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}
_TEXTS = (TEXT, COPYRIGHT, LYRIC, MARKER, CUE_POINT)
_MIN_BYTES = {
    TEMPO: 3,
    TIME_SIGNATURE: 2,
    KEY_SIGNATURE: 2,
    TRACK_NAME: 0,
    PORT_PREFIX: 1,
    **dict.fromkeys(_TEXTS, 0),
}
# From seven flats to seven sharps, as mido writes them.
_MAJOR = ["Cb", "Gb", "Db", "Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#"]
_MINOR = ["Abm", "Ebm", "Bbm", "Fm", "Cm", "Gm", "Dm", "Am", "Em", "Bm", "F#m", "C#m", "G#m", "D#m", "A#m"]

_Change = TypeVar("_Change", Tempo, TimeSignature, KeySignature)


class Reading(NamedTuple):
    """What a file says, what was found and mended in it by the names of `gen.music.midi.rules`, and all its events."""

    score: Score
    findings: Counter[str]
    census: Census


class _Said(NamedTuple):
    """What the meta events of a file say."""

    tempos: list[Tempo]
    times: list[TimeSignature]
    keys: list[KeySignature]
    names: dict[int, str]  # by track
    texts: list[Text]
    findings: Counter[str]
    refused: Counter[str]  # the events among them that were left out, by their names in `gen.music.midi.census`


def read_midi(path: Path) -> tuple[Score, Counter[str]]:
    """Reads a MIDI file; also returns what was found and mended in it, by the names of `gen.music.midi.rules`.

    Raises:
        MidiError: it is no usable MIDI file; the message says why.
    """
    score, findings, _ = read_midi_events(path)
    return score, findings


def read_midi_events(path: Path) -> Reading:
    """Reads a MIDI file, and counts its events by kind. Raises MidiError."""
    chunks = find_chunks(path, load_midi(path))
    return read_score(path, chunks, read_events(chunks))


def read_score(path: Path, chunks: Chunks, events: Events) -> Reading:
    """Returns what the events of a file say. Raises MidiError."""
    channels = find_channels(events, is_one_track=chunks.kind == 0)
    parts = find_parts(events, channels)
    said = _said(events)
    voices, paired = find_voices(events, channels, ticks_per_beat=chunks.ticks_per_beat)
    if len(voices) > MAX_VOICES:
        raise MidiError(f"{path}: more than {MAX_VOICES} channels of tracks with notes ({len(voices)})")
    tracks, num_programs = tracks_of(voices, events, channels, parts, said.names)
    score = Score(
        tracks=tracks,
        ticks_per_beat=chunks.ticks_per_beat,
        tempos=_last_of_each_tick(said.tempos if chunks.tempo is None else [Tempo(0, chunks.tempo)]),
        time_signatures=_last_of_each_tick(said.times),
        key_signatures=_last_of_each_tick(said.keys),
        texts=tuple(sorted(said.texts, key=_BY_TICK)),
    )
    if not score.num_notes:
        raise MidiError(f"{path}: damaged ({events.damage})" if events.damage else f"{path}: no notes")
    seconds = score.duration_seconds
    if seconds > MAX_SECONDS:
        raise MidiError(f"{path}: longer than {MAX_SECONDS // 3600} hours ({seconds / 3600:.1f} h)")
    findings = +(chunks.findings + events.findings + said.findings + paired)
    census = _census(events, said, score, is_timed=chunks.tempo is not None)
    census.left_out[PROGRAMS] = census.counts[PROGRAMS] - num_programs
    census.left_out[EXCLUSIVES] = census.counts[EXCLUSIVES] - parts.num_exclusive
    census.left_out[BANKS] = census.counts[BANKS] - parts.num_banks
    return Reading(score, findings, census)


def may_have_pitched_notes(path: Path) -> bool:
    """Returns whether a file may hold notes that are no drums; False is certain, True may be chance.

    It looks for the status bytes alone, a hundred times as fast as reading the file.

    Raises:
        MidiError: as `read_midi`, if the file's outer form is bad.
    """
    chunks = find_chunks(path, load_midi(path))
    return may_sound_pitched(chunks) or may_make_melody(chunks.data)


def load_midi(path: Path) -> bytes:
    """Returns the bytes of a file. Raises MidiError where it cannot be one that is read."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # opening a FIFO would wait for ever
            kind = _KINDS.get(stat.S_IFMT(status.st_mode), "a device")
            raise MidiError(f"{path}: not a regular file ({kind})")
        if status.st_size > MAX_BYTES:
            raise MidiError(f"{path}: larger than {MAX_BYTES >> 20} MiB ({status.st_size} bytes)")
        with open_unpacked(path) as file:
            data = file.read(MAX_BYTES + 1)
    except CorpusError as err:
        raise MidiError(str(err), hint=err.hint) from err
    except OSError as err:
        raise MidiError(f"{path}: cannot be read ({reason(err)})") from err
    if len(data) > MAX_BYTES:
        raise MidiError(f"{path}: larger than {MAX_BYTES >> 20} MiB (unpacked)")
    return data


def flaw_of(kind: int, data: bytes) -> str | None:
    """Returns why a meta event is left out, by its name in `gen.music.midi.rules`; None if it is not."""
    if len(data) < _MIN_BYTES.get(kind, 0):
        return METAS_LEFT_OUT
    if kind == TEMPO and not any(data[:3]):
        return TEMPOS_LEFT_OUT
    if kind == TIME_SIGNATURE and (data[0] == 0 or 2 ** data[1] > MAX_DENOMINATOR):
        return METRES_LEFT_OUT
    if kind == KEY_SIGNATURE and (abs(int.from_bytes(data[:1], signed=True)) > 7 or data[1] > 1):
        return KEYS_LEFT_OUT
    return None


def _said(events: Events) -> _Said:
    said = _Said([], [], [], {}, [], Counter(), Counter())
    chosen = events.systems.where(tuple(_MIN_BYTES))
    for track, tick, kind, data in events.each_system(chosen):
        if flaw := flaw_of(kind, data):
            said.findings[flaw] += 1
            said.refused[system_name(kind)] += 1
        elif kind == TRACK_NAME:
            said.names.setdefault(track, data.decode("latin-1"))
        elif kind in _TEXTS:
            said.texts.append(Text(tick, kind, data.decode("latin-1")))
        elif kind == TEMPO:
            said.tempos.append(Tempo(tick, int.from_bytes(data[:3])))
        elif kind == TIME_SIGNATURE:
            said.times.append(TimeSignature(tick, data[0], 2 ** data[1]))
        elif kind == KEY_SIGNATURE:
            sharps = int.from_bytes(data[:1], signed=True)
            said.keys.append(KeySignature(tick, (_MINOR if data[1] else _MAJOR)[sharps + 7]))
    return said


def _last_of_each_tick(changes: list[_Change]) -> tuple[_Change, ...]:
    by_tick = {change.onset_ticks: change for change in sorted(changes, key=_BY_TICK)}
    return tuple(by_tick.values())


def _census(events: Events, said: _Said, score: Score, *, is_timed: bool) -> Census:
    """Returns the events by kind; `is_timed`: the file tells time in seconds, so that its tempos say nothing."""
    census = Census(count_events(events) - said.refused, Counter())
    for kind, read, kept in (
        (TEMPOS, said.tempos, () if is_timed else score.tempos),
        (METRES, said.times, score.time_signatures),
        (KEYS, said.keys, score.key_signatures),
    ):
        census.left_out[kind] = len(read) - len(kept)
    return census
