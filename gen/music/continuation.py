"""A piece and its continuation: the two together, or the continuation alone.

The piece itself does not change. New notes of an instrument join the track of that instrument. They get a new track
after the others if the piece has no track of the instrument or several, if they would strike a pitch that still sounds
there, or if the channel ends with a pitch bend or with volume 0.
"""

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from gen.music.metre import POSITIONS, bars_before
from gen.music.midi.protocol import BEND, CONTROLLER, EXPRESSION, NO_BEND, VOLUME
from gen.music.score import (
    ChannelEvents,
    KeySignature,
    Notes,
    PedalSpan,
    Score,
    Tempo,
    TimeSignature,
    Track,
)

FINE_ENOUGH: Final = 4 * POSITIONS  # ticks a beat: 5 ms at 120 beats a minute
MAX_TICKS: Final = 1 << 27  # of a piece with finer ticks; a MIDI file can hold a pause of twice that length

_Change = TypeVar("_Change", Tempo, TimeSignature, KeySignature)
Ints = NDArray[np.int64]


def refinement(score: Score) -> int:
    """Returns the number of parts into which a tick is divided so that a continuation can be written precisely.

    It is lower if the score would otherwise have more than `MAX_TICKS`.
    """
    beat = score.ticks_per_beat
    if beat >= FINE_ENOUGH or beat % POSITIONS == 0:
        return 1
    return max(1, min(-(-FINE_ENOUGH // beat), MAX_TICKS // max(score.end_ticks, 1)))


def refined(score: Score, factor: int) -> Score:
    """Returns the same music with each tick divided into `factor` ticks."""
    if factor == 1:
        return score
    return replace(
        score,
        tracks=tuple(_scaled(track, factor) for track in score.tracks),
        ticks_per_beat=score.ticks_per_beat * factor,
        tempos=tuple(change._replace(onset_ticks=change.onset_ticks * factor) for change in score.tempos),
        time_signatures=tuple(c._replace(onset_ticks=c.onset_ticks * factor) for c in score.time_signatures),
        key_signatures=tuple(c._replace(onset_ticks=c.onset_ticks * factor) for c in score.key_signatures),
        texts=tuple(text._replace(onset_ticks=text.onset_ticks * factor) for text in score.texts),
    )


def with_continuation(score: Score, added: Score, *, name: str) -> Score:
    """Returns a piece followed by its continuation.

    Args:
        added: the continuation, with the onsets that it has in the piece, in the ticks of the piece or finer ones; one
            track per instrument.
        name: the name of new tracks.
    """
    if not added.num_notes:
        return score
    score = refined(score, added.ticks_per_beat // score.ticks_per_beat)
    tracks = list(score.tracks)
    for track in added.tracks:
        homes = [index for index, home in enumerate(score.tracks) if _is_same_instrument(home, track)]
        if len(homes) == 1 and _takes(tracks[homes[0]], track):
            tracks[homes[0]] = _joined(tracks[homes[0]], track)
        else:
            tracks.append(replace(track, name=name))
    return replace(
        score,
        tracks=tuple(tracks),
        tempos=_merged(score.tempos, added.tempos),
        time_signatures=_merged(score.time_signatures, added.time_signatures),
        key_signatures=_merged(score.key_signatures, added.key_signatures),
    )


def continuation_alone(score: Score, added: Score, *, name: str) -> Score:
    """Returns the continuation of a piece alone, beginning at tick 0 with its first note.

    It keeps tempo, metre and bar lines; its first bar may be incomplete.
    """
    whole = with_continuation(score, added, name=name)
    if not added.num_notes:
        return replace(whole, tracks=(), tempos=(), time_signatures=(), key_signatures=(), texts=())
    start = min(int(track.columns[0].min()) for track in added.tracks)
    shift = np.array([[start], [0], [0], [0]])
    return replace(
        whole,
        tracks=tuple(replace(track, notes=Notes(track.columns - shift), name=name) for track in added.tracks),
        tempos=_from(whole.tempos, start),
        time_signatures=_from(_with_next_bar(whole, start), start),
        key_signatures=_from(whole.key_signatures, start),
        texts=(),
    )


def _scaled(track: Track, factor: int) -> Track:
    return replace(
        track,
        notes=Notes(track.columns * np.array([[factor], [factor], [1], [1]])),
        pedal=tuple(PedalSpan(start * factor, length * factor) for start, length in track.pedal),
        events=ChannelEvents(track.events.columns * np.array([[factor], [1], [1], [1]])),
    )


def _is_same_instrument(home: Track, track: Track) -> bool:
    return home.is_drum == track.is_drum and (track.is_drum or home.program == track.program)


def _takes(home: Track, track: Track) -> bool:
    """Returns whether the notes of `track` can be added to the track `home`."""
    onsets, durations, pitches, _ = home.columns
    silent_from = np.zeros(128, np.int64)
    np.maximum.at(silent_from, pitches, onsets + durations)
    new_onsets, _, new_pitches, _ = track.columns
    return bool((new_onsets >= silent_from[new_pitches]).all()) and _is_at_rest(home.events)


def _is_at_rest(events: ChannelEvents) -> bool:
    """Returns whether a channel ends without a pitch bend and with a volume above 0."""
    _, statuses, firsts, seconds = events.columns
    bends = np.flatnonzero(statuses == BEND)
    if len(bends) and seconds[bends[-1]] * 128 + firsts[bends[-1]] != NO_BEND:
        return False
    for controller in (VOLUME, EXPRESSION):
        changes = np.flatnonzero((statuses == CONTROLLER) & (firsts == controller))
        if len(changes) and seconds[changes[-1]] == 0:
            return False
    return True


def _joined(home: Track, track: Track) -> Track:
    columns = np.concatenate((home.columns, track.columns), axis=1)
    onsets, durations, pitches, velocities = columns
    return replace(home, notes=Notes(columns[:, np.lexsort((velocities, pitches, durations, onsets))]))


def _merged(changes: Iterable[_Change], added: Iterable[_Change]) -> tuple[_Change, ...]:
    """Returns all changes in order; of two changes at one tick, that of `changes` counts."""
    by_tick = {change.onset_ticks: change for change in added} | {change.onset_ticks: change for change in changes}
    return tuple(by_tick[tick] for tick in sorted(by_tick))


def _with_next_bar(score: Score, tick: int) -> tuple[TimeSignature, ...]:
    """Returns the time signatures of a score, with the current one repeated at the first bar line after a tick.

    So a score that is cut at that tick keeps its bar lines. If a bar begins at the tick, nothing is repeated.
    """
    bars = bars_before(score, tick + 1)
    line = math.ceil(bars.start_of(bars.num_bars + 1))
    if bars.start_of(bars.num_bars) == tick or any(tick < s.onset_ticks <= line for s in score.time_signatures):
        return score.time_signatures
    return _merged(score.time_signatures, (bars.metres[-1].signature._replace(onset_ticks=line),))


def _from(changes: Iterable[_Change], start: int) -> tuple[_Change, ...]:
    """Returns the changes that are in force from a tick on; that tick becomes 0."""
    by_tick = {max(change.onset_ticks - start, 0): change for change in changes}  # of those before it the last counts
    return tuple(change._replace(onset_ticks=tick) for tick, change in by_tick.items())
