"""The order in which a corpus is read: rows for truncated back-propagation with carried state.

Each epoch cuts the stretches that are longer than a row's share at new places, deals the segments to rows so that all
rows are equally long, and reads every row in windows of `bptt` tokens. A row starts from a fresh state where a segment
starts and never runs on into the next segment within a window (the rest of that window is padding, -1 in the targets).
So one big text becomes B equal rows, and a folder of tunes stays one tune at a time.

Every beginning must be safe. With carried state alone a network sees a fresh state about B times an epoch, and some
beginnings then put it into a state that it never leaves. So a row also starts afresh, though its segment goes on, at a
`reset_rate` of the windows. Where a document was cut, `begin` means "what went before is not known": it opens each of
its segments and half of its resets; the other half start from the token before, as windows in an evaluation do. Where
documents are whole, `begin` keeps its meaning of "a document starts" and resets start from the token before.

All of it is a function of (seed, epoch, window), so a run resumes anywhere from these three integers.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gen.codec import IdArray
from gen.data.corpus import Stretch

IGNORED = -1  # the target of a padded place
LABEL_DROPOUT = 0.1  # of segments are read without their label, so that the model can also write without one


class Batch(NamedTuple):
    """One window of every row."""

    inputs: NDArray[np.int64]  # (B, T)
    targets: NDArray[np.int64]  # (B, T), IGNORED where padded
    is_fresh: NDArray[np.bool_]  # (B,) whether the row starts from its label's initial state
    labels: NDArray[np.int64]  # (B,)


class Segment(NamedTuple):
    """A run of one stretch that stays in one row: targets `start` to `stop`, `end` among them if it `is_closed`."""

    start: int
    stop: int
    label: int
    is_closed: bool
    is_cut: bool  # its stretch was too long for a row

    @property
    def num_targets(self) -> int:
        return self.stop - self.start + self.is_closed


@dataclass(frozen=True, slots=True)
class _Layout:
    """Which segments an epoch's rows hold, and at which window each starts."""

    rows: list[list[Segment]]
    first_windows: list[NDArray[np.int64]]  # per row (S + 1,), the last entry is the row's length in windows
    num_windows: int


class Batches:
    """Windows of a corpus, by epoch and index.

    Args:
        ids: (N,) all ids of the store.
        stretches: what may be read of them; at least one target in all.
        begin: the id that opens a segment.
        end: the id that closes a document.
        batch_size: rows, B.
        bptt: window length, T.
        reset_rate: share of windows that start from a fresh state though their segment goes on.
        seed: decides the order.
    """

    def __init__(
        self,
        ids: IdArray,
        stretches: Sequence[Stretch],
        *,
        begin: int,
        end: int,
        batch_size: int,
        bptt: int,
        reset_rate: float,
        seed: int,
    ) -> None:
        self._ids = ids
        self._stretches = stretches
        self._begin, self._end = begin, end
        self._batch_size, self._bptt = batch_size, bptt
        self._reset_rate = reset_rate
        self._seed = seed
        self.num_targets = sum(stretch.stop - stretch.start + stretch.is_closed for stretch in stretches)
        self._layout_epoch = -1
        self._layout = _Layout([], [], 0)

    def num_windows(self, epoch: int) -> int:
        """Returns how many batches the epoch has."""
        return self._layout_of(epoch).num_windows

    def batch(self, epoch: int, window: int) -> Batch:
        """Returns one window of every row; 0 <= window < num_windows(epoch)."""
        layout = self._layout_of(epoch)
        shape = (self._batch_size, self._bptt)
        batch = Batch(
            np.full(shape, self._begin, np.int64),
            np.full(shape, IGNORED, np.int64),
            np.zeros(self._batch_size, np.bool_),
            np.zeros(self._batch_size, np.int64),
        )
        resets = np.random.default_rng((self._seed, 1, epoch, window)).random((self._batch_size, 2))
        for row, (segments, firsts) in enumerate(zip(layout.rows, layout.first_windows, strict=True)):
            if window < firsts[-1]:
                place = int(np.searchsorted(firsts, window, side="right")) - 1
                offset = (window - int(firsts[place])) * self._bptt
                self._fill_(batch, row, segments[place], offset, resets[row])
            else:
                batch.is_fresh[row] = True  # the row is over; a fresh state keeps its idle one bounded
        return batch

    def _fill_(self, batch: Batch, row: int, segment: Segment, offset: int, chances: NDArray[np.float64]) -> None:
        length = min(self._bptt, segment.num_targets - offset)
        start = segment.start + offset
        ids = self._ids[start : min(start + length, segment.stop)]
        batch.targets[row, : len(ids)] = ids
        if len(ids) < length:
            batch.targets[row, length - 1] = self._end
        batch.inputs[row, 1:length] = batch.targets[row, : length - 1]
        is_reset = bool(chances[0] < self._reset_rate)
        if offset > 0 and not (is_reset and segment.is_cut and chances[1] < 0.5):
            batch.inputs[row, 0] = self._ids[start - 1]
        batch.is_fresh[row] = offset == 0 or is_reset
        batch.labels[row] = segment.label

    def _layout_of(self, epoch: int) -> _Layout:
        if epoch != self._layout_epoch:
            rng = np.random.default_rng((self._seed, 0, epoch))
            share = -(-self.num_targets // self._batch_size)
            segments = [s for stretch in self._stretches for s in _cut(stretch, share, rng)]
            is_hidden = rng.random(len(segments)) < LABEL_DROPOUT
            segments = [s._replace(label=0) if hidden else s for s, hidden in zip(segments, is_hidden, strict=True)]
            self._layout = _deal(segments, self._batch_size, self._bptt, rng)
            self._layout_epoch = epoch
        return self._layout


def _cut(stretch: Stretch, share: int, rng: np.random.Generator) -> list[Segment]:
    """Cuts a stretch into segments of at most `share` targets; the first cut falls anywhere."""
    num_targets = stretch.stop - stretch.start + stretch.is_closed
    if num_targets == 0:
        return []
    if num_targets <= share:
        return [Segment(stretch.start, stretch.stop, stretch.label, stretch.is_closed, is_cut=False)]
    bounds = [stretch.start, *range(stretch.start + int(rng.integers(1, share + 1)), stretch.stop, share), stretch.stop]
    last = len(bounds) - 2
    return [
        Segment(bounds[n], bounds[n + 1], stretch.label, stretch.is_closed and n == last, is_cut=True)
        for n in range(len(bounds) - 1)
    ]


def _deal(segments: list[Segment], batch_size: int, bptt: int, rng: np.random.Generator) -> _Layout:
    """Deals segments to rows, the longest first to the emptiest row, then shuffles every row."""
    order: list[Any] = list(rng.permutation(len(segments)))
    windows = [-(-segment.num_targets // bptt) for segment in segments]
    order.sort(key=lambda n: -windows[n])  # stable: equal lengths stay shuffled
    rows: list[list[int]] = [[] for _ in range(batch_size)]
    loads = [(0, row) for row in range(batch_size)]
    for n in order:
        load, row = heapq.heappop(loads)
        rows[row].append(n)
        heapq.heappush(loads, (load + windows[n], row))
    for members in rows:
        rng.shuffle(members)
    firsts = [np.cumsum([0, *(windows[n] for n in members)]) for members in rows]
    return _Layout([[segments[n] for n in members] for members in rows], firsts, max(int(f[-1]) for f in firsts))
