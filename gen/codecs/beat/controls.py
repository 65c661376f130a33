"""The controls of metric music: tokens right after each Bar.

The density is of the notes of all programs and drums that begin in the bar; the key is that of some bars around it, by
how long the pitched notes last that begin there, and `any` where there are none.
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
    """Returns the ids of a layout with its controls in their places."""
    if not controls:
        return ids
    bars = layout.bars.of(layout.notes.onsets + EARLY_TICKS)
    counts = np.bincount(bars, minlength=len(layout.bars.starts))
    values = {"density": density_levels(counts / _bar_seconds(layout))}
    if "key" in controls.names:
        values["key"] = _keys(layout, bars)
    places = np.flatnonzero(ids == BAR) + 1
    return np.insert(ids, np.repeat(places, len(controls)), controls.ids_of(values).ravel().astype(ids.dtype))


def _bar_seconds(layout: BeatLayout) -> NDArray[np.float64]:
    """Returns how long each of the (B,) bars lasts."""
    starts, levels = layout.tempos.T
    us_a_tick = LEVEL_US[levels] / GRID_TICKS
    elapsed = np.concatenate(([0], np.cumsum(np.diff(starts) * us_a_tick[:-1])))
    ticks = np.append(layout.bars.starts, layout.bars.starts[-1] + layout.bars.lengths[-1])
    places = np.searchsorted(starts, ticks, side="right") - 1
    return np.asarray(np.diff(elapsed[places] + (ticks - starts[places]) * us_a_tick[places]) / 1e6)


def _keys(layout: BeatLayout, bars: Ints) -> Ints:
    """Returns the key around each of the (B,) bars; bars: (N,) that of each note."""
    notes = layout.notes
    is_pitched = notes.programs != DRUMS
    num_bars = len(layout.bars.starts)
    weights = np.zeros((num_bars, 12))
    np.add.at(weights, (bars[is_pitched], notes.pitches[is_pitched] % 12), notes.positions[is_pitched])
    sums = np.concatenate((np.zeros((1, 12)), np.cumsum(weights, axis=0)))
    places = np.arange(num_bars)
    return estimated_keys(sums[np.minimum(places + KEY_BARS + 1, num_bars)] - sums[np.maximum(places - KEY_BARS, 0)])
