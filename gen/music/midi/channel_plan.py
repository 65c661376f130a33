"""Gives the notes of a score channels, to write them to a MIDI file.

Channels are numbered through, 16 for each port before plus 0..15. Tracks that a file had on one channel stay together
on it, as a line, for they share what it is told. Each other track is a line of its own.

- A line stays where the file had it, if that is channel 10 of a port for drums and another one for others. Other lines
  take the first channels of port 0 that are free.
- Where these are too few, lines of one program that are told the same share a channel. Then lines of one program that
  are told nothing, having neither pedal nor bends nor controllers, share the channels of port 0 in time: one that
  begins to sound takes the channel that it had, or one that was not used, or the one that is silent for longest.
- What then has no channel gets one of a further port.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gen.music.midi.devices import CHANNELS
from gen.music.midi.parts import DRUM_CHANNEL
from gen.music.score import Track

Ints = NDArray[np.int64]


class Placed(NamedTuple):
    """Notes of one track on one channel; `is_told` where the events and the pedal of the channel belong to them."""

    track: int  # its place in the score
    channel: int
    columns: Ints  # (4, N), as in `Notes`
    is_told: bool


class _Span(NamedTuple):
    """A stretch of time in which a line sounds without a pause."""

    start: int
    end: int
    line: int
    first_pitches: frozenset[int]  # of the notes that begin at its start
    last_pitches: frozenset[int]  # of those that end at its end


def plan_channels(tracks: Sequence[Track]) -> list[Placed]:
    """Returns all tracks, in their order, on the channels that they get; a track on several channels comes in parts."""
    taken: dict[int, list[int]] = {}  # by channel, the line on it
    waiting: list[list[int]] = []
    for line in _lines(tracks):
        channel = tracks[line[0]].channel
        is_fit = channel is not None and (channel % CHANNELS == DRUM_CHANNEL) == tracks[line[0]].is_drum
        if channel is not None and is_fit and channel not in taken:
            taken[channel] = line
        else:
            waiting.append(line)
    _place_drums(tracks, [line for line in waiting if tracks[line[0]].is_drum], taken)
    pitched = [line for line in waiting if not tracks[line[0]].is_drum]
    parts = _place_pitched(tracks, pitched, taken)
    parts += [
        Placed(track, channel, tracks[track].columns, track == line[0])
        for channel, line in taken.items()
        for track in line
    ]
    return sorted(parts, key=lambda part: (part.track, part.channel))


def _lines(tracks: Sequence[Track]) -> Iterator[list[int]]:
    """Yields tracks that share a channel."""
    lines: defaultdict[Hashable, list[int]] = defaultdict(list)
    for place, track in enumerate(tracks):
        alone = place if track.channel is None else None
        kit = track.program if track.is_drum else None
        lines[alone, track.channel, track.is_drum, kit, track.pedal, _bytes(track)].append(place)
    for line in lines.values():
        if _is_playable([tracks[place] for place in line]):
            yield line
        else:
            programs: defaultdict[int, list[int]] = defaultdict(list)
            for place in line:
                programs[tracks[place].program].append(place)
            yield from programs.values()


def _is_playable(tracks: Sequence[Track]) -> bool:
    """Returns whether no two programs begin notes at one tick."""
    if len({track.program for track in tracks}) < 2:
        return True
    onsets = np.concatenate([track.columns[0] for track in tracks])
    programs = np.repeat([track.program for track in tracks], [len(track.notes) for track in tracks])
    order = np.argsort(onsets, kind="stable")
    onsets, programs = onsets[order], programs[order]
    return not bool(((onsets[1:] == onsets[:-1]) & (programs[1:] != programs[:-1])).any())


def _told(tracks: Sequence[Track], line: Sequence[int]) -> Hashable:
    """Returns what is equal for lines that can share a channel at any time."""
    first = tracks[line[0]]
    return frozenset(tracks[place].program for place in line), first.pedal, _bytes(first)


def _bytes(track: Track) -> bytes:
    return track.events.columns.tobytes()


def _free(taken: Iterable[int], *, is_drum: bool) -> Iterator[int]:
    """Yields the channels that are free, without an end."""
    used, port = set(taken), 0
    while True:
        for channel in range(CHANNELS):
            number = port * CHANNELS + channel
            if (channel == DRUM_CHANNEL) == is_drum and number not in used:
                yield number
        port += 1


def _place_drums(tracks: Sequence[Track], lines: Sequence[list[int]], taken: dict[int, list[int]]) -> None:
    """Gives lines of drums their channels; those of one kit that are told the same share one."""
    free = _free(list(taken), is_drum=True)
    known = {_told(tracks, line): channel for channel, line in taken.items() if tracks[line[0]].is_drum}
    for line in lines:
        told = _told(tracks, line)
        if told not in known:
            known[told] = next(free)
            taken[known[told]] = []
        taken[known[told]] = [*taken[known[told]], *line]


def _place_pitched(tracks: Sequence[Track], lines: Sequence[list[int]], taken: dict[int, list[int]]) -> list[Placed]:
    """Gives lines their channels; returns the parts of those that share channels in time."""
    free = _free(list(taken), is_drum=False)
    num_free = CHANNELS - 1 - sum(channel < CHANNELS and channel != DRUM_CHANNEL for channel in taken)
    if len(lines) > num_free:
        alike: defaultdict[Hashable, list[int]] = defaultdict(list)
        for line in lines:
            alike[_told(tracks, line)] += line
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
    is_one = len({tracks[place].program for place in line}) == 1
    return is_one and not first.pedal and not len(first.events)


def _share(
    tracks: Sequence[Track], lines: Sequence[list[int]], homes: Sequence[int], free: Iterator[int]
) -> list[Placed]:
    """Returns the notes of lines on channels that they share in time; the first lines have had the channels `homes`."""
    columns = [np.concatenate([tracks[place].columns for place in line], axis=1) for line in lines]
    spans = [_spans(number, of_line) for number, of_line in enumerate(columns)]
    channels = _assigned(sorted(span for those in spans for span in those), homes, free)
    parts = []
    for line, those in zip(lines, spans, strict=True):
        starts = np.array([span.start for span in those], np.int64)
        of_spans = np.array([channels[span] for span in those], np.int64)
        for place in line:
            notes = tracks[place].columns
            of_notes = of_spans[np.searchsorted(starts, notes[0], side="right") - 1]
            parts += [
                Placed(place, channel, notes[:, of_notes == channel], False) for channel in np.unique(of_notes).tolist()
            ]
    return parts


def _spans(line: int, columns: Ints) -> list[_Span]:
    """Returns when one of (4, N) notes sounds."""
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
    """Returns a channel for each span, which come in order of time; the first lines have had the channels `homes`.

    A channel may pass from one line to another at the tick at which the one ends, unless a pitch of it begins again.
    """
    nothing = frozenset[int]()
    last = {channel: _Span(-1, -1, line, nothing, nothing) for line, channel in enumerate(homes)}  # by channel
    unused = next(free)
    channels = {}
    for span in spans:
        silent = [channel for channel, before in last.items() if _may_follow(before, span)]
        own = [channel for channel in silent if last[channel].line == span.line]
        if own:
            chosen = own[0]
        elif silent and unused >= CHANNELS:  # on another port, which not every player has
            chosen = min(silent, key=lambda channel: (last[channel].end < 0, last[channel].end))  # homes come last
        else:
            chosen, unused = unused, next(free)
        last[chosen] = span
        channels[span] = chosen
    return channels


def _may_follow(before: _Span, span: _Span) -> bool:
    return before.end < span.start or (before.end == span.start and not before.last_pitches & span.first_pitches)
