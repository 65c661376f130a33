"""What a music codec loses: each note of a score against what encoding and decoding make of it."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gen.codec import Codec, decode
from gen.codecs.beat import BeatCodec
from gen.codecs.beat_layout import DRUM_TICKS, has_notes, lay_out_beats
from gen.codecs.beat_vocab import DRUMS
from gen.codecs.performance import PerformanceCodec
from gen.codecs.performance_vocab import FRAMES_PER_SECOND
from gen.music.metre import GRID_TICKS, POSITION_TICKS, to_grid
from gen.music.rules import lay_out
from gen.music.score import Score, Track

_PLACE_STRIDE = 1 << 40  # far above any onset in frames or ticks, so place and onset make one sortable key


class RoundTrip(NamedTuple):
    """How a score came back. Silences that the codec cut are not counted as errors of onset.

    The errors are (kept,) arrays, one of each note that came back, against the nearest note of its pitch, and for
    `beat` of its program, in the score; where several of them became one note, against the loudest. For `beat` they are
    at the score's own tempo: by how much its tokens change the tempo is another matter.
    """

    notes: int  # in the score, without those that this codec leaves out
    kept: int
    exact: int  # of those kept, how many begin at the very tick of the score
    onset_errors_seconds: NDArray[np.float64]
    velocity_errors: NDArray[np.int64]


class Losses(NamedTuple):
    """The round trips of many files in a few figures; all 0 when nothing came back."""

    notes: int
    kept: int
    exact: int
    onset_error_ms_median: float
    onset_error_ms_max: float
    velocity_error_median: float
    velocity_error_max: int


class _Notes(NamedTuple):
    """(N,) arrays in ascending order of `keys`, which is pitch (and program), then onset on the codec's grid."""

    keys: NDArray[np.int64]
    onsets: NDArray[np.float64]  # in seconds, or in ticks of the score; without the silences that the codec cut
    velocities: NDArray[np.int64]
    seconds_a_tick: NDArray[np.float64]  # of the score, where the note begins


def round_trip(score: Score, codec: PerformanceCodec | BeatCodec) -> RoundTrip:
    """Encodes and decodes a score, and compares."""
    music: Codec[Score, Any] = codec
    decoded = decode(music, music.encode(score))
    if isinstance(codec, PerformanceCodec):
        is_drums = codec.is_drums
        cuts = lay_out(score, is_drums=is_drums, frames_per_second=FRAMES_PER_SECOND).cut_seconds
        before = _in_seconds(score, is_drums=is_drums, cuts=cuts)
        after = _in_seconds(decoded, is_drums=is_drums, cuts=cuts[:0])
        return _compared(before, after, seconds_a_unit=np.ones(len(before.keys)), joined=np.ones_like(after.keys))
    cut_ticks = lay_out_beats(score).cuts if has_notes(score) else np.zeros((0, 2), np.int64)
    before = _in_ticks(score, cuts=cut_ticks, ticks_per_beat=score.ticks_per_beat)
    after = _in_ticks(decoded, cuts=cut_ticks[:0], ticks_per_beat=score.ticks_per_beat)
    joined = np.where(after.keys >= (DRUMS << 7) * _PLACE_STRIDE, DRUM_TICKS, POSITION_TICKS)
    return _compared(before, after, seconds_a_unit=before.seconds_a_tick, joined=joined)


def sum_up(trips: Iterable[RoundTrip]) -> Losses:
    """Returns what many round trips lost in all; a median is over all notes."""
    listed = list(trips)
    notes, kept, exact = (sum(counts) for counts in zip((0, 0, 0), *(trip[:3] for trip in listed), strict=True))
    onset_ms = 1000 * np.concatenate([np.zeros(0), *(trip.onset_errors_seconds for trip in listed)])
    velocity = np.concatenate([np.zeros(0, np.int64), *(trip.velocity_errors for trip in listed)])
    if not kept:
        return Losses(notes, 0, 0, 0.0, 0.0, 0.0, 0)
    return Losses(
        notes=notes,
        kept=kept,
        exact=exact,
        onset_error_ms_median=float(np.median(onset_ms)),
        onset_error_ms_max=float(onset_ms.max()),
        velocity_error_median=float(np.median(velocity)),
        velocity_error_max=int(velocity.max()),
    )


