"""Pedals: the times in which they are down, and the times until which they hold notes.

A pedal is down from a controller value of 64 or more until the next value below 64.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gen.music.score import PedalSpan, Track

Ints = NDArray[np.int64]


def pedal_spans(changes: ArrayLike, *, end_ticks: int) -> tuple[PedalSpan, ...]:
    """Returns the spans in which a pedal of one channel is down.

    Args:
        changes: (N, 2) ticks and values of the pedal's controller, in order of time.
        end_ticks: the tick at which a pedal that is never lifted goes up.
    """
    ticks, values = np.asarray(changes, dtype=np.int64).reshape(-1, 2).T
    turns = ticks[np.diff(values >= 64, prepend=False)]  # down, up, down ...
    if len(turns) % 2:
        turns = np.append(turns, end_ticks)
    downs, ups = turns.reshape(-1, 2).T
    is_span = ups > downs
    return tuple(map(PedalSpan, downs[is_span].tolist(), (ups - downs)[is_span].tolist()))


def span_columns(spans: Sequence[PedalSpan]) -> Ints:
    """Returns (2, S) the ticks at which a pedal goes down, and the ticks for which it stays down."""
    return np.array(spans, dtype=np.int64).reshape(-1, 2).T


def held_until(key_ends: Ints, spans: Ints) -> Ints:
    """Returns (N,) the ticks at which notes end: a note whose key goes up while the pedal is down ends with the pedal.

    Args:
        key_ends: (N,) the ticks at which the keys go up.
        spans: (2, S), as `span_columns` returns them.
    """
    if not spans.size:
        return key_ends
    starts, lengths = spans
    index = np.searchsorted(starts, key_ends, side="right") - 1
    ups = (starts + lengths)[index]  # index -1 is the last span; the next line excludes it
    return np.where((index >= 0) & (key_ends < ups), ups, key_ends)


def held_ends(tracks: Sequence[Track]) -> Ints:
    """Returns (N,) the ticks at which the notes of some tracks end, held by their keys or by the sustain pedal."""
    pedals = {id(track.pedal): track.pedal for track in tracks}  # the tracks of a channel share one tuple
    spans = {key: span_columns(pedal) for key, pedal in pedals.items()}
    return np.concatenate([held_until(track.columns[0] + track.columns[1], spans[id(track.pedal)]) for track in tracks])
