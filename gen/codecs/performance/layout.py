"""A score as the performance codec can say it: one stream of pitches on a grid of frames.

Each rule that bears on a score is counted under the name in quotes:

- Onsets and ends are rounded to the nearest frame from the start of the piece, so errors never add up. A note keeps
  at least one frame.
- Drums are left out, or for a drum codec all other notes: "drum notes left out", "pitched notes left out". All
  programs become one: "programs merged" counts them where there are two or more.
- The sustain pedal is applied to lengths, as in `gen.music.midi.rules`: "notes held by the pedal".
- Notes of equal pitch and onset frame become one, the loudest, that lasts as long as the longest: "unisons joined".
- A key struck while its pitch sounds ends the note before: "overlapping notes cut" where both are of one track,
  "notes cut by another voice" where they are not, which is no fault of the file.
- A silence longer than `MAX_SILENCE_SECONDS`, also before the first note, is cut to it: "silences cut".
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gen.codecs.performance.vocab import FRAMES_PER_SECOND
from gen.music.midi.rules import (
    DRUMS_LEFT_OUT,
    NOTES,
    OVERLAPS,
    PEDALLED,
    PITCHED_LEFT_OUT,
    PROGRAMS_MERGED,
    SILENCES,
    UNISONS,
    VOICE_CUTS,
)
from gen.music.pedal import held_ends
from gen.music.score import Score, Track

MAX_SILENCE_SECONDS: Final = 10

Ints = NDArray[np.int64]


class PerformanceLayout(NamedTuple):
    """One stream of pitches on a grid of frames: (N,) arrays in ascending order of onset, then pitch.

    No pitch sounds twice at once, no note is shorter than a frame, no silence longer than the limit.
    `cut_seconds` (C, 2) are the silences that were cut: the end of each in the score, and the length that was cut.
    """

    onset_frames: Ints
    end_frames: Ints
    pitches: Ints
    velocities: Ints
    cut_seconds: NDArray[np.float64]
    findings: Counter[str]


class _Sounding(NamedTuple):
    """The notes of a score in frames, before unisons are joined and overlaps cut: (N,) arrays."""

    onset_frames: Ints
    end_frames: Ints  # the key goes up
    held_frames: Ints  # the pedal releases it; end_frames if no pedal holds it
    pitches: Ints
    velocities: Ints
    voices: Ints  # the index of its track


def lay_out_performance(score: Score, *, is_drums: bool) -> PerformanceLayout:
    """Returns the layout of a score, by the rules above."""
    kept = [track for track in score.tracks if track.is_drum == is_drums and track.notes]
    findings: Counter[str] = Counter()
    left_out = score.num_notes - sum(len(track.notes) for track in kept)
    findings[PITCHED_LEFT_OUT if is_drums else DRUMS_LEFT_OUT] = left_out
    programs = {track.program for track in kept}
    findings[PROGRAMS_MERGED] = len(programs) if len(programs) > 1 else 0
    if not kept:
        nothing = np.zeros(0, np.int64)
        return PerformanceLayout(nothing, nothing, nothing, nothing, np.zeros((0, 2)), +findings)
    (onsets, ends, pitches, velocities), settled = _settle(_sounding(score, kept))
    findings += settled
    removed, cuts = _cut_silences(onsets, ends)
    findings[SILENCES] = len(cuts)
    findings[NOTES] = len(onsets)
    return PerformanceLayout(onsets - removed, ends - removed, pitches, velocities, cuts, +findings)


def _sounding(score: Score, tracks: Sequence[Track]) -> _Sounding:
    onset_ticks, durations, pitches, velocities = np.concatenate([track.columns for track in tracks], axis=1)
    sizes = [len(track.notes) for track in tracks]
    end_ticks = onset_ticks + durations
    seconds = score.seconds(np.concatenate((onset_ticks, end_ticks, held_ends(tracks))))
    onsets, ends, held_until = np.floor(seconds * FRAMES_PER_SECOND + 0.5).astype(np.int64).reshape(3, -1)
    ends = np.maximum(ends, onsets + 1)
    return _Sounding(
        onset_frames=onsets,
        end_frames=ends,
        held_frames=np.maximum(held_until, ends),
        pitches=pitches,
        velocities=velocities,
        voices=np.repeat(np.arange(len(tracks)), sizes),
    )


def _settle(notes: _Sounding) -> tuple[tuple[Ints, Ints, Ints, Ints], Counter[str]]:
    """Joins unisons, cuts each note at the next of its pitch.

    Returns:
        Onsets, ends, pitches, velocities in order, and the findings.
    """
    order = np.argsort(notes.pitches << 48 | notes.onset_frames, kind="stable")
    onsets, ends, held, pitches, velocities, voices = (array[order] for array in notes)
    is_first = np.ones(len(onsets), dtype=bool)
    is_first[1:] = (pitches[1:] != pitches[:-1]) | (onsets[1:] != onsets[:-1])
    first = np.flatnonzero(is_first)
    num_joined = len(onsets) - len(first)
    onsets, pitches, voices = onsets[first], pitches[first], voices[first]
    ends, held, velocities = (np.maximum.reduceat(array, first) for array in (ends, held, velocities))

    limit = np.full(len(onsets), np.iinfo(np.int64).max)
    limit[:-1] = np.where(pitches[1:] == pitches[:-1], onsets[1:], limit[:-1])
    is_cut = ends > limit
    is_same_voice = np.append(voices[1:] == voices[:-1], False)
    until = np.minimum(held, limit)
    findings = Counter(
        {
            UNISONS: num_joined,
            OVERLAPS: int(np.count_nonzero(is_cut & is_same_voice)),
            VOICE_CUTS: int(np.count_nonzero(is_cut & ~is_same_voice)),
            PEDALLED: int(np.count_nonzero(until > ends)),
        }
    )
    order = np.argsort(onsets << 7 | pitches)
    return (onsets[order], until[order], pitches[order], velocities[order]), findings


def _cut_silences(onsets: Ints, ends: Ints) -> tuple[Ints, NDArray[np.float64]]:
    """Returns how many frames each of the (N,) notes moves forward, and the cuts as in `PerformanceLayout`."""
    sounding_until = np.concatenate(([0], np.maximum.accumulate(ends)[:-1]))
    excess = np.maximum(0, onsets - sounding_until - MAX_SILENCE_SECONDS * FRAMES_PER_SECOND)
    at = np.flatnonzero(excess)
    cuts = np.stack((onsets[at], excess[at]), axis=1) / FRAMES_PER_SECOND
    return np.cumsum(excess), cuts
