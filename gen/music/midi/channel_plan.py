"""Assigns the notes of a score to channels, for writing a MIDI file.

The number of a channel is 16 * port + 0..15. A line is a group of tracks that must play on one channel: tracks that
were on one channel of a file, because they share its pedal, bends and controllers. Any other track is a line by itself.

- A line keeps its channel of the file if that fits: channel 10 of a port for drums, another channel for melody. Other
  lines take the first free channels of port 0.
- If there are too few free channels, lines with the same programs and the same events share a channel. Then plain
  lines, which have one program and neither pedal nor bends nor controllers, share the channels of port 0 over time: a
  line that begins to sound takes the channel that it had before, or an unused one, or the one that is silent longest.
- Lines that still have no channel get channels of further ports.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gen.music.midi.protocol import CHANNELS, DRUM_CHANNEL
from gen.music.score import Track

Ints = NDArray[np.int64]


class ChannelPart(NamedTuple):
    """Notes of one track on one channel."""

    track: int  # the index of the track in the score
    channel: int
    columns: Ints  # (4, N), as in `Notes`
    has_events: bool  # whether the events and the pedal of the channel are written with this part


class _Span(NamedTuple):
    """A time in which a line sounds without a pause."""

    start: int
    end: int
    line: int
    first_pitches: frozenset[int]  # of the notes that begin at its start
    last_pitches: frozenset[int]  # of those that end at its end


def plan_channels(tracks: Sequence[Track]) -> list[ChannelPart]:
    """Returns the parts of all tracks, in the order of the tracks; a track on several channels has several parts."""
    taken: dict[int, list[int]] = {}  # the lines by channel
    waiting: list[list[int]] = []
    for line in _lines(tracks):
        channel = tracks[line[0]].channel
        is_fit = channel is not None and (channel % CHANNELS == DRUM_CHANNEL) == tracks[line[0]].is_drum
        if channel is not None and is_fit and channel not in taken:
            taken[channel] = line
        else:
            waiting.append(line)
    _assign_drums(tracks, [line for line in waiting if tracks[line[0]].is_drum], taken)
    pitched = [line for line in waiting if not tracks[line[0]].is_drum]
    parts = _assign_pitched(tracks, pitched, taken)
    parts += [
        ChannelPart(track, channel, tracks[track].columns, track == line[0])
        for channel, line in taken.items()
        for track in line
    ]
    return sorted(parts, key=lambda part: (part.track, part.channel))


def _lines(tracks: Sequence[Track]) -> Iterator[list[int]]:
    """Yields the lines, as indices of tracks."""
    lines: defaultdict[Hashable, list[int]] = defaultdict(list)
    for index, track in enumerate(tracks):
        alone = index if track.channel is None else None
        kit = track.program if track.is_drum else None
        lines[alone, track.channel, track.is_drum, kit, track.pedal, _bytes(track)].append(index)
    for line in lines.values():
        if _is_playable([tracks[index] for index in line]):
            yield line
        else:
            programs: defaultdict[int, list[int]] = defaultdict(list)
            for index in line:
                programs[tracks[index].program].append(index)
            yield from programs.values()


def _is_playable(tracks: Sequence[Track]) -> bool:
    """Returns whether all notes that begin at one tick have the same program."""
    if len({track.program for track in tracks}) < 2:
        return True
    onsets = np.concatenate([track.columns[0] for track in tracks])
    programs = np.repeat([track.program for track in tracks], [len(track.notes) for track in tracks])
    order = np.argsort(onsets, kind="stable")
    onsets, programs = onsets[order], programs[order]
    return not bool(((onsets[1:] == onsets[:-1]) & (programs[1:] != programs[:-1])).any())


def _channel_key(tracks: Sequence[Track], line: Sequence[int]) -> Hashable:
    """Returns the programs and events of a line; lines for which they are equal can share a channel at any time."""
    first = tracks[line[0]]
    return frozenset(tracks[index].program for index in line), first.pedal, _bytes(first)


def _bytes(track: Track) -> bytes:
    return track.events.columns.tobytes()


def _free(taken: Iterable[int], *, is_drum: bool) -> Iterator[int]:
    """Yields the free channels of all ports, without end."""
    used, port = set(taken), 0
    while True:
        for channel in range(CHANNELS):
            number = port * CHANNELS + channel
            if (channel == DRUM_CHANNEL) == is_drum and number not in used:
                yield number
        port += 1


def _assign_drums(tracks: Sequence[Track], lines: Sequence[list[int]], taken: dict[int, list[int]]) -> None:
    """Assigns lines of drums to channels; lines with the same kit and the same events share one."""
    free = _free(list(taken), is_drum=True)
    known = {_channel_key(tracks, line): channel for channel, line in taken.items() if tracks[line[0]].is_drum}
    for line in lines:
        key = _channel_key(tracks, line)
        if key not in known:
            known[key] = next(free)
            taken[known[key]] = []
        taken[known[key]] = [*taken[known[key]], *line]


def _assign_pitched(
    tracks: Sequence[Track], lines: Sequence[list[int]], taken: dict[int, list[int]]
) -> list[ChannelPart]:
    """Assigns lines of melody to channels; returns the parts of lines that share channels over time."""
    free = _free(list(taken), is_drum=False)
    num_free = CHANNELS - 1 - sum(channel < CHANNELS and channel != DRUM_CHANNEL for channel in taken)
    if len(lines) > num_free:
        alike: defaultdict[Hashable, list[int]] = defaultdict(list)
        for line in lines:
            alike[_channel_key(tracks, line)] += line
        lines = list(alike.values())
    if len(lines) <= num_free:
        for line in lines:
            taken[next(free)] = line
        return []
    homes = {c: line for c, line in taken.items() if c < CHANNELS and c != DRUM_CHANNEL and _is_plain(tracks, line)}
    for channel in homes:
        del taken[channel]
    floating = list(homes.values())
    for line in lines:
        if _is_plain(tracks, line):
            floating.append(line)
        else:
            taken[next(free)] = line
    return _share(tracks, floating, list(homes), free)


def _is_plain(tracks: Sequence[Track], line: Sequence[int]) -> bool:
    first = tracks[line[0]]
    is_one = len({tracks[index].program for index in line}) == 1
    return is_one and not first.pedal and not len(first.events)


def _share(
    tracks: Sequence[Track], lines: Sequence[list[int]], homes: Sequence[int], free: Iterator[int]
) -> list[ChannelPart]:
    """Returns the parts of lines that share channels over time; the first lines had the channels `homes` before."""
    columns = [np.concatenate([tracks[index].columns for index in line], axis=1) for line in lines]
    spans = [_spans(number, of_line) for number, of_line in enumerate(columns)]
    channels = _assigned(sorted(span for those in spans for span in those), homes, free)
    parts = []
    for line, those in zip(lines, spans, strict=True):
        starts = np.array([span.start for span in those], np.int64)
        of_spans = np.array([channels[span] for span in those], np.int64)
        for index in line:
            notes = tracks[index].columns
            of_notes = of_spans[np.searchsorted(starts, notes[0], side="right") - 1]
            parts += [
                ChannelPart(index, channel, notes[:, of_notes == channel], False)
                for channel in np.unique(of_notes).tolist()
            ]
    return parts


def _spans(line: int, columns: Ints) -> list[_Span]:
    """Returns the spans of time in which any of the (4, N) notes of a line sounds."""
    if not columns.size:
        return []
    columns = columns[:, np.lexsort((columns[2], columns[0]))]
    onsets, ends, pitches = columns[0], columns[0] + columns[1], columns[2]
    latest = np.maximum.accumulate(ends)
    firsts = np.flatnonzero(np.concatenate(([True], onsets[1:] > latest[:-1])))
    spans = []
    for first, stop in zip(firsts.tolist(), [*firsts[1:].tolist(), len(onsets)], strict=True):
        start, end = int(onsets[first]), int(latest[stop - 1])
        of_span = slice(first, stop)
        begin = frozenset(pitches[of_span][onsets[of_span] == start].tolist())
        last = frozenset(pitches[of_span][ends[of_span] == end].tolist())
        spans.append(_Span(start, end, line, begin, last))
    return spans


def _assigned(spans: Sequence[_Span], homes: Sequence[int], free: Iterator[int]) -> dict[_Span, int]:
    """Returns the channel of each span, given in order of time; the first lines had the channels `homes` in the file.

    A channel may pass from one line to another at the tick at which the first ends, unless a pitch that ends there
    begins again.
    """
    nothing = frozenset[int]()
    last = {channel: _Span(-1, -1, line, nothing, nothing) for line, channel in enumerate(homes)}  # span by channel
    unused = next(free)
    channels = {}
    for span in spans:
        silent = [channel for channel, before in last.items() if _may_follow(before, span)]
        own = [channel for channel in silent if last[channel].line == span.line]
        if own:
            chosen = own[0]
        elif silent and unused >= CHANNELS:  # the unused channel is of another port, which not every player has
            chosen = min(silent, key=lambda channel: (last[channel].end < 0, last[channel].end))  # unused homes last
        else:
            chosen, unused = unused, next(free)
        last[chosen] = span
        channels[span] = chosen
    return channels


def _may_follow(before: _Span, span: _Span) -> bool:
    return before.end < span.start or (before.end == span.start and not before.last_pitches & span.first_pitches)
