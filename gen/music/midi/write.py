"""Writes MIDI files: type 1, a track for tempo, signatures and texts, then one for each track of the score and port.

`read_midi` gives back what was written, note for note, wherever a track has notes and no note of it ends after a later
one of the same pitch (which MIDI itself cannot say); a track that `gen.music.midi.channel_plan` spreads over several
channels comes back as so many.
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
from gen.music.midi.channel_plan import Placed, plan_channels
from gen.music.midi.devices import CHANNELS
from gen.music.midi.events import COPYRIGHT, CUE_POINT, LYRIC, MARKER, TEXT
from gen.music.midi.parts import BANK_SELECT
from gen.music.midi.rules import MAX_PORTS
from gen.music.midi.save import save_midi
from gen.music.midi.voices import SUSTAIN_PEDAL
from gen.music.score import DEFAULT_TEMPO, Score, Tempo, Track

_BANK_SELECT_FINE = 32  # a controller: the lower half of the number of a bank
_TEXT_NAMES = {TEXT: "text", COPYRIGHT: "copyright", LYRIC: "lyrics", MARKER: "marker", CUE_POINT: "cue_marker"}
_MAX_WAIT = 0x0FFFFFFF  # what a delta time of four bytes can hold

Timed = tuple[int, int, mido.Message | mido.MetaMessage]  # tick, rank within the tick, message with time unset
Programs = Mapping[tuple[int, int], Sequence[int]]  # by channel and track, where its program is set


def write_midi(path: Path, score: Score) -> None:
    """Writes a score; the file appears whole or not at all.

    Raises:
        MidiError: it has more instruments than MIDI has ports for, or a pause longer than MIDI can say.
        SettingError: the file cannot be written.
    """
    parts = plan_channels(score.tracks)
    num_ports = 1 + max((part.channel for part in parts), default=0) // CHANNELS
    if num_ports > MAX_PORTS:
        raise MidiError(f"{path}: more instruments than {MAX_PORTS} ports have channels for ({num_ports} ports)")
    programs = _programs(score.tracks, parts)
    midi_file = mido.MidiFile(type=1, ticks_per_beat=score.ticks_per_beat)
    midi_file.tracks.append(_sequence(path, _conductor(score)))
    for (place, port), of_port in groupby(parts, key=lambda part: (part.track, part.channel // CHANNELS)):
        messages = list(_heading(score.tracks[place], port if num_ports > 1 else None))
        for part in of_port:
            messages += _messages(score.tracks[place], part, programs)
        midi_file.tracks.append(_sequence(path, messages))
    buffer = BytesIO()
    midi_file.save(file=buffer)
    save_midi(path, buffer.getvalue())


def _conductor(score: Score) -> Iterator[Timed]:
    for tick, tempo in score.tempos or (Tempo(0, DEFAULT_TEMPO),):
        yield tick, 0, mido.MetaMessage("set_tempo", tempo=tempo)
    for tick, numerator, denominator in score.time_signatures:
        yield tick, 0, mido.MetaMessage("time_signature", numerator=numerator, denominator=denominator)
    for tick, key in score.key_signatures:
        yield tick, 0, mido.MetaMessage("key_signature", key=key)
    for tick, kind, text in score.texts:
        yield tick, 0, mido.MetaMessage(_TEXT_NAMES[kind], text=_as_bytes(text))


def _heading(track: Track, port: int | None) -> Iterator[Timed]:
    if port is not None:
        yield 0, 0, mido.MetaMessage("midi_port", port=port)
    if track.name:
        yield 0, 0, mido.MetaMessage("track_name", name=_as_bytes(track.name))


def _as_bytes(text: str) -> str:
    """Returns the text with characters that are bytes alone, for MIDI names no encoding."""
    return text.encode("latin-1", errors="replace").decode("latin-1")


def _messages(track: Track, part: Placed, programs: Programs) -> Iterator[Timed]:
    """Yields what a track says on one channel; of what happens at one tick, programs come before notes."""
    channel = part.channel % CHANNELS
    for tick in programs[part.channel, part.track]:
        yield tick, 2, mido.Message("program_change", channel=channel, program=track.program)
    if part.is_told:
        yield from _told(track, channel)
    for onset, duration, pitch, velocity in zip(*part.columns.tolist(), strict=True):
        yield onset, 6, mido.Message("note_on", channel=channel, note=pitch, velocity=velocity)
        yield onset + duration, 5, mido.Message("note_off", channel=channel, note=pitch, velocity=0)


def _told(track: Track, channel: int) -> Iterator[Timed]:
    for tick, status, first, second in track.events:
        data = [first] if status == 0xD0 else [first, second]
        yield tick, 1, mido.Message.from_bytes([status | channel, *data])
    for onset, duration in track.pedal:
        for tick, rank, value in ((onset, 4, 127), (onset + duration, 3, 0)):
            yield tick, rank, mido.Message("control_change", channel=channel, control=SUSTAIN_PEDAL, value=value)


def _programs(tracks: Sequence[Track], parts: Sequence[Placed]) -> Programs:
    """Returns where programs are set: at the start, where one follows another, and after a bank was selected."""
    ticks: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    by_channel: defaultdict[int, list[Placed]] = defaultdict(list)
    for part in parts:
        by_channel[part.channel].append(part)
    for channel, those in by_channel.items():
        onsets = np.concatenate([part.columns[0] for part in those])
        places = np.repeat([part.track for part in those], [part.columns.shape[1] for part in those])
        order = np.lexsort((places, onsets))  # of the notes at one tick, the first track sets their program
        onsets, places = onsets[order], places[order]
        programs = np.array([track.program for track in tracks])[places]
        is_one = len({tracks[part.track].program for part in those}) == 1
        for place in [part.track for part in those] if is_one else places[:1].tolist():
            ticks[channel, place].append(0)
        changes = np.flatnonzero(programs[1:] != programs[:-1]) + 1
        banks = [_bank_ticks(tracks[part.track]) for part in those if part.is_told]
        told = np.searchsorted(onsets, np.concatenate([np.zeros(0, np.int64), *banks]))
        for place in np.unique(np.append(changes, told)).tolist():
            if place < len(onsets):
                ticks[channel, int(places[place])].append(int(onsets[place]))
    return ticks


def _bank_ticks(track: Track) -> NDArray[np.int64]:
    """Returns when banks are selected, which count from the next change of program on; at the start there is one."""
    ticks, statuses, firsts, _ = track.events.columns
    is_bank = (statuses == 0xB0) & ((firsts == BANK_SELECT) | (firsts == _BANK_SELECT_FINE))
    return np.asarray(ticks[is_bank & (ticks > 0)])


def _sequence(path: Path, messages: Iterable[Timed]) -> mido.MidiTrack:
    """Returns a mido track: messages in order of time, each with the ticks since the one before."""
    now = 0
    sequence = mido.MidiTrack()
    for tick, _, message in sorted(messages, key=lambda timed: timed[:2]):
        if tick - now > _MAX_WAIT:
            raise MidiError(f"{path}: too long without an event for a MIDI file ({tick - now} ticks)")
        message.time = tick - now
        now = tick
        sequence.append(message)
    return sequence
