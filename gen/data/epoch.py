"""The order of an epoch: stretches are cut into segments, segments are dealt to rows, and every row is shuffled.

An epoch may have tens of millions of segments, such as the lines of a file. So there is no object per segment: a row is
an array of indices of segments, and the fields of segments are arrays too. If no stretch is cut, these are the columns
of the stretches themselves.
"""

import itertools
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gen.data.indices import CHUNK, IndexArray, grouped, index_type, indices_where, looked_up
from gen.data.stretches import Columns, Stretches

LABEL_DROPOUT: Final = 0.1  # share of segments read without their label, so that the model can also write without one
_DEALT_AT_ONCE: Final = 1 << 16  # segments


class Segments(NamedTuple):
    """Segments: short stretches as they are, and the pieces of long ones. All of a segment is in one row."""

    stretches: Stretches  # (S,)
    is_cut: NDArray[np.bool_]  # (S,) whether the segment is a part of a longer stretch


@dataclass(frozen=True, slots=True)
class EpochOrder:
    """The segments of an epoch in reading order, row after row.

    A segment's index is its place in this order, in all methods.
    """

    _segments: Segments
    _order: IndexArray  # (S,) indices into `_segments`: the segments of the first row, those of the second, and so on
    _is_unlabelled: NDArray[np.bool_]  # (S,) whether it is read without its label; in the order of `_segments`
    _bounds: NDArray[np.int64]  # (B + 1,) the first index of each row, and S
    _first_windows: IndexArray  # (S,) the number, within its row, of each segment's first window
    row_lengths: NDArray[np.int64]  # (B,) the number of windows of each row

    @property
    def num_windows(self) -> int:
        """The number of windows of the longest row."""
        return int(self.row_lengths.max())

    def find(self, windows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns (W, B) the index of the segment that each row reads at (W,) windows; any index after a row's end."""
        shape = (len(windows), len(self.row_lengths))
        found, after = np.broadcast_to(self._bounds[:-1], shape), np.broadcast_to(self._bounds[1:], shape)
        while (after - found > 1).any():  # binary search for the last segment that has begun, for all (W, B) at once
            middle = (found + after) // 2
            is_reached = self._first_windows[np.minimum(middle, len(self._order) - 1)] <= windows[:, None]
            found, after = np.where(is_reached, middle, found), np.where(is_reached, after, middle)
        return np.minimum(found, len(self._order) - 1)

    def first_windows(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns the number, within its row, of each segment's first window."""
        return self._first_windows[indices].astype(np.int64)

    def segments(self, indices: NDArray[np.int64]) -> Columns:
        """Returns the starts, stops and labels of segments, as arrays in the shape of the indices."""
        which = self._order[indices]
        columns = self._segments.stretches.columns(which)
        return columns._replace(labels=np.where(self._is_unlabelled[which], 0, columns.labels))

    def is_cut(self, indices: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Returns whether each segment is a piece of a longer stretch."""
        return self._segments.is_cut[self._order[indices]]


def order_epoch(
    stretches: Stretches, num_targets: int, batch_size: int, bptt: int, rng: np.random.Generator
) -> EpochOrder:
    """Cuts stretches into segments, deals these to rows of about equal length, and shuffles every row.

    Args:
        stretches: each with at least one target.
        num_targets: the targets of all stretches together.
        batch_size: the number of rows, B.
        bptt: the number of targets in a window.
    """
    segments = cut(stretches, -(-num_targets // batch_size), rng)
    is_unlabelled = _drawn(len(segments.stretches), LABEL_DROPOUT, rng)
    windows = _windows(segments.stretches, bptt)
    order = np.arange(len(windows), dtype=index_type(len(windows)))
    rng.shuffle(order)
    order = _longest_first(order, windows)  # the long ones are dealt first, so that short ones fill the rows evenly
    rows = _deal(looked_up(windows, order), batch_size)
    order = grouped(order, rows)  # row after row
    bounds = np.concatenate(([0], np.cumsum(_counts(rows, batch_size))))
    del rows
    for start, stop in itertools.pairwise(bounds.tolist()):
        rng.shuffle(order[start:stop])
    first_windows, row_lengths = _first_windows(looked_up(windows, order), bounds)
    return EpochOrder(segments, order, is_unlabelled, bounds, first_windows, row_lengths)


def cut(stretches: Stretches, share: int, rng: np.random.Generator) -> Segments:
    """Cuts stretches into segments of at most `share` targets; the first cut of each long one is drawn at random."""
    is_long = np.concatenate([columns.num_targets > share for columns in stretches.chunks()])
    if not is_long.any():
        return Segments(stretches, np.broadcast_to(np.zeros(1, np.bool_), is_long.shape))
    parts: list[Columns] = []
    is_cut: list[NDArray[np.bool_]] = []
    done = 0
    for index in (*indices_where(is_long).tolist(), len(stretches)):
        whole = stretches.columns(slice(done, index))
        pieces = _pieces(stretches.columns(slice(index, index + 1)), share, rng)
        parts += [whole, pieces]
        is_cut += [np.zeros(len(whole.starts), np.bool_), np.ones(len(pieces.starts), np.bool_)]
        done = index + 1
    columns = Columns(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    return Segments(Stretches(columns), np.concatenate(is_cut))


def _pieces(stretch: Columns, share: int, rng: np.random.Generator) -> Columns:
    """Cuts a stretch; returns an empty table unchanged."""
    if not len(stretch.starts):
        return stretch
    start, stop = int(stretch.starts[0]), int(stretch.stops[0])
    bounds = np.array([start, *range(start + int(rng.integers(1, share + 1)), stop, share), stop])
    is_last = bounds[1:] == stop
    return Columns(bounds[:-1], bounds[1:], stretch.labels.repeat(len(is_last)), stretch.is_closed & is_last)


def _drawn(count: int, rate: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Returns (count,) random booleans, each true with probability `rate`."""
    found = np.empty(count, np.bool_)
    for start in range(0, count, CHUNK):
        found[start : start + CHUNK] = rng.random(min(CHUNK, count - start)) < rate
    return found


def _windows(stretches: Stretches, bptt: int) -> IndexArray:
    """Returns (S,) the number of windows that each stretch fills."""
    windows = -(-stretches.target_counts // bptt)
    return windows.astype(index_type(int(windows.sum(dtype=np.int64))), copy=False)


def _longest_first(order: IndexArray, windows: IndexArray) -> IndexArray:
    """Sorts an order of segments by their windows, most first; the sort is stable."""
    most = windows.max()
    return order if windows.min() == most else grouped(order, most - looked_up(windows, order))


def _deal(windows: IndexArray, batch_size: int) -> NDArray[np.uint16]:
    """Returns (S,) the row of each segment: it goes to the row with the fewest windows, the first if several have them.

    Args:
        windows: (S,) the windows of each segment, in descending order.
    """
    rows = np.empty(len(windows), np.uint16)
    loads = np.zeros(batch_size, np.int64)
    bounds = [0, *(np.flatnonzero(windows[1:] != windows[:-1]) + 1).tolist(), len(windows)]
    for first, last in itertools.pairwise(bounds):
        for start in range(first, last, _DEALT_AT_ONCE):
            stop = min(start + _DEALT_AT_ONCE, last)
            rows[start:stop] = _deal_equal_(loads, stop - start, int(windows[first]))
    return rows


def _deal_equal_(loads: NDArray[np.int64], count: int, size: int) -> NDArray[np.int64]:
    """Returns the rows of `count` segments of `size` windows each, and adds these to the (B,) loads.

    Each segment goes to the row with the least load. So the rows are found by sorting the numbers load, load + size,
    load + 2 size, ... of all rows: the `count` smallest name the rows in order. Only numbers below `level` can be among
    them: the load that all filled rows would have if segments could be divided, as water fills vessels.
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
    """Returns (B,) the number of segments in each row."""
    counts = np.zeros(batch_size, np.int64)
    for start in range(0, len(rows), CHUNK):
        counts += np.bincount(rows[start : start + CHUNK], minlength=batch_size)
    return counts


def _first_windows(windows: IndexArray, bounds: NDArray[np.int64]) -> tuple[IndexArray, NDArray[np.int64]]:
    """Returns (S,) the window of its row at which each segment starts, and (B,) the number of windows in each row."""
    found = np.empty_like(windows)
    lengths = np.zeros(len(bounds) - 1, np.int64)
    for row, (start, stop) in enumerate(itertools.pairwise(bounds.tolist())):
        ends = np.cumsum(windows[start:stop], dtype=np.int64)
        found[start:stop] = ends - windows[start:stop]
        lengths[row] = ends[-1] if len(ends) else 0
    return found, lengths
