"""Reads MIDI files: the only place that opens one.

What is refused and what is mended stands in `gen.music.rules`; how bytes become events in `gen.music.smf`.
"""

import stat
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from gen.errors import MidiError
from gen.files import reason
from gen.music.chunks import find_chunks, may_sound_pitched
from gen.music.rules import (
    KEYS_LEFT_OUT,
    MAX_BYTES,
    MAX_DENOMINATOR,
    MAX_SECONDS,
    METAS_LEFT_OUT,
    METRES_LEFT_OUT,
    TEMPOS_LEFT_OUT,
    pair_notes,
    pedal_spans,
)
from gen.music.score import KeySignature, Notes, PedalSpan, Score, Tempo, TimeSignature, Track, differences
from gen.music.smf import KEY_SIGNATURE, TEMPO, TIME_SIGNATURE, TRACK_NAME, Events, Meta, Program, read_events

DRUM_CHANNEL = 9  # the tenth, counted from 1 in the manuals
SUSTAIN_PEDAL = 64

_BY_TICK = itemgetter(0)  # events keep the order of the file within a tick
_CHANNELS = 16
_KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}
_LEAST_BYTES = {TEMPO: 3, TIME_SIGNATURE: 2, KEY_SIGNATURE: 2, TRACK_NAME: 0}
# From seven flats to seven sharps, as mido writes them.
_MAJOR = ["Cb", "Gb", "Db", "Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#"]
_MINOR = ["Abm", "Ebm", "Bbm", "Fm", "Cm", "Gm", "Dm", "Am", "Em", "Bm", "F#m", "C#m", "G#m", "D#m", "A#m"]

_Change = TypeVar("_Change", Tempo, TimeSignature, KeySignature)


class _Voice(NamedTuple):
    """The notes of one channel in one track of the file."""

    track: int
    channel: int
    columns: NDArray[np.int64]  # (4, N), as in `Notes`


class _Programs(NamedTuple):
    """The programs of one channel; `numbers` holds one more than `ticks`: that before the first change."""

    first: int  # in the order of the file
    is_one: bool
    ticks: NDArray[np.int64]
    numbers: NDArray[np.int64]


class _Said(NamedTuple):
    """What the meta events of a file say."""

    tempos: list[Tempo]
    times: list[TimeSignature]
    keys: list[KeySignature]
    names: dict[int, str]  # by track
    findings: Counter[str]


_PIANO = _Programs(0, is_one=True, ticks=np.zeros(0, np.int64), numbers=np.zeros(1, np.int64))


def read_midi(path: Path) -> tuple[Score, Counter[str]]:
    """Reads a MIDI file; also returns what was found and mended in it, by the names of `gen.music.rules`.

    Raises:
        MidiError: it is no usable MIDI file; the message says why.
    """
    chunks = find_chunks(path, _load(path))
    events = read_events(chunks)
    said = _said(events.metas)
    tempos = said.tempos if chunks.tempo is None else [Tempo(0, chunks.tempo)]
    voices, paired = _voices(events, ticks_per_beat=chunks.ticks_per_beat)
    score = Score(
        tracks=tuple(_tracks(voices, _pedals(events, voices), events.programs, said.names)),
        ticks_per_beat=chunks.ticks_per_beat,
        tempos=_last_of_each_tick(tempos),
        time_signatures=_last_of_each_tick(said.times),
        key_signatures=_last_of_each_tick(said.keys),
    )
    if not score.num_notes:
        raise MidiError(f"{path}: damaged ({events.damage})" if events.damage else f"{path}: no notes")
    seconds = score.duration_seconds
    if seconds > MAX_SECONDS:
        raise MidiError(f"{path}: longer than {MAX_SECONDS // 3600} hours ({seconds / 3600:.1f} h)")
    return score, +(chunks.findings + events.findings + said.findings + paired)


def may_have_pitched_notes(path: Path) -> bool:
    """Returns whether a file may hold notes that are no drums; False is certain, True may be chance.

    It looks for the status bytes alone, a hundred times as fast as reading the file.

    Raises:
        MidiError: as `read_midi`, if the file's outer form is bad.
    """
    return may_sound_pitched(find_chunks(path, _load(path)))


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


def _said(metas: Sequence[Meta]) -> _Said:
    said = _Said([], [], [], {}, Counter())
    for track, tick, kind, data in metas:
        if len(data) < _LEAST_BYTES[kind]:
            said.findings[METAS_LEFT_OUT] += 1
        elif kind == TRACK_NAME:
            said.names.setdefault(track, data.decode("latin-1"))
        elif kind == TEMPO:
            _add_tempo(said, tick, int.from_bytes(data[:3]))
        elif kind == TIME_SIGNATURE:
            _add_metre(said, tick, numerator=data[0], power=data[1])
        else:
            _add_key(said, tick, sharps=int.from_bytes(data[:1], signed=True), mode=data[1])
    return said


