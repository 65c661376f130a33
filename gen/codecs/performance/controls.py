"""The controls of a performance: tokens at the beginning of each second.

They open a document, and stand right after each TimeShift that reaches another second. The density is of the notes that
begin in this second and the next; the key is estimated from the lengths of the notes that begin in some seconds around.
Without notes, either is `any`.

They come every second so that the last one is seldom further back than a model is trained to look: 64 tokens, which are
a second and a half of a pianist's notes. In their positions no other token is allowed. If they stood only before the
first note of a second, a model could choose a TimeShift or the end instead, and so avoid a value that it does not
expect.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gen.codec import IdArray
from gen.codecs.controls import ControlTokens, density_levels
from gen.codecs.performance.layout import PerformanceLayout
from gen.codecs.performance.vocab import DENSITY_SPANS, FRAMES_PER_SECOND, SPAN, TIME_SHIFT, VELOCITY
from gen.music.keys import estimated_keys
from gen.music.score import differences

KEY_SPANS: Final = 8  # before and after: 17 seconds in all, about nine bars of 4/4 at 120

Ints = NDArray[np.int64]


def with_control_ids(ids: IdArray, layout: PerformanceLayout, controls: ControlTokens) -> IdArray:
    """Returns the ids of a layout with its controls."""
    if not controls or not len(ids):
        return ids
    is_shift = (ids >= TIME_SHIFT) & (ids < VELOCITY)
    frames = np.cumsum(np.where(is_shift, ids.astype(np.int64) - TIME_SHIFT + 1, 0))
    indices = np.append(0, np.flatnonzero(differences(frames // SPAN)) + 1)  # no TimeShift is longer than a span
    spans = layout.onset_frames // SPAN
    values = {"density": _densities(spans, len(indices))}
    if "key" in controls.names:
        values["key"] = _keys(layout, spans, len(indices))
    return np.insert(ids, np.repeat(indices, len(controls)), controls.ids_of(values).ravel().astype(ids.dtype))


def _densities(spans: Ints, num_spans: int) -> Ints:
    """Returns the density level from the start of each span on; `spans` (N,) are those of the notes."""
    counts = np.bincount(spans, minlength=num_spans + DENSITY_SPANS - 1)
    counts = np.lib.stride_tricks.sliding_window_view(counts, DENSITY_SPANS).sum(axis=-1)
    # Silence is `any`, so that a model does not take a low density for silence, or for the end.
    return np.where(counts > 0, density_levels(counts * FRAMES_PER_SECOND / (DENSITY_SPANS * SPAN)), -1)


def _keys(layout: PerformanceLayout, spans: Ints, num_spans: int) -> Ints:
    """Returns the key around each span; `spans` (N,) are those of the notes."""
    weights = np.zeros((num_spans, 12))
    np.add.at(weights, (spans, layout.pitches % 12), layout.end_frames - layout.onset_frames)
    sums = np.concatenate((np.zeros((1, 12)), np.cumsum(weights, axis=0)))
    indices = np.arange(num_spans)
    return estimated_keys(
        sums[np.minimum(indices + KEY_SPANS + 1, num_spans)] - sums[np.maximum(indices - KEY_SPANS, 0)]
    )
