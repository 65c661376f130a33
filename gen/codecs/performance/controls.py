"""The controls of a performance: tokens where each second begins.

They open a document, and stand right after each TimeShift that reaches another second. The density is of the notes that
begin in this second and the next; the key is that of some seconds around, by how long the notes last that begin there.
Where there are none, either is `any`.

They come every second so that a model is seldom further from the last than it is taught to look back: 64 tokens, which
are a second and a half of a pianist's notes. Where they stand nothing else may come. Before the first note of a span,
say, a model would choose between the value that is asked for and all that needs none, a TimeShift or the end: it would
put off what it does not expect.
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
    """Returns the ids of a layout with its controls in their places."""
    if not controls or not len(ids):
        return ids
    is_shift = (ids >= TIME_SHIFT) & (ids < VELOCITY)
    frames = np.cumsum(np.where(is_shift, ids.astype(np.int64) - TIME_SHIFT + 1, 0))
    places = np.append(0, np.flatnonzero(differences(frames // SPAN)) + 1)  # no TimeShift is longer than a span
    spans = layout.onset_frames // SPAN
    values = {"density": _densities(spans, len(places))}
    if "key" in controls.names:
        values["key"] = _keys(layout, spans, len(places))
    return np.insert(ids, np.repeat(places, len(controls)), controls.ids_of(values).ravel().astype(ids.dtype))


def _densities(spans: Ints, num_spans: int) -> Ints:
    """Returns the level of density of the notes from each of so many spans on; spans: (N,) that of each note."""
    counts = np.bincount(spans, minlength=num_spans + DENSITY_SPANS - 1)
    counts = np.lib.stride_tricks.sliding_window_view(counts, DENSITY_SPANS).sum(axis=-1)
    # Silence is `any`: a low density that is asked for shall not mean silence, nor the end.
    return np.where(counts > 0, density_levels(counts * FRAMES_PER_SECOND / (DENSITY_SPANS * SPAN)), -1)


def _keys(layout: PerformanceLayout, spans: Ints, num_spans: int) -> Ints:
    """Returns the key around each of so many spans; spans: (N,) that of each note."""
    weights = np.zeros((num_spans, 12))
    np.add.at(weights, (spans, layout.pitches % 12), layout.end_frames - layout.onset_frames)
    sums = np.concatenate((np.zeros((1, 12)), np.cumsum(weights, axis=0)))
    places = np.arange(num_spans)
    return estimated_keys(sums[np.minimum(places + KEY_SPANS + 1, num_spans)] - sums[np.maximum(places - KEY_SPANS, 0)])
