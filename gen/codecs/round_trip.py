"""What the performance codec loses: each note of a score against what encoding and decoding make of it."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gen.codec import stream
from gen.codecs.performance import PerformanceCodec
from gen.codecs.performance_vocab import FRAMES_PER_SECOND
from gen.music.rules import lay_out
from gen.music.score import Score

_PITCH_STRIDE = 1 << 40  # frames; far above any onset, so pitch and frame make one sortable key


class RoundTrip(NamedTuple):
    """How a score came back. Silences that the codec cut are not counted as errors of onset.

    The errors are (kept,) arrays, one of each note that came back, against the nearest note of its pitch in the
    score; where several of them became one note, against the loudest.
    """

    notes: int  # in the score, without those that this codec leaves out
    kept: int
    onset_errors_seconds: NDArray[np.float64]
    velocity_errors: NDArray[np.int64]


class Losses(NamedTuple):
    """The round trips of many files in a few figures; all 0 when nothing came back."""

    notes: int
    kept: int
    onset_error_ms_median: float
    onset_error_ms_max: float
    velocity_error_median: float
    velocity_error_max: int


class _Notes(NamedTuple):
    """(N,) arrays in ascending order of `keys`, which is pitch, then onset frame."""

    keys: NDArray[np.int64]
    onsets_seconds: NDArray[np.float64]
    velocities: NDArray[np.int64]


def round_trip(score: Score, codec: PerformanceCodec) -> RoundTrip:
    """Encodes and decodes a score, and compares."""
    cuts = lay_out(score, is_drums=codec.is_drums, frames_per_second=FRAMES_PER_SECOND).cut_seconds
    before = _notes(score, is_drums=codec.is_drums, cuts=cuts)
    after = _notes(codec.join(stream(codec, codec.encode(score).tolist())), is_drums=codec.is_drums, cuts=cuts[:0])
    if not len(after.keys):
        return RoundTrip(len(before.keys), 0, np.zeros(0), np.zeros(0, dtype=np.int64))
    nearest = _nearest(before.keys, after.keys)
    first = np.searchsorted(before.keys, before.keys[nearest], side="left")
    stop = np.searchsorted(before.keys, before.keys[nearest], side="right")
    bounds = np.stack((first, stop), axis=1).ravel()
    loudest = np.maximum.reduceat(np.append(before.velocities, 0), bounds)[::2]
    onset_errors = np.abs(after.onsets_seconds - before.onsets_seconds[nearest])
    return RoundTrip(len(before.keys), len(after.keys), onset_errors, np.abs(after.velocities - loudest))


def sum_up(trips: Iterable[RoundTrip]) -> Losses:
    """Returns what many round trips lost in all; a median is over all notes."""
    listed = list(trips)
    notes, kept = sum(trip.notes for trip in listed), sum(trip.kept for trip in listed)
    onset_ms = 1000 * np.concatenate([np.zeros(0), *(trip.onset_errors_seconds for trip in listed)])
    velocity = np.concatenate([np.zeros(0, np.int64), *(trip.velocity_errors for trip in listed)])
    if not kept:
        return Losses(notes, 0, 0.0, 0.0, 0.0, 0)
    return Losses(
        notes=notes,
        kept=kept,
        onset_error_ms_median=float(np.median(onset_ms)),
        onset_error_ms_max=float(onset_ms.max()),
        velocity_error_median=float(np.median(velocity)),
        velocity_error_max=int(velocity.max()),
    )


def _notes(score: Score, *, is_drums: bool, cuts: NDArray[np.float64]) -> _Notes:
    rows = [note for track in score.tracks if track.is_drum == is_drums for note in track.notes]
    onset_ticks, _, pitches, velocities = np.array(rows, dtype=np.int64).reshape(-1, 4).T
    seconds = score.seconds(onset_ticks)
    frames = np.floor(seconds * FRAMES_PER_SECOND + 0.5)
    removed = np.concatenate(([0.0], np.cumsum(cuts[:, 1])))
    seconds = seconds - removed[np.searchsorted(cuts[:, 0] * FRAMES_PER_SECOND, frames + 0.5)]
    keys = pitches * _PITCH_STRIDE + np.floor(seconds * FRAMES_PER_SECOND + 0.5).astype(np.int64)
    order = np.argsort(keys, kind="stable")
    return _Notes(keys[order], seconds[order], velocities[order])


def _nearest(keys: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns where in the ascending `keys` the one nearest to each wanted stands."""
    right = np.clip(np.searchsorted(keys, wanted), 0, len(keys) - 1)
    left = np.maximum(right - 1, 0)
    return np.where(np.abs(keys[left] - wanted) < np.abs(keys[right] - wanted), left, right)
