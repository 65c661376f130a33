"""Pairs note-ons with note-offs, for all notes of a file at once.

`gen.music.midi.rules` describes the rules, under "Repaired while reading".
"""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from gen.music.midi.rules import LENGTH_0, STRAY_OFFS, WITHOUT_END
from gen.music.score import differences

Ints = NDArray[np.int64]


def pair_notes(
    voices: Ints,
    ticks: Ints,
    pitches: NDArray[np.uint8],
    velocities: NDArray[np.uint8],
    *,
    end_ticks: Ints,
    ticks_per_beat: int,
) -> tuple[Ints, Ints, NDArray[np.bool_], Counter[str]]:
    """Returns the notes of all voices of a file, and the findings.

    Args:
        voices: (N,) the voice of each event: a number from 0 for its track and channel. Events are in the order of the
            file.
        velocities: (N,) a velocity of 0 is a note-off.
        end_ticks: the last tick of the track of each voice.

    Returns:
        The (M,) voices and the (4, M) columns of the notes, as in `Notes`, in ascending order; (M,) whether each note
        has a note-off; the findings.
    """
    keys = voices << 7 | pitches
    order = np.argsort(keys.astype(np.min_scalar_type(keys.max(initial=0))), kind="stable")  # 16 bits sort by radix
    keys, ticks, velocities = keys[order], ticks[order], velocities[order]
    groups = np.cumsum(differences(keys, before=-1) != 0) - 1  # a group is the events of one voice and pitch, by time
    is_on = velocities > 0
    is_stray = _stray_offs(groups, is_on)
    is_off = ~(is_on | is_stray)

    onsets, owners = ticks[is_on], groups[is_on]
    has_off = _ranks(owners) < np.bincount(groups[is_off], minlength=len(keys))[owners]
    stops = np.empty_like(onsets)
    stops[has_off] = ticks[is_off]  # without strays, the n-th note-off of a group ends its n-th note
    last_offs = np.zeros(len(keys), np.int64)
    last_offs[groups[is_off]] = ticks[is_off]  # by group; a later note-off overwrites an earlier one
    rest, rest_owners = onsets[~has_off], owners[~has_off]
    is_last = np.ones(len(rest), bool)
    is_last[:-1] = rest_owners[1:] != rest_owners[:-1]
    limits = np.where(is_last, end_ticks[keys[is_on][~has_off] >> 7], np.append(rest[1:], 0))
    limits = np.minimum(limits, rest + ticks_per_beat)
    stops[~has_off] = np.maximum.reduce((rest + 1, limits, last_offs[rest_owners]))

    findings = Counter(
        {
            STRAY_OFFS: int(is_stray.sum()),
            WITHOUT_END: len(rest),
            LENGTH_0: int((stops == onsets).sum()),
        }
    )
    columns = np.stack((onsets, np.maximum(stops - onsets, 1), keys[is_on] & 0x7F, velocities[is_on]))
    order = np.lexsort((columns[1] << 14 | columns[2] << 7 | columns[3], keys[is_on] >> 7 << 32 | onsets))
    return (keys[is_on] >> 7)[order], columns[:, order], has_off[order], findings


def _stray_offs(groups: Ints, is_on: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Returns (N,) whether each event is a note-off without a note to end; events are sorted by group, then time.

    At such an event the number of note-ons minus note-offs of its group reaches a new minimum below 0.
    """
    count = np.cumsum(np.where(is_on, 1, -1))
    ranks = _ranks(groups)
    starts = np.arange(len(groups)) - ranks  # subtracted, they make all values of a group lower than those before it
    before = np.concatenate(([0], count))[starts]  # the count at the start of each group
    lowest = np.minimum.accumulate(np.minimum(count - before, 0) - starts)
    return np.asarray(~is_on & (differences(lowest) < 0))


def _ranks(groups: Ints) -> Ints:
    """Returns (N,) the index of each element within its group; groups are in ascending order."""
    sizes = np.bincount(groups)
    return np.arange(len(groups)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