def _add_tempo(said: _Said, tick: int, tempo: int) -> None:
    if tempo > 0:
        said.tempos.append(Tempo(tick, tempo))
    else:
        said.findings[TEMPOS_LEFT_OUT] += 1


def _add_metre(said: _Said, tick: int, *, numerator: int, power: int) -> None:
    if numerator > 0 and 2**power <= MAX_DENOMINATOR:
        said.times.append(TimeSignature(tick, numerator, 2**power))
    else:
        said.findings[METRES_LEFT_OUT] += 1


def _add_key(said: _Said, tick: int, *, sharps: int, mode: int) -> None:
    if abs(sharps) <= 7 and mode <= 1:
        said.keys.append(KeySignature(tick, (_MINOR if mode else _MAJOR)[sharps + 7]))
    else:
        said.findings[KEYS_LEFT_OUT] += 1


def _voices(events: Events, *, ticks_per_beat: int) -> tuple[list[_Voice], Counter[str]]:
    """Returns the notes by track and channel, in the order in which these first appear, and what pairing them found."""
    is_note = events.statuses < 0xA0
    statuses = events.statuses[is_note]
    places = events.tracks[is_note] * _CHANNELS + (statuses & 0x0F)
    order = list(dict.fromkeys(places[np.flatnonzero(differences(places, before=-1))].tolist()))
    ranks = np.zeros(len(events.ends) * _CHANNELS, np.int64)
    ranks[order] = np.arange(len(order))
    voices, columns, findings = pair_notes(
        ranks[places],
        events.ticks[is_note],
        events.firsts[is_note],
        np.where(statuses < 0x90, 0, events.seconds[is_note]),
        end_ticks=np.array([events.ends[place // _CHANNELS] for place in order], np.int64),
        ticks_per_beat=ticks_per_beat,
    )
    bounds = np.searchsorted(voices, np.arange(len(order) + 1)).tolist()
    return [
        _Voice(place // _CHANNELS, place % _CHANNELS, columns[:, bounds[rank] : bounds[rank + 1]])
        for rank, place in enumerate(order)
    ], findings


def _pedals(events: Events, voices: Sequence[_Voice]) -> dict[int, tuple[PedalSpan, ...]]:
    """Returns when the pedal of each channel is down; it acts on the channel in all tracks."""
    places = np.flatnonzero((events.statuses & 0xF0 == 0xB0) & (events.firsts == SUSTAIN_PEDAL))
    if not len(places):
        return {}
    ends: Counter[int] = Counter()  # by channel
    for _, channel, columns in voices:
        ends[channel] = max(ends[channel], int((columns[0] + columns[1]).max(initial=0)))
    places = places[np.argsort(events.ticks[places], kind="stable")]
    channels, changes = events.statuses[places] & 0x0F, np.stack((events.ticks[places], events.seconds[places]), axis=1)
    return {
        channel: pedal_spans(changes[channels == channel], end_ticks=ends[channel])
        for channel in np.unique(channels).tolist()
    }


def _tracks(
    voices: Sequence[_Voice],
    pedals: dict[int, tuple[PedalSpan, ...]],
    changes: Sequence[Program],
    names: dict[int, str],
) -> Iterator[Track]:
    """Yields a track for each track of the file, channel and program that has notes."""
    programs = _programs(changes)
    for index, channel, columns in voices:
        is_drum = channel == DRUM_CHANNEL
        for program, chosen in _by_program(columns, programs.get(channel, _PIANO), is_drum=is_drum):
            yield Track(Notes(chosen), program, is_drum, names.get(index, ""), pedals.get(channel, ()))


def _programs(changes: Sequence[Program]) -> dict[int, _Programs]:
    """Returns by channel, once for all its voices, of which a hostile file has tens of thousands."""
    by_channel: defaultdict[int, list[Program]] = defaultdict(list)
    for change in changes:
        by_channel[change.channel].append(change)
    programs = {}
    for channel, chosen in by_channel.items():
        first = chosen[0].program
        if all(change.program == first for change in chosen):
            programs[channel] = _PIANO._replace(first=first)
        else:
            ticks = np.array([change.tick for change in chosen])
            numbers = np.array([change.program for change in chosen])
            order = np.argsort(ticks, kind="stable")
            programs[channel] = _Programs(first, is_one=False, ticks=ticks[order], numbers=np.append(0, numbers[order]))
    return programs


def _by_program(
    columns: NDArray[np.int64], changes: _Programs, *, is_drum: bool
) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yields the notes of each program; a note has the last program set on its channel at its onset, or else 0.

    Drums stay together: there the first program names the kit.
    """
    if is_drum or changes.is_one:
        if columns.size:
            yield changes.first, columns
        return
    programs = changes.numbers[np.searchsorted(changes.ticks, columns[0], side="right")]
    for program in dict.fromkeys(programs.tolist()):
        yield program, columns[:, programs == program]


def _last_of_each_tick(changes: list[_Change]) -> tuple[_Change, ...]:
    by_tick = {change.onset_ticks: change for change in sorted(changes, key=_BY_TICK)}
    return tuple(by_tick.values())
