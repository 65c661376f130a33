"""A piece and what goes on from it: together, the piece as it was; or what goes on alone.

Notes of the one instrument that goes on join its track. Where the piece has several tracks of it, or none, or where
they would strike a pitch that still sounds there or play on a channel that was left bent or mute, they get a track of
their own after the others.
"""

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from gen.music.metre import POSITIONS, bars_before
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

FINE_ENOUGH: Final = 4 * POSITIONS  # ticks a beat: at 120 beats a minute 5 ms
MAX_TICKS: Final = 1 << 27  # of a piece that is refined: a MIDI file can say twice as long a pause
_BEND, _CONTROLLER, _NO_BEND = 0xE0, 0xB0, 8192
_VOLUMES = (7, 11)  # the controllers that can make a channel mute

_Change = TypeVar("_Change", Tempo, TimeSignature, KeySignature)
Ints = NDArray[np.int64]


def refinement(score: Score) -> int:
    """Returns in how many parts a tick is fine enough for what may go on; in fewer where a file could not hold them."""
    beat = score.ticks_per_beat
    if beat >= FINE_ENOUGH or beat % POSITIONS == 0:
        return 1
    last = max((int((t.columns[0] + t.columns[1]).max()) for t in score.tracks if len(t.notes)), default=1)
    return max(1, min(-(-FINE_ENOUGH // beat), MAX_TICKS // last))


def refined(score: Score, factor: int) -> Score:
    """Returns the score with ticks of so many parts each; nothing else changes."""
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


def gone_on(score: Score, added: Score, *, name: str) -> Score:
    """Returns a piece, unchanged, and what goes on from it.

    Args:
        added: at its place in the piece, in ticks of it or finer ones; a track for each instrument.
        name: of tracks that are new.
    """
    if not added.num_notes:
        return score
    score = refined(score, added.ticks_per_beat // score.ticks_per_beat)
    tracks = list(score.tracks)
    for track in added.tracks:
        homes = [place for place, home in enumerate(score.tracks) if _is_same_instrument(home, track)]
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


def gone_on_alone(score: Score, added: Score, *, name: str) -> Score:
    """Returns what goes on from a piece alone, from its own first note on.

    Tempo, metre and bar lines are those that it has there; the first bar may be a part of one.
    """
    whole = gone_on(score, added, name=name)
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
    """Returns whether notes can go on in a track."""
    onsets, durations, pitches, _ = home.columns
    silent_from = np.zeros(128, np.int64)
    np.maximum.at(silent_from, pitches, onsets + durations)
    new_onsets, _, new_pitches, _ = track.columns
    return bool((new_onsets >= silent_from[new_pitches]).all()) and _is_at_rest(home.events)


def _is_at_rest(events: ChannelEvents) -> bool:
    """Returns whether a channel ends neither bent nor mute."""
    _, statuses, firsts, seconds = events.columns
    bends = np.flatnonzero(statuses == _BEND)
    if len(bends) and seconds[bends[-1]] * 128 + firsts[bends[-1]] != _NO_BEND:
        return False
    for controller in _VOLUMES:
        said = np.flatnonzero((statuses == _CONTROLLER) & (firsts == controller))
        if len(said) and seconds[said[-1]] == 0:
            return False
    return True


def _joined(home: Track, track: Track) -> Track:
    columns = np.concatenate((home.columns, track.columns), axis=1)
    onsets, durations, pitches, velocities = columns
    return replace(home, notes=Notes(columns[:, np.lexsort((velocities, pitches, durations, onsets))]))


def _merged(changes: Iterable[_Change], added: Iterable[_Change]) -> tuple[_Change, ...]:
    """Returns all changes in order; those that were there before stay."""
    by_tick = {change.onset_ticks: change for change in added} | {change.onset_ticks: change for change in changes}
    return tuple(by_tick[tick] for tick in sorted(by_tick))


def _with_next_bar(score: Score, tick: int) -> tuple[TimeSignature, ...]:
    """Returns the time signatures of a score, the one in force again where the next bar begins; no bar line moves."""
    bars = bars_before(score, tick + 1)
    line = math.ceil(bars.start_of(bars.num_bars + 1))
    if bars.start_of(bars.num_bars) == tick or any(tick < s.onset_ticks <= line for s in score.time_signatures):
        return score.time_signatures
    return _merged(score.time_signatures, (bars.metres[-1].signature._replace(onset_ticks=line),))


def _from(changes: Iterable[_Change], start: int) -> tuple[_Change, ...]:
    """Returns what holds from a tick on, which becomes 0."""
    by_tick = {max(change.onset_ticks - start, 0): change for change in changes}  # of the earlier ones the last counts
    return tuple(change._replace(onset_ticks=tick) for tick, change in by_tick.items())
