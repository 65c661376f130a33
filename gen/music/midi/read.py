"""Reads MIDI files as scores; no other module opens MIDI files.

`gen.music.midi.rules` lists what is refused and what is repaired. `gen.music.midi.events` reads events from bytes,
`gen.music.midi.voices` builds tracks from events.
"""

from collections import Counter
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple, TypeVar

from gen.errors import CorpusError, MidiError
from gen.files.compressed import open_unpacked
from gen.files.disk import reason, special_file
from gen.music.midi.census import BANKS, EXCLUSIVES, KEYS, METRES, PROGRAMS, TEMPOS, Census, count_events, system_name
from gen.music.midi.chunks import Chunks, find_chunks, may_sound_pitched
from gen.music.midi.devices import find_channels
from gen.music.midi.events import Events, read_events
from gen.music.midi.parts import find_parts, may_make_melody
from gen.music.midi.protocol import (
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
)
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

_BY_TICK = itemgetter(0)  # sorting by it keeps the order of the file within a tick

_TEXTS = (TEXT, COPYRIGHT, LYRIC, MARKER, CUE_POINT)
_MIN_BYTES = {
    TEMPO: 3,
    TIME_SIGNATURE: 2,
    KEY_SIGNATURE: 2,
    TRACK_NAME: 0,
    PORT_PREFIX: 1,
    **dict.fromkeys(_TEXTS, 0),
}
# Keys from seven flats to seven sharps, as mido writes them.
_MAJOR = ["Cb", "Gb", "Db", "Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#"]
_MINOR = ["Abm", "Ebm", "Bbm", "Fm", "Cm", "Gm", "Dm", "Am", "Em", "Bm", "F#m", "C#m", "G#m", "D#m", "A#m"]

_Change = TypeVar("_Change", Tempo, TimeSignature, KeySignature)


class MidiContents(NamedTuple):
    """The score of a file, its findings by the names of `gen.music.midi.rules`, and the counts of its events."""

    score: Score
    findings: Counter[str]
    census: Census


class _MetaEvents(NamedTuple):
    """The contents of the meta events of a file."""

    tempos: list[Tempo]
    times: list[TimeSignature]
    keys: list[KeySignature]
    names: dict[int, str]  # by track
    texts: list[Text]
    findings: Counter[str]
    refused: Counter[str]  # the meta events left out because of their contents, by names of `gen.music.midi.census`


def read_midi(path: Path) -> tuple[Score, Counter[str]]:
    """Reads a MIDI file; returns its score, and its findings and repairs by the names of `gen.music.midi.rules`.

    Raises:
        MidiError: the file is no usable MIDI file; the message says why.
    """
    score, findings, _ = read_midi_events(path)
    return score, findings


def read_midi_events(path: Path) -> MidiContents:
    """Reads a MIDI file and counts its events by kind. Raises MidiError."""
    chunks = find_chunks(path, load_midi(path))
    return read_score(path, chunks, read_events(chunks))


def read_score(path: Path, chunks: Chunks, events: Events) -> MidiContents:
    """Builds the score of a file from its events. Raises MidiError."""
    channels = find_channels(events, is_one_track=chunks.kind == 0)
    parts = find_parts(events, channels)
    meta = _meta_events(events)
    voices, paired = find_voices(events, channels, ticks_per_beat=chunks.ticks_per_beat)
    if len(voices) > MAX_VOICES:
        raise MidiError(f"{path}: more than {MAX_VOICES} channels of tracks with notes ({len(voices)})")
    tracks, num_programs = tracks_of(voices, events, channels, parts, meta.names)
    score = Score(
        tracks=tracks,
        ticks_per_beat=chunks.ticks_per_beat,
        tempos=_last_of_each_tick(meta.tempos if chunks.tempo is None else [Tempo(0, chunks.tempo)]),
        time_signatures=_last_of_each_tick(meta.times),
        key_signatures=_last_of_each_tick(meta.keys),
        texts=tuple(sorted(meta.texts, key=_BY_TICK)),
    )
    if not score.num_notes:
        raise MidiError(f"{path}: damaged ({events.damage})" if events.damage else f"{path}: no notes")
    seconds = score.duration_seconds
    if seconds > MAX_SECONDS:
        raise MidiError(f"{path}: longer than {MAX_SECONDS // 3600} hours ({seconds / 3600:.1f} h)")
    findings = +(chunks.findings + events.findings + meta.findings + paired)
    census = _census(events, meta, score, is_timed=chunks.tempo is not None)
    census.left_out[PROGRAMS] = census.counts[PROGRAMS] - num_programs
    census.left_out[EXCLUSIVES] = census.counts[EXCLUSIVES] - parts.num_exclusive
    census.left_out[BANKS] = census.counts[BANKS] - parts.num_banks
    return MidiContents(score, findings, census)


