"""An epoch's order: stretches are cut into segments, segments are dealt to rows, and every row is shuffled.

The segments of an epoch may be tens of millions of lines. So a row is the places of its segments among all, and what a
segment is stands in the columns of the stretches, unless any is cut; nothing here is an object for each.
"""

import itertools
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gen.data.places import CHUNK, PlaceArray, grouped, looked_up, place_type, places_where
from gen.data.stretches import Columns, Stretches

LABEL_DROPOUT: Final = 0.1  # of segments are read without their label, so that the model can also write without one
_DEAL: Final = 1 << 16  # segments that are dealt at once


class _Segments(NamedTuple):
    """Runs of stretches that stay in one row each."""

    stretches: Stretches  # (S,)
    is_cut: NDArray[np.bool_]  # (S,) whether its stretch was too long for a row


@dataclass(frozen=True, slots=True)
class Layout:
    """The segments of an epoch in the order of reading, row after row, and at which window of its row each starts."""

    _segments: _Segments
    _order: PlaceArray  # (S,) the segments of the first row, those of the second, and so on
    _is_unlabelled: NDArray[np.bool_]  # (S,) by segment
    _bounds: NDArray[np.int64]  # (B + 1,) where each row begins in the order
    _first_windows: PlaceArray  # (S,) of each in its row
    row_lengths: NDArray[np.int64]  # (B,) in windows

    @property
    def num_windows(self) -> int:
        """Those of the longest row."""
        return int(self.row_lengths.max())

    def find(self, windows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns the segments that rows read at (W,) windows, (W, B) places in the order; any where a row is over."""
        shape = (len(windows), len(self.row_lengths))
        found, after = np.broadcast_to(self._bounds[:-1], shape), np.broadcast_to(self._bounds[1:], shape)
        while (after - found > 1).any():  # bisection, of all at once
            middle = (found + after) // 2
            is_reached = self._first_windows[np.minimum(middle, len(self._order) - 1)] <= windows[:, None]
            found, after = np.where(is_reached, middle, found), np.where(is_reached, after, middle)
        return np.minimum(found, len(self._order) - 1)

    def first_windows(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns at which windows of their rows the segments at some places start."""
        return self._first_windows[places].astype(np.int64)

    def segments(self, places: NDArray[np.int64]) -> Columns:
        """Returns the segments at some places of the order."""
        which = self._order[places]
        columns = self._segments.stretches.columns(which)
        return columns._replace(labels=np.where(self._is_unlabelled[which], 0, columns.labels))

    def is_cut(self, places: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Returns whether the stretches of the segments at some places were too long for a row."""
        return self._segments.is_cut[self._order[places]]


def lay_out(stretches: Stretches, num_targets: int, batch_size: int, bptt: int, rng: np.random.Generator) -> Layout:
    """Returns the order of an epoch.

    Args:
        stretches: each of one target or more.
        num_targets: those of all.
        batch_size: rows, B.
        bptt: targets of a window.
    """
    segments = _cut(stretches, -(-num_targets // batch_size), rng)
    is_unlabelled = _drawn(len(segments.stretches), LABEL_DROPOUT, rng)
    windows = _windows(segments.stretches, bptt)
    order = np.arange(len(windows), dtype=place_type(len(windows)))
    rng.shuffle(order)
    order = _longest_first(order, windows)
    rows = _deal(looked_up(windows, order), batch_size)
    order = grouped(order, rows)
    bounds = np.concatenate(([0], np.cumsum(_counts(rows, batch_size))))
    del rows
    for start, stop in itertools.pairwise(bounds.tolist()):
        rng.shuffle(order[start:stop])
    first_windows, row_lengths = _first_windows(looked_up(windows, order), bounds)
    return Layout(segments, order, is_unlabelled, bounds, first_windows, row_lengths)


def _cut(stretches: Stretches, share: int, rng: np.random.Generator) -> _Segments:
    """Cuts stretches into segments of at most `share` targets; the first cut of each falls anywhere."""
    is_long = np.concatenate([columns.num_targets > share for columns in stretches.chunks()])
    if not is_long.any():
        return _Segments(stretches, np.broadcast_to(np.zeros(1, np.bool_), is_long.shape))
    parts: list[Columns] = []
    is_cut: list[NDArray[np.bool_]] = []
    done = 0
    for place in (*places_where(is_long).tolist(), len(stretches)):
        whole = stretches.columns(slice(done, place))
        pieces = _pieces(stretches.columns(slice(place, place + 1)), share, rng)
        parts += [whole, pieces]
        is_cut += [np.zeros(len(whole.starts), np.bool_), np.ones(len(pieces.starts), np.bool_)]
        done = place + 1
    columns = Columns(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    return _Segments(Stretches(columns), np.concatenate(is_cut))


def _pieces(stretch: Columns, share: int, rng: np.random.Generator) -> Columns:
    """Cuts one stretch, or none."""
    if not len(stretch.starts):
        return stretch
    start, stop = int(stretch.starts[0]), int(stretch.stops[0])
    bounds = np.array([start, *range(start + int(rng.integers(1, share + 1)), stop, share), stop])
    is_last = bounds[1:] == stop
    return Columns(bounds[:-1], bounds[1:], stretch.labels.repeat(len(is_last)), stretch.is_closed & is_last)


def _drawn(count: int, rate: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Returns (count,) draws that are true at a rate."""
    found = np.empty(count, np.bool_)
    for start in range(0, count, CHUNK):
        found[start : start + CHUNK] = rng.random(min(CHUNK, count - start)) < rate
    return found


def _windows(stretches: Stretches, bptt: int) -> PlaceArray:
    """Returns (S,) how many windows each takes."""
    windows = -(-stretches.target_counts // bptt)
    return windows.astype(place_type(int(windows.sum(dtype=np.int64))), copy=False)


def _longest_first(order: PlaceArray, windows: PlaceArray) -> PlaceArray:
    """Returns an order of segments by how many windows each takes, those of equal length as they were."""
    most = windows.max()
    return order if windows.min() == most else grouped(order, most - looked_up(windows, order))


def _deal(windows: PlaceArray, batch_size: int) -> NDArray[np.uint16]:
    """Returns (S,) the row of each segment, which goes to the emptiest row, the first of several.

    Args:
        windows: how many each takes, in descending order.
    """
    rows = np.empty(len(windows), np.uint16)
    loads = np.zeros(batch_size, np.int64)
    bounds = [0, *(np.flatnonzero(windows[1:] != windows[:-1]) + 1).tolist(), len(windows)]
    for first, last in itertools.pairwise(bounds):
        for start in range(first, last, _DEAL):
            stop = min(start + _DEAL, last)
            rows[start:stop] = _deal_equal_(loads, stop - start, int(windows[first]))
    return rows


def _deal_equal_(loads: NDArray[np.int64], count: int, size: int) -> NDArray[np.int64]:
    """Returns the rows of so many segments of one size, and adds these to the loads.

    A row is taken when its load is the least of all. So the rows that are taken are those of the least numbers among
    load, load + size, load + 2 size, ... of all rows, in ascending order. None of them reaches the level to which the
    segments, were they water, would fill the rows.
    """
    ascending = np.sort(loads)
    level = int((-(-(count * size + np.cumsum(ascending)) // np.arange(1, len(loads) + 1))).min())
    counts = np.maximum(0, -(-(level - loads) // size))
    rows = np.repeat(np.arange(len(loads)), counts)
    times = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    rows = rows[np.argsort(loads[rows] + times * size, kind="stable")[:count]]
    loads += np.bincount(rows, minlength=len(loads)) * size
    return rows


def _counts(rows: NDArray[np.uint16], batch_size: int) -> NDArray[np.int64]:
    """Returns (B,) how many segments each row has."""
    counts = np.zeros(batch_size, np.int64)
    for start in range(0, len(rows), CHUNK):
        counts += np.bincount(rows[start : start + CHUNK], minlength=batch_size)
    return counts


def _first_windows(windows: PlaceArray, bounds: NDArray[np.int64]) -> tuple[PlaceArray, NDArray[np.int64]]:
    """Returns (S,) at which window of its row each segment starts, and (B,) how many windows the rows have."""
    found = np.empty_like(windows)
    lengths = np.zeros(len(bounds) - 1, np.int64)
    for row, (start, stop) in enumerate(itertools.pairwise(bounds.tolist())):
        ends = np.cumsum(windows[start:stop], dtype=np.int64)
        found[start:stop] = ends - windows[start:stop]
        lengths[row] = ends[-1] if len(ends) else 0
    return found, lengths
