"""The controls of a performance: tokens before the first note of each span of two seconds that has one.

The density is of the notes that begin in the span; the key is that of some bars around it, by how long the notes last
that begin there.
"""

import numpy as np
from numpy.typing import NDArray

from gen.codec import IdArray
from gen.codecs.controls import ControlIds, density_levels
from gen.codecs.keys import estimated_keys
from gen.codecs.performance_vocab import FRAMES_PER_SECOND, NOTE_OFF, SPAN, VELOCITY
from gen.music.rules import Layout

KEY_SPANS = 4  # before and after: 18 seconds in all, nine bars of 4/4 at 120

Ints = NDArray[np.int64]


def with_control_ids(ids: IdArray, layout: Layout, controls: ControlIds) -> IdArray:
    """Returns the ids of a layout with its controls in their places."""
    if not controls or not len(ids):
        return ids
    spans, first_notes, counts = np.unique(layout.onset_frames // SPAN, return_index=True, return_counts=True)
    values = {"density": density_levels(counts.astype(np.float64) * FRAMES_PER_SECOND / SPAN)}
    if "key" in controls.names:
        values["key"] = _keys(layout, spans)
    places = np.flatnonzero(ids < NOTE_OFF)[first_notes]  # NoteOns stand in the order of the layout
    places = places - ((places > 0) & (ids[places - 1] >= VELOCITY))
    return np.insert(ids, np.repeat(places, len(controls)), controls.ids_of(values).ravel().astype(ids.dtype))


def _keys(layout: Layout, spans: Ints) -> Ints:
    """Returns the key around each of (N,) spans."""
    weights = np.zeros((int(spans[-1]) + 1, 12))
    durations = layout.end_frames - layout.onset_frames
    np.add.at(weights, (layout.onset_frames // SPAN, layout.pitches % 12), durations)
    sums = np.concatenate((np.zeros((1, 12)), np.cumsum(weights, axis=0)))
    after = np.minimum(spans + KEY_SPANS + 1, len(weights))
    return estimated_keys(sums[after] - sums[np.maximum(spans - KEY_SPANS, 0)])