def may_have_pitched_notes(path: Path) -> bool:
    """Returns whether a file may have notes other than drums; False is certain.

    The test looks for byte values only, a hundred times as fast as reading the file.

    Raises:
        MidiError: the chunks of the file are unusable, as for `read_midi`.
    """
    chunks = find_chunks(path, load_midi(path))
    return may_sound_pitched(chunks) or may_make_melody(chunks.data)


def load_midi(path: Path) -> bytes:
    """Returns the bytes of a file, unpacked. Raises MidiError if it is too large, no regular file or unreadable."""
    try:
        status = path.stat()
        if kind := special_file(status.st_mode):  # opening a FIFO would wait for ever
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
    """Returns the finding of `gen.music.midi.rules` for a meta event that is left out; None for one that is kept."""
    if len(data) < _MIN_BYTES.get(kind, 0):
        return METAS_LEFT_OUT
    if kind == TEMPO and not any(data[:3]):
        return TEMPOS_LEFT_OUT
    if kind == TIME_SIGNATURE and (data[0] == 0 or 2 ** data[1] > MAX_DENOMINATOR):
        return METRES_LEFT_OUT
    if kind == KEY_SIGNATURE and (abs(int.from_bytes(data[:1], signed=True)) > 7 or data[1] > 1):
        return KEYS_LEFT_OUT
    return None


def _meta_events(events: Events) -> _MetaEvents:
    meta = _MetaEvents([], [], [], {}, [], Counter(), Counter())
    chosen = events.systems.where(tuple(_MIN_BYTES))
    for track, tick, kind, data in events.each_system(chosen):
        if flaw := flaw_of(kind, data):
            meta.findings[flaw] += 1
            meta.refused[system_name(kind)] += 1
        elif kind == TRACK_NAME:
            meta.names.setdefault(track, data.decode("latin-1"))
        elif kind in _TEXTS:
            meta.texts.append(Text(tick, kind, data.decode("latin-1")))
        elif kind == TEMPO:
            meta.tempos.append(Tempo(tick, int.from_bytes(data[:3])))
        elif kind == TIME_SIGNATURE:
            meta.times.append(TimeSignature(tick, data[0], 2 ** data[1]))
        elif kind == KEY_SIGNATURE:
            sharps = int.from_bytes(data[:1], signed=True)
            meta.keys.append(KeySignature(tick, (_MINOR if data[1] else _MAJOR)[sharps + 7]))
    return meta


def _last_of_each_tick(changes: list[_Change]) -> tuple[_Change, ...]:
    by_tick = {change.onset_ticks: change for change in sorted(changes, key=_BY_TICK)}
    return tuple(by_tick.values())


def _census(events: Events, meta: _MetaEvents, score: Score, *, is_timed: bool) -> Census:
    """Counts the events by kind; in a file in SMPTE time (`is_timed`) no tempo event counts as kept."""
    census = Census(count_events(events) - meta.refused, Counter())
    for kind, read, kept in (
        (TEMPOS, meta.tempos, () if is_timed else score.tempos),
        (METRES, meta.times, score.time_signatures),
        (KEYS, meta.keys, score.key_signatures),
    ):
        census.left_out[kind] = len(read) - len(kept)
    return census