def _compared(
    before: _Notes, after: _Notes, *, seconds_a_unit: NDArray[np.float64], joined: NDArray[np.int64]
) -> RoundTrip:
    """Returns the round trip of notes.

    Args:
        seconds_a_unit: (N,) of the onsets of those before.
        joined: (kept,) how much of the grid after the onset of each of those after went into it.
    """
    if not len(after.keys):
        return RoundTrip(len(before.keys), 0, 0, np.zeros(0), np.zeros(0, dtype=np.int64))
    nearest = _nearest(before.keys, after.keys)
    first = np.searchsorted(before.keys, before.keys[nearest], side="left")
    stop = np.searchsorted(before.keys, before.keys[nearest] + joined, side="left")
    bounds = np.stack((first, stop), axis=1).ravel()
    loudest = np.maximum.reduceat(np.append(before.velocities, 0), bounds)[::2]
    errors = np.abs(after.onsets - before.onsets[nearest]) * seconds_a_unit[nearest]
    exact = int(np.count_nonzero(errors < before.seconds_a_tick[nearest] / 2))
    return RoundTrip(len(before.keys), len(after.keys), exact, errors, np.abs(after.velocities - loudest))


def _in_seconds(score: Score, *, is_drums: bool, cuts: NDArray[np.float64]) -> _Notes:
    """Returns the notes of a score that `performance` takes, by pitch and frame."""
    rows = [note for track in score.tracks if track.is_drum == is_drums for note in track.notes]
    onset_ticks, _, pitches, velocities = np.array(rows, dtype=np.int64).reshape(-1, 4).T
    seconds = score.seconds(onset_ticks)
    frames = np.floor(seconds * FRAMES_PER_SECOND + 0.5)
    removed = np.concatenate(([0.0], np.cumsum(cuts[:, 1])))
    seconds = seconds - removed[np.searchsorted(cuts[:, 0] * FRAMES_PER_SECOND, frames + 0.5)]
    keys = pitches * _PLACE_STRIDE + np.floor(seconds * FRAMES_PER_SECOND + 0.5).astype(np.int64)
    return _ordered(score, onset_ticks, keys, seconds, velocities)


def _in_ticks(score: Score, *, cuts: NDArray[np.int64], ticks_per_beat: int) -> _Notes:
    """Returns all notes of a score by program, pitch and tick of the grid; onsets are for so many ticks a beat."""
    places, onset_ticks, velocities = (
        np.concatenate(columns)
        for columns in zip(
            (np.zeros(0, np.int64),) * 3,
            *((_place(track) + track.columns[2], track.columns[0], track.columns[3]) for track in score.tracks),
            strict=True,
        )
    )
    grid = to_grid(onset_ticks, ticks_per_beat=score.ticks_per_beat)
    removed = np.concatenate(([0], np.cumsum(cuts[:, 1])))[np.searchsorted(cuts[:, 0], grid, side="right")]
    onsets = onset_ticks * (ticks_per_beat / score.ticks_per_beat) - removed * (ticks_per_beat / GRID_TICKS)
    return _ordered(score, onset_ticks, places * _PLACE_STRIDE + grid - removed, onsets, velocities)


def _place(track: Track) -> int:
    return (DRUMS if track.is_drum else track.program) << 7


def _ordered(
    score: Score,
    onset_ticks: NDArray[np.int64],
    keys: NDArray[np.int64],
    onsets: NDArray[np.float64],
    velocities: NDArray[np.int64],
) -> _Notes:
    seconds_a_tick = score.seconds(onset_ticks + 1) - score.seconds(onset_ticks)
    order = np.argsort(keys, kind="stable")
    return _Notes(keys[order], onsets[order], velocities[order], seconds_a_tick[order])


def _nearest(keys: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns where in the ascending `keys` the one nearest to each wanted stands."""
    right = np.clip(np.searchsorted(keys, wanted), 0, len(keys) - 1)
    left = np.maximum(right - 1, 0)
    return np.where(np.abs(keys[left] - wanted) < np.abs(keys[right] - wanted), left, right)
