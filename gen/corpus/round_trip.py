"""Measures the losses of a music codec: compares each note of a score with the same note encoded and decoded.

All errors are in seconds of the file, so they include the rounding of tempos, which adds up along a piece. The length
of a note that the pedal holds is its sounding length: until the pedal goes up or the pitch is struck again.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from gen.codec import Codec, decode
from gen.codecs.beat.codec import BeatCodec
from gen.codecs.beat.grid import Grid
from gen.codecs.beat.layout import DRUM_TICKS, EARLY_TICKS, has_notes, lay_out_beats, score_grid
from gen.codecs.beat.vocab import DRUMS
from gen.codecs.performance.codec import PerformanceCodec
from gen.codecs.performance.layout import lay_out_performance
from gen.codecs.performance.vocab import FRAMES_PER_SECOND
from gen.music.metre import POSITION_TICKS
from gen.music.pedal import held_ends
from gen.music.score import Score, Track

_STRIDE = 1 << 40  # far above any onset in frames or ticks, so that pitch and onset make one sortable key
_FIRST_DRUM = (DRUMS << 7) * _STRIDE

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_Values = TypeVar("_Values", Ints, Floats)


class RoundTrip(NamedTuple):
    """The errors of a decoded score. Silences that the codec cuts are not counted as errors.

    Each decoded note is compared with the nearest note of its pitch (and for `beat` of its program) in the score. If
    the codec joined several notes into one, it is compared with the loudest and with the longest.
    """

    notes: int  # notes of the score, without those that the codec leaves out
    kept: int  # decoded notes
    exact: int  # decoded notes that begin at the same tick as in the score; for `beat`, regardless of the tempo
    lengths: int  # decoded notes with a length: all but the drums of `beat`
    exact_lengths: int  # decoded notes that last as many ticks as in the score
    onset_errors_seconds: Floats  # (kept,)
    length_errors_seconds: Floats  # (lengths,)
    velocity_errors: Ints  # (kept,)
    end_error_seconds: float  # the difference between the ends of the two pieces


class Losses(NamedTuple):
    """The round trips of many files in a few figures; all 0 if no note was decoded."""

    notes: int = 0
    kept: int = 0
    exact: int = 0
    lengths: int = 0
    exact_lengths: int = 0
    onset_error_ms_median: float = 0.0
    onset_error_ms_max: float = 0.0
    length_error_ms_median: float = 0.0
    length_error_ms_max: float = 0.0
    velocity_error_median: float = 0.0
    velocity_error_max: int = 0
    end_error_seconds_median: float = 0.0
    end_error_seconds_max: float = 0.0


class _Notes(NamedTuple):
    """Notes in ascending order of `keys`, as (N,) arrays, without the silences that the codec cuts.

    Onsets and ends are in ticks of the grid for `beat`, in seconds for `performance`.
    """

    keys: Ints  # pitch (and program), then onset on the codec's grid
    onsets: Floats
    ends: Floats
    onset_seconds: Floats
    end_seconds: Floats
    velocities: Ints
    ticks: Floats  # the length of a tick of the score at the onset, in the unit of onsets


def round_trip(score: Score, codec: PerformanceCodec | BeatCodec) -> RoundTrip:
    """Encodes and decodes a score, and compares the notes."""
    music: Codec[Score, Any] = codec
    decoded = decode(music, music.encode(score))
    if isinstance(codec, PerformanceCodec):
        is_drums = codec.is_drums
        cuts = lay_out_performance(score, is_drums=is_drums).cut_seconds
        before = _in_seconds(score, is_drums=is_drums, cuts=cuts)
        after = _in_seconds(decoded, is_drums=is_drums, cuts=cuts[:0])
        return _compared(before, after, joined=np.ones_like(after.keys), has_length=np.ones(len(after.keys), np.bool_))
    no_cuts = np.zeros((0, 2), np.int64)
    before = _in_ticks(score, cuts=lay_out_beats(score).cuts if has_notes(score) else no_cuts)
    after = _in_ticks(decoded, cuts=no_cuts)
    is_drum = after.keys >= _FIRST_DRUM
    return _compared(before, after, joined=np.where(is_drum, DRUM_TICKS, POSITION_TICKS), has_length=~is_drum)


def sum_up(trips: Iterable[RoundTrip]) -> Losses:
    """Adds up many round trips; medians are over all notes, that of ends over all files."""
    listed = list(trips)
    counts = ("notes", "kept", "exact", "lengths", "exact_lengths")
    counted = Losses(**{name: sum(getattr(trip, name) for trip in listed) for name in counts})
    if not counted.kept:
        return counted
    onset_ms = 1000 * np.concatenate([trip.onset_errors_seconds for trip in listed])
    length_ms = 1000 * np.concatenate([trip.length_errors_seconds for trip in listed])
    velocity = np.concatenate([trip.velocity_errors for trip in listed])
    ends = [trip.end_error_seconds for trip in listed if trip.kept]
    return counted._replace(
        onset_error_ms_median=float(np.median(onset_ms)),
        onset_error_ms_max=float(onset_ms.max()),
        length_error_ms_median=float(np.median(length_ms)) if len(length_ms) else 0.0,
        length_error_ms_max=float(length_ms.max(initial=0)),
        velocity_error_median=float(np.median(velocity)),
        velocity_error_max=int(velocity.max()),
        end_error_seconds_median=float(np.median(ends)),
        end_error_seconds_max=max(ends),
    )


def _compared(before: _Notes, after: _Notes, *, joined: Ints, has_length: NDArray[np.bool_]) -> RoundTrip:
    """Compares the notes before encoding with the decoded notes.

    Args:
        joined: (kept,) the length of grid, from the onset of each decoded note, in which notes are joined into it.
        has_length: (kept,) whether the codec stores the length of each decoded note.
    """
    if not len(after.keys):
        return RoundTrip(len(before.keys), 0, 0, 0, 0, np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.int64), 0.0)
    nearest = _nearest(before.keys, after.keys)
    first = np.searchsorted(before.keys, before.keys[nearest], side="left")
    stop = np.searchsorted(before.keys, before.keys[nearest] + joined, side="left")
    ends, end_seconds = _maxima(before.ends, first, stop), _maxima(before.end_seconds, first, stop)
    loudest = _maxima(before.velocities, first, stop)
    again = np.minimum(stop, len(before.keys) - 1)  # the next note of the pitch
    is_limited = (stop < len(before.keys)) & (before.keys[again] // _STRIDE == after.keys // _STRIDE)
    ends = np.where(is_limited, np.minimum(ends, before.onsets[again]), ends)
    end_seconds = np.where(is_limited, np.minimum(end_seconds, before.onset_seconds[again]), end_seconds)

    half_ticks = before.ticks[nearest] * (0.5 - 1e-9)  # less than half: between two ticks, neither is exact
    onset_errors = np.abs(after.onsets - before.onsets[nearest])
    length_errors = np.abs(after.ends - after.onsets - (ends - before.onsets[nearest]))
    onset_seconds = before.onset_seconds[nearest]
    lasting = after.end_seconds - after.onset_seconds - (end_seconds - onset_seconds)
    ending = (
        float(np.where(has_length, stops, starts).max())
        for starts, stops in ((onset_seconds, end_seconds), (after.onset_seconds, after.end_seconds))
    )
    return RoundTrip(
        notes=len(before.keys),
        kept=len(after.keys),
        exact=int(np.count_nonzero(onset_errors < half_ticks)),
        lengths=int(np.count_nonzero(has_length)),
        exact_lengths=int(np.count_nonzero((length_errors < half_ticks) & has_length)),
        onset_errors_seconds=np.abs(after.onset_seconds - onset_seconds),
        length_errors_seconds=np.abs(lasting[has_length]),
        velocity_errors=np.abs(after.velocities - loudest),
        end_error_seconds=abs(next(ending) - next(ending)),
    )


def _maxima(values: _Values, first: Ints, stop: Ints) -> _Values:
    """Returns the maximum of the values in each of (N,) ranges, none of them empty."""
    bounds = np.stack((first, stop), axis=1).ravel()
    maxima: _Values = np.maximum.reduceat(np.append(values, values[-1:]), bounds)[::2]
    return maxima


def _in_seconds(score: Score, *, is_drums: bool, cuts: Floats) -> _Notes:
    """Returns the notes of a score that `performance` encodes, by pitch and frame."""
    tracks = [track for track in score.tracks if track.is_drum == is_drums and track.notes]
    onset_ticks, held_ticks, pitches, velocities = _columns(tracks)
    seconds = score.seconds(onset_ticks)
    frames = np.floor(seconds * FRAMES_PER_SECOND + 0.5)
    cut = np.concatenate(([0.0], np.cumsum(cuts[:, 1])))
    removed = cut[np.searchsorted(cuts[:, 0] * FRAMES_PER_SECOND, frames + 0.5)]
    onsets, ends = seconds - removed, score.seconds(held_ticks) - removed
    keys = pitches * _STRIDE + np.floor(onsets * FRAMES_PER_SECOND + 0.5).astype(np.int64)
    ticks = score.seconds(onset_ticks + 1) - seconds
    return _ordered(_Notes(keys, onsets, ends, onsets, ends, velocities, ticks))


def _in_ticks(score: Score, *, cuts: Ints) -> _Notes:
    """Returns all notes of a score by program, pitch and tick of the grid."""
    tracks = [track for track in score.tracks if track.notes]
    onset_ticks, held_ticks, pitches, velocities = _columns(tracks)
    players = [DRUMS if track.is_drum else track.program for track in tracks]
    lanes = np.repeat(np.array(players, np.int64), [len(track.notes) for track in tracks]) << 7 | pitches
    grid = score_grid(score)
    exact = grid.exact(np.stack((onset_ticks, held_ticks, onset_ticks + 1)))
    onsets, ends, following = exact / grid.unit
    nearest = grid.nearest(exact[0])
    cut = np.searchsorted(cuts[:, 0], nearest, side="right")
    removed = np.concatenate(([0], np.cumsum(cuts[:, 1])))[cut]
    removed_seconds = np.concatenate(([0.0], np.cumsum(_cut_seconds(score, grid, cuts))))[cut]
    return _ordered(
        _Notes(
            keys=lanes * _STRIDE + nearest - removed,
            onsets=onsets - removed,
            ends=ends - removed,
            onset_seconds=score.seconds(onset_ticks) - removed_seconds,
            end_seconds=score.seconds(held_ticks) - removed_seconds,
            velocities=velocities,
            ticks=following - onsets,
        )
    )


def _cut_seconds(score: Score, grid: Grid, cuts: Ints) -> Floats:
    """Returns the lengths in seconds of the (C,) silences that the codec cuts."""
    stops = cuts[:, 0] + EARLY_TICKS
    ticks = grid.score_ticks(np.stack((stops - cuts[:, 1], stops)))
    whole = np.floor(ticks).astype(np.int64)
    before, after = score.seconds(whole), score.seconds(whole + 1)
    starts, ends = before + (ticks - whole) * (after - before)
    return np.asarray(ends - starts)


def _columns(tracks: Sequence[Track]) -> tuple[Ints, Ints, Ints, Ints]:
    """Returns the (N,) onsets, ends with pedal, pitches and velocities of the notes of some tracks."""
    if not tracks:
        return (np.zeros(0, np.int64),) * 4
    onsets, _, pitches, velocities = np.concatenate([track.columns for track in tracks], axis=1)
    return onsets, held_ends(tracks), pitches, velocities


def _ordered(notes: _Notes) -> _Notes:
    order = np.argsort(notes.keys, kind="stable")
    return notes._replace(**{name: values[order] for name, values in notes._asdict().items()})


def _nearest(keys: Ints, wanted: Ints) -> Ints:
    """Returns (N,) the indices in the ascending `keys` of those nearest to the wanted ones."""
    right = np.clip(np.searchsorted(keys, wanted), 0, len(keys) - 1)
    left = np.maximum(right - 1, 0)
    return np.where(np.abs(keys[left] - wanted) < np.abs(keys[right] - wanted), left, right)
