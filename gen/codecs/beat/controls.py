"""The controls of metric music: tokens right after each Bar.

The density is of the notes of all programs and drums that begin in the bar. The key is estimated from the lengths of
the pitched notes that begin in some bars around it, and is `any` if there are none.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gen.codec import IdArray
from gen.codecs.beat.layout import EARLY_TICKS, BeatLayout
from gen.codecs.beat.vocab import BAR, DRUMS, LEVEL_US
from gen.codecs.controls import ControlTokens, density_levels
from gen.music.keys import estimated_keys
from gen.music.metre import GRID_TICKS

KEY_BARS: Final = 4  # before and after

Ints = NDArray[np.int64]


def with_control_ids(ids: IdArray, layout: BeatLayout, controls: ControlTokens) -> IdArray:
    """Returns the ids of a layout with its controls."""
    if not controls:
        return ids
    bars = layout.bars.of(layout.notes.onsets + EARLY_TICKS)
    counts = np.bincount(bars, minlength=len(layout.bars.starts))
    values = {"density": density_levels(counts / _bar_seconds(layout))}
    if "key" in controls.names:
        values["key"] = _keys(layout, bars)
    indices = np.flatnonzero(ids == BAR) + 1
    return np.insert(ids, np.repeat(indices, len(controls)), controls.ids_of(values).ravel().astype(ids.dtype))


def _bar_seconds(layout: BeatLayout) -> NDArray[np.float64]:
    """Returns the (B,) lengths of the bars in seconds."""
    starts, levels = layout.tempos.T
    us_a_tick = LEVEL_US[levels] / GRID_TICKS
    elapsed = np.concatenate(([0], np.cumsum(np.diff(starts) * us_a_tick[:-1])))
    ticks = np.append(layout.bars.starts, layout.bars.starts[-1] + layout.bars.lengths[-1])
    indices = np.searchsorted(starts, ticks, side="right") - 1
    return np.asarray(np.diff(elapsed[indices] + (ticks - starts[indices]) * us_a_tick[indices]) / 1e6)


def _keys(layout: BeatLayout, bars: Ints) -> Ints:
    """Returns the key around each of the (B,) bars; `bars` (N,) are those of the notes."""
    notes = layout.notes
    is_pitched = notes.programs != DRUMS
    num_bars = len(layout.bars.starts)
    weights = np.zeros((num_bars, 12))
    np.add.at(weights, (bars[is_pitched], notes.pitches[is_pitched] % 12), notes.positions[is_pitched])
    sums = np.concatenate((np.zeros((1, 12)), np.cumsum(weights, axis=0)))
    indices = np.arange(num_bars)
    return estimated_keys(sums[np.minimum(indices + KEY_BARS + 1, num_bars)] - sums[np.maximum(indices - KEY_BARS, 0)])
