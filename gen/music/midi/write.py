"""Writes scores as MIDI files of type 1: a track for tempo, signatures and texts, then one per track and port.

A MIDI port has 16 channels, and a channel plays one program at a time. `gen.music.midi.channel_plan` gives each track
its channel, or spreads its notes over several. Such a track is read back as several tracks. `read_midi` reads the same
notes back, with two exceptions that MIDI cannot represent: tracks without notes, and notes that overlap a later note of
the same pitch in their track.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from itertools import groupby
from pathlib import Path

import mido
import numpy as np
from numpy.typing import NDArray

from gen.errors import MidiError
from gen.music.midi.channel_plan import ChannelPart, plan_channels
from gen.music.midi.protocol import (
    BANK_SELECT,
    CHANNEL_PRESSURE,
    CHANNELS,
    CONTROLLER,
    COPYRIGHT,
    CUE_POINT,
    FINE,
    LYRIC,
    MARKER,
    MAX_DELTA_TICKS,
    SUSTAIN_PEDAL,
    TEXT,
)
from gen.music.midi.rules import MAX_PORTS
from gen.music.midi.save import save_midi
from gen.music.score import DEFAULT_TEMPO, Score, Tempo, Track

_TEXT_NAMES = {TEXT: "text", COPYRIGHT: "copyright", LYRIC: "lyrics", MARKER: "marker", CUE_POINT: "cue_marker"}

# A tick, the rank of the message among those of that tick, and the message, whose time is not set yet. Ranks: 0 tempo,
# signatures, texts and headings, 1 channel events, 2 programs, 3 pedal up, 4 pedal down, 5 note-off, 6 note-on.
Timed = tuple[int, int, mido.Message | mido.MetaMessage]
Programs = Mapping[tuple[int, int], Sequence[int]]  # by channel and track, the ticks at which its program is set


def write_midi(path: Path, score: Score) -> None:
    """Writes a score; the file appears whole or not at all.

    Raises:
        MidiError: the score needs more channels than MIDI has, or a pause is longer than a MIDI file can hold.
        SettingError: the file cannot be written.
    """
    parts = plan_channels(score.tracks)
    num_ports = 1 + max((part.channel for part in parts), default=0) // CHANNELS
    if num_ports > MAX_PORTS:
        raise MidiError(f"{path}: more instruments than {MAX_PORTS} ports have channels for ({num_ports} ports)")
    programs = _programs(score.tracks, parts)
    midi_file = mido.MidiFile(type=1, ticks_per_beat=score.ticks_per_beat)
    midi_file.tracks.append(_sequence(path, _conductor(score)))
    for (index, port), of_port in groupby(parts, key=lambda part: (part.track, part.channel // CHANNELS)):
        messages = list(_heading(score.tracks[index], port if num_ports > 1 else None))
        for part in of_port:
            messages += _messages(score.tracks[index], part, programs)
        midi_file.tracks.append(_sequence(path, messages))
    buffer = BytesIO()
    midi_file.save(file=buffer)
    save_midi(path, buffer.getvalue())


def _conductor(score: Score) -> Iterator[Timed]:
    """Yields the tempos, signatures and texts of a score."""
    for tick, tempo in score.tempos or [Tempo(0, DEFAULT_TEMPO)]:
        yield tick, 0, mido.MetaMessage("set_tempo", tempo=tempo)
    for tick, numerator, denominator in score.time_signatures:
        yield tick, 0, mido.MetaMessage("time_signature", numerator=numerator, denominator=denominator)
    for tick, key in score.key_signatures:
        yield tick, 0, mido.MetaMessage("key_signature", key=key)
    for tick, kind, text in score.texts:
        yield tick, 0, mido.MetaMessage(_TEXT_NAMES[kind], text=_as_bytes(text))


def _heading(track: Track, port: int | None) -> Iterator[Timed]:
    """Yields the messages at the start of a track: its port, if the file has several, and its name."""
    if port is not None:
        yield 0, 0, mido.MetaMessage("midi_port", port=port)
    if track.name:
        yield 0, 0, mido.MetaMessage("track_name", name=_as_bytes(track.name))


def _as_bytes(text: str) -> str:
    """Replaces characters that are not one byte in Latin-1, because MIDI names no encoding."""
    return text.encode("latin-1", errors="replace").decode("latin-1")


def _messages(track: Track, part: ChannelPart, programs: Programs) -> Iterator[Timed]:
    """Yields the messages of a track on one channel, in any order: programs, channel events, and two for each note."""
    channel = part.channel % CHANNELS
    for tick in programs[part.channel, part.track]:
        yield tick, 2, mido.Message("program_change", channel=channel, program=track.program)
    if part.has_events:
        yield from _channel_messages(track, channel)
    for onset, duration, pitch, velocity in zip(*part.columns.tolist(), strict=True):
        yield onset, 6, mido.Message("note_on", channel=channel, note=pitch, velocity=velocity)
        yield onset + duration, 5, mido.Message("note_off", channel=channel, note=pitch, velocity=0)


def _channel_messages(track: Track, channel: int) -> Iterator[Timed]:
    for tick, status, first, second in track.events:
        data = [first] if status == CHANNEL_PRESSURE else [first, second]
        yield tick, 1, mido.Message.from_bytes([status | channel, *data])
    for onset, duration in track.pedal:
        for tick, rank, value in ((onset, 4, 127), (onset + duration, 3, 0)):
            yield tick, rank, mido.Message("control_change", channel=channel, control=SUSTAIN_PEDAL, value=value)


def _programs(tracks: Sequence[Track], parts: Sequence[ChannelPart]) -> Programs:
    """Returns the ticks at which programs are set: at the start, where the program changes, and after bank selections.

    A selected bank counts only from the next program change on.
    """
    ticks: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    by_channel: defaultdict[int, list[ChannelPart]] = defaultdict(list)
    for part in parts:
        by_channel[part.channel].append(part)
    for channel, of_channel in by_channel.items():
        onsets = np.concatenate([part.columns[0] for part in of_channel])
        owners = np.repeat([part.track for part in of_channel], [part.columns.shape[1] for part in of_channel])
        order = np.lexsort((owners, onsets))  # the first of the tracks with a note at a tick sets the program there
        onsets, owners = onsets[order], owners[order]
        programs = np.array([track.program for track in tracks])[owners]
        is_one = len({tracks[part.track].program for part in of_channel}) == 1
        for owner in [part.track for part in of_channel] if is_one else owners[:1].tolist():
            ticks[channel, owner].append(0)
        changes = np.flatnonzero(programs[1:] != programs[:-1]) + 1
        banks = [_bank_ticks(tracks[part.track]) for part in of_channel if part.has_events]
        after_banks = np.searchsorted(onsets, np.concatenate([np.zeros(0, np.int64), *banks]))
        for index in np.unique(np.append(changes, after_banks)).tolist():
            if index < len(onsets):
                ticks[channel, int(owners[index])].append(int(onsets[index]))
    return ticks


def _bank_ticks(track: Track) -> NDArray[np.int64]:
    """Returns the ticks after 0 at which banks are selected; the program at tick 0 is always set."""
    ticks, statuses, firsts, _ = track.events.columns
    is_bank = (statuses == CONTROLLER) & ((firsts == BANK_SELECT) | (firsts == BANK_SELECT + FINE))
    return np.asarray(ticks[is_bank & (ticks > 0)])


def _sequence(path: Path, messages: Iterable[Timed]) -> mido.MidiTrack:
    """Returns a mido track: the messages in order of tick and rank, each with the ticks since the message before."""
    now = 0
    sequence = mido.MidiTrack()
    for tick, _, message in sorted(messages, key=lambda timed: timed[:2]):
        if tick - now > MAX_DELTA_TICKS:
            raise MidiError(f"{path}: too long without an event for a MIDI file ({tick - now} ticks)")
        message.time = tick - now
        now = tick
        sequence.append(message)
    return sequence
