"""Builds the tracks of a score from the events of a file: one per track of the file, channel and program with notes.

Programs, pedal, bends and controllers act on their channel in all tracks of the file. They are ordered by time, then by
their order in the file.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gen.music.midi.devices import Channels
from gen.music.midi.events import Events
from gen.music.midi.pairing import pair_notes
from gen.music.midi.parts import DRUM_BANKS, MELODY_BANK, Parts
from gen.music.midi.protocol import (
    BANK_SELECT,
    CHANNELS,
    CONTROLLER,
    DRUM_CHANNEL,
    KEY_PRESSURE,
    NOTE_ON,
    PROGRAM,
    SUSTAIN_PEDAL,
)
from gen.music.pedal import pedal_spans
from gen.music.score import NO_EVENTS, ChannelEvents, Notes, PedalSpan, Track, differences

Ints = NDArray[np.int64]


class Voice(NamedTuple):
    """The notes of one channel in one track of the file."""

    track: int
    channel: int
    columns: Ints  # (4, N), as in `Notes`
    has_off: NDArray[np.bool_]  # (N,)


class _Programs(NamedTuple):
    """The program changes of one channel, in order of time."""

    first: int  # the program of the first change in the file
    ticks: Ints  # (C,)
    numbers: Ints  # (C + 1,) the program before the first change, and after each
    is_one: bool  # whether all changes set the same program, which then holds for the whole piece

    @property
    def num_changes(self) -> int:
        """The number of program changes."""
        return len(self.ticks)

    def indices(self, ticks: Ints) -> Ints:
        """Returns the indices in `numbers` of the programs at (N,) ticks."""
        return np.searchsorted(self.ticks, ticks, side="right")

    def at(self, tick: int) -> int:
        """Returns the program at a tick."""
        return self.first if self.is_one else int(self.numbers[self.indices(np.array(tick))])

    def mark_used_(self, ticks: Ints, marks: NDArray[np.bool_]) -> None:
        """Marks the changes whose programs play notes at (N,) ticks."""
        if self.is_one:
            marks[:] = True
        else:
            indices = self.indices(ticks)
            marks[indices[indices > 0] - 1] = True


_PIANO = _Programs(0, ticks=np.zeros(0, np.int64), numbers=np.zeros(1, np.int64), is_one=True)


class _Channel(NamedTuple):
    """The programs, pedal and other events of one channel."""

    programs: _Programs
    pedal: tuple[PedalSpan, ...]
    events: ChannelEvents


_WITHOUT_EVENTS = _Channel(_PIANO, (), NO_EVENTS)


def find_voices(events: Events, channels: Channels, *, ticks_per_beat: int) -> tuple[list[Voice], Counter[str]]:
    """Returns the notes by track and channel, in the order of their first events, and the findings of pairing them."""
    is_note = events.statuses < KEY_PRESSURE
    num_channels = CHANNELS * channels.num_ports
    keys = events.tracks[is_note] * num_channels + channels.numbers[is_note]
    order = list(dict.fromkeys(keys[np.flatnonzero(differences(keys, before=-1))].tolist()))
    ranks = np.zeros(len(events.ends) * num_channels, np.int64)
    ranks[order] = np.arange(len(order))
    voices, columns, has_off, findings = pair_notes(
        ranks[keys],
        events.ticks[is_note],
        events.firsts[is_note],
        np.where(events.statuses[is_note] < NOTE_ON, 0, events.seconds[is_note]),
        end_ticks=np.array([events.ends[key // num_channels] for key in order], np.int64),
        ticks_per_beat=ticks_per_beat,
    )
    bounds = np.searchsorted(voices, np.arange(len(order) + 1)).tolist()
    slices = [slice(start, stop) for start, stop in pairwise(bounds)]
    return [
        Voice(key // num_channels, key % num_channels, columns[:, chosen], has_off[chosen])
        for key, chosen in zip(order, slices, strict=True)
    ], findings


def tracks_of(
    voices: Sequence[Voice], events: Events, channels: Channels, parts: Parts, names: Mapping[int, str]
) -> tuple[tuple[Track, ...], int]:
    """Returns the tracks, and the number of program changes whose programs play pitched notes."""
    by_channel = _channels(voices, events, channels)
    used = {channel: np.zeros(programs.num_changes, np.bool_) for channel, (programs, _, _) in by_channel.items()}
    tracks = []
    for index, channel, columns, _ in voices:
        programs, pedal, others = by_channel.get(channel, _WITHOUT_EVENTS)
        for is_drum, of_part in _by_part(columns, channel, parts):
            if not is_drum and channel in used:
                programs.mark_used_(of_part[0], used[channel])
            kit = programs.at(of_part[0, 0]) if channel in parts.changes else programs.first
            split = [(kit, of_part)] if is_drum else _by_program(of_part, programs)
            for program, chosen in split:
                tracks.append(Track(Notes(chosen), program, is_drum, names.get(index, ""), pedal, others, channel))
    return tuple(tracks), sum(int(np.count_nonzero(marks)) for marks in used.values())


def _channels(voices: Sequence[Voice], events: Events, channels: Channels) -> dict[int, _Channel]:
    """Returns the events of each channel, once for all its voices: a hostile file has tens of thousands of voices."""
    statuses, ticks, firsts, seconds = events.statuses & 0xF0, events.ticks, events.firsts, events.seconds
    is_controller, is_program = statuses == CONTROLLER, statuses == PROGRAM
    is_pedal = is_controller & (firsts == SUSTAIN_PEDAL)
    is_bank = is_controller & (firsts == BANK_SELECT)
    is_of_parts = is_bank & np.isin(seconds, (*DRUM_BANKS, MELODY_BANK)) if is_bank.any() else is_bank
    is_other = (statuses >= KEY_PRESSURE) & ~(is_program | is_pedal | is_of_parts)
    programs = {
        channel: _programs(ticks[chosen], firsts[chosen], chosen)
        for channel, chosen in _by_channel(channels.numbers, ticks, is_program)
    }
    others = {
        channel: ChannelEvents(np.stack((ticks[chosen], statuses[chosen], firsts[chosen], seconds[chosen])))
        for channel, chosen in _by_channel(channels.numbers, ticks, is_other)
    }
    ends = _ends(voices) if is_pedal.any() else {}
    pedals = {
        channel: pedal_spans(np.stack((ticks[chosen], seconds[chosen]), axis=1), end_ticks=ends.get(channel, 0))
        for channel, chosen in _by_channel(channels.numbers, ticks, is_pedal)
    }
    return {
        channel: _Channel(programs.get(channel, _PIANO), pedals.get(channel, ()), others.get(channel, NO_EVENTS))
        for channel in programs.keys() | pedals.keys() | others.keys()
    }


def _by_channel(numbers: Ints, ticks: Ints, is_chosen: NDArray[np.bool_]) -> Iterator[tuple[int, Ints]]:
    """Yields each channel with the indices of its chosen events, in order of time."""
    chosen = np.flatnonzero(is_chosen)
    if not len(chosen):
        return
    order = chosen[np.argsort(numbers[chosen] << 32 | ticks[chosen], kind="stable")]  # ticks have at most 31 bits
    sorted_numbers = numbers[order]
    starts = np.flatnonzero(differences(sorted_numbers, before=-1))
    yield from zip(sorted_numbers[starts].tolist(), np.split(order, starts[1:]), strict=True)


def _programs(ticks: Ints, numbers: NDArray[np.uint8], order: Ints) -> _Programs:
    """Returns the program changes of a channel, given in order of time with their (C,) indices in the file."""
    first = int(numbers[np.argmin(order)])
    return _Programs(first, ticks, np.append(0, numbers), is_one=bool((numbers == first).all()))


def _ends(voices: Sequence[Voice]) -> dict[int, int]:
    """Returns the tick of the last note-off of each channel."""
    ends: dict[int, int] = {}
    for _, channel, columns, _ in voices:
        ends[channel] = max(ends.get(channel, 0), int((columns[0] + columns[1]).max(initial=0)))
    return ends


def _by_part(columns: Ints, channel: int, parts: Parts) -> Iterator[tuple[bool, Ints]]:
    """Yields the notes of a channel that are melody and those that are drums, each with whether they are drums."""
    if not columns.size:
        return
    if channel not in parts.changes:
        yield channel % CHANNELS == DRUM_CHANNEL, columns
        return
    is_drum = parts.is_drum(channel, columns[0])
    for part in (False, True):
        if (is_drum == part).any():
            yield part, columns[:, is_drum == part]


def _by_program(columns: Ints, changes: _Programs) -> Iterator[tuple[int, Ints]]:
    """Yields the pitched notes of each program: the last one set on the channel before their onsets, or else 0."""
    if changes.is_one:
        yield changes.first, columns
        return
    programs = changes.numbers[changes.indices(columns[0])]
    for program in dict.fromkeys(programs.tolist()):
        yield program, columns[:, programs == program]
