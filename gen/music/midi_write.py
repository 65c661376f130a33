"""Writes MIDI files: type 1, a track for tempo and signatures, then one for each track of the score.

`read_midi` gives back what was written, note for note, wherever a track has notes and no note of it ends after a later
one of the same pitch (which MIDI itself cannot say). Pitched tracks get a channel each; past 15 of them those that
agree in program and pedal share one.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import mido

from gen.errors import MidiError
from gen.files import write_atomically
from gen.music.parts import DRUM_CHANNEL
from gen.music.score import DEFAULT_TEMPO, Score, Tempo, Track
from gen.music.voices import SUSTAIN_PEDAL

_PITCHED_CHANNELS = tuple(channel for channel in range(16) if channel != DRUM_CHANNEL)
_LONGEST_WAIT = 0x0FFFFFFF  # what a delta time of four bytes can hold

Timed = tuple[int, int, mido.Message | mido.MetaMessage]  # tick, rank within the tick, message with time unset


def write_midi(path: Path, score: Score) -> None:
    """Writes a score; the file appears whole or not at all.

    Raises:
        MidiError: it has more instruments than MIDI has channels, or a pause longer than MIDI can say.
        SettingError: the file cannot be written.
    """
    midi_file = mido.MidiFile(type=1, ticks_per_beat=score.ticks_per_beat)
    midi_file.tracks.append(_sequence(path, _conductor(score)))
    for track, channel in zip(score.tracks, _channels(path, score.tracks), strict=True):
        midi_file.tracks.append(_sequence(path, _messages(track, channel)))
    write_atomically(path, midi_file.save)


def _conductor(score: Score) -> Iterator[Timed]:
    for tick, tempo in score.tempos or (Tempo(0, DEFAULT_TEMPO),):
        yield tick, 0, mido.MetaMessage("set_tempo", tempo=tempo)
    for tick, numerator, denominator in score.time_signatures:
        yield tick, 0, mido.MetaMessage("time_signature", numerator=numerator, denominator=denominator)
    for tick, key in score.key_signatures:
        yield tick, 0, mido.MetaMessage("key_signature", key=key)


def _messages(track: Track, channel: int) -> Iterator[Timed]:
    if track.name:
        name = track.name.encode("latin-1", errors="replace").decode("latin-1")  # MIDI names no encoding
        yield 0, 0, mido.MetaMessage("track_name", name=name)
    yield 0, 0, mido.Message("program_change", channel=channel, program=track.program)
    for onset, duration in track.pedal:
        for tick, rank, value in ((onset, 2, 127), (onset + duration, 1, 0)):
            yield tick, rank, mido.Message("control_change", channel=channel, control=SUSTAIN_PEDAL, value=value)
    for onset, duration, pitch, velocity in track.notes:
        yield onset, 4, mido.Message("note_on", channel=channel, note=pitch, velocity=velocity)
        yield onset + duration, 3, mido.Message("note_off", channel=channel, note=pitch, velocity=0)


def _sequence(path: Path, messages: Iterable[Timed]) -> mido.MidiTrack:
    """Returns a mido track: messages in order of time, each with the ticks since the one before."""
    now = 0
    sequence = mido.MidiTrack()
    for tick, _, message in sorted(messages, key=lambda timed: timed[:2]):
        if tick - now > _LONGEST_WAIT:
            raise MidiError(f"{path}: too long without an event for a MIDI file ({tick - now} ticks)")
        message.time = tick - now
        now = tick
        sequence.append(message)
    return sequence


def _channels(path: Path, tracks: tuple[Track, ...]) -> list[int]:
    pitched = [index for index, track in enumerate(tracks) if not track.is_drum]
    is_shared = len(pitched) > len(_PITCHED_CHANNELS)
    keys = {index: (tracks[index].program, tracks[index].pedal) if is_shared else index for index in pitched}
    distinct = list(dict.fromkeys(keys.values()))
    if len(distinct) > len(_PITCHED_CHANNELS):
        raise MidiError(f"{path}: more instruments than a MIDI file has channels ({len(distinct)})")
    return [
        DRUM_CHANNEL if track.is_drum else _PITCHED_CHANNELS[distinct.index(keys[index])]
        for index, track in enumerate(tracks)
    ]
