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

Each segment may be read in a variation of its own each epoch, such as another key: a table from ids to ids. An epoch
may also be read plainly, with another draw: so a run can end on the corpus as it is.

All of it is a function of (seed, epoch, window) and of whether that epoch is read plainly, so a run resumes anywhere
from these.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gen.codec import IdArray, Reading, Variation
from gen.data.layout import Layout, lay_out
from gen.data.mapped import let_go
from gen.data.places import places_where
from gen.data.stretches import Stretch, Stretches

IGNORED = -1  # the target of a padded place
# Windows are made many at a time: between two steps numpy's code has left the caches, and what takes 45 microseconds
# in a loop takes 450.
BLOCK_TOKENS = 1 << 15


class Batch(NamedTuple):
    """One window of every row."""

    inputs: NDArray[np.int64]  # (B, T)
    targets: NDArray[np.int64]  # (B, T), IGNORED where padded
    is_fresh: NDArray[np.bool_]  # (B,) whether the row starts from its label's initial state
    labels: NDArray[np.int64]  # (B,)
    is_varied: NDArray[np.bool_]  # (B,) whether what is read is another piece than the corpus holds
    num_targets: int  # of all rows that are read side by side, padding left out

    def rows(self, rows: slice) -> "Batch":
        """Returns the window of some of the rows."""
        return self._replace(
            inputs=self.inputs[rows],
            targets=self.targets[rows],
            is_fresh=self.is_fresh[rows],
            labels=self.labels[rows],
            is_varied=self.is_varied[rows],
        )


class _Block(NamedTuple):
    """Windows that follow each other, W of them: a batch's arrays with W before their shapes."""

    inputs: NDArray[np.int64]
    targets: NDArray[np.int64]
    is_fresh: NDArray[np.bool_]
    labels: NDArray[np.int64]
    is_varied: NDArray[np.bool_]
    num_targets: NDArray[np.int64]  # (W,)

    def batch(self, at: int) -> Batch:
        """Returns one of the windows."""
        return Batch(
            self.inputs[at],
            self.targets[at],
            self.is_fresh[at],
            self.labels[at],
            self.is_varied[at],
            num_targets=int(self.num_targets[at]),
        )


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
        vary: draws how a segment is read in an epoch; None for as it is.
        vary_plainly: the same in an epoch that is read plainly.
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
        vary: Variation | None = None,
        vary_plainly: Variation | None = None,
    ) -> None:
        self._ids: IdArray = np.asarray(ids)  # of a memory map, without the cost of its class
        self._stretches = _with_targets(Stretches(stretches))
        self._begin, self._end = begin, end
        self._batch_size, self._bptt = batch_size, bptt
        self._reset_rate = reset_rate
        self._seed = seed
        self._variations = {False: vary, True: vary_plainly}  # by whether an epoch is read plainly
        self.num_targets = self._stretches.num_targets
        self._layout_epoch = -1
        self._layout: Layout | None = None
        self._block_length = max(1, BLOCK_TOKENS // (batch_size * bptt))
        self._block_place = (-1, -1, False)  # epoch, first window, whether read plainly
        self._block: _Block | None = None

    def num_windows(self, epoch: int) -> int:
        """Returns how many batches the epoch has."""
        return self._layout_of(epoch).num_windows

    def batch(self, epoch: int, window: int, *, is_plain: bool = False) -> Batch:
        """Returns one window of every row, not to be written into; 0 <= window < num_windows(epoch)."""
        first = window - window % self._block_length
        if self._block_place != (epoch, first, is_plain):
            last = min(first + self._block_length, self.num_windows(epoch))
            self._block = self._read(epoch, np.arange(first, last), self._variations[is_plain])
            self._block_place = (epoch, first, is_plain)
        assert self._block is not None
        return self._block.batch(window - first)

    def _read(self, epoch: int, windows: NDArray[np.int64], vary: Variation | None) -> _Block:
        """Returns windows of every row, all at once."""
        layout = self._layout_of(epoch)
        at_segment = layout.find(windows)  # (W, B)
        is_over = windows[:, None] >= layout.row_lengths
        offsets = (windows[:, None] - layout.first_windows(at_segment)) * self._bptt
        segments = layout.segments(at_segment)
        starts = segments.starts + offsets
        lengths = np.where(is_over, 0, segments.num_targets - offsets)
        draws = [np.random.default_rng((self._seed, 1, epoch, int(w))).random((self._batch_size, 2)) for w in windows]
        chances = np.stack(draws)  # (W, B, 2)
        is_reset = chances[..., 0] < self._reset_rate

        columns = np.arange(-1, self._bptt)
        places = starts[..., None] + columns  # (W, B, 1 + T) among the ids, of what is before the targets, then these
        ids, is_varied = self._ids_at(places, epoch, at_segment, vary)
        is_target = columns[1:] < lengths[..., None]
        targets = np.where(is_target, ids[..., 1:], np.int64(IGNORED))
        targets[is_target & (places[..., 1:] == segments.stops[..., None])] = self._end
        inputs = np.empty_like(targets)
        inputs[:] = self._begin
        np.copyto(inputs[..., 1:], targets[..., :-1], where=is_target[..., 1:])
        opens_with_begin = is_over | (offsets == 0) | (is_reset & layout.is_cut(at_segment) & (chances[..., 1] < 0.5))
        np.copyto(inputs[..., 0], ids[..., 0], where=~opens_with_begin)
        # A row that is over is fresh: that keeps its idle state bounded.
        is_fresh = is_over | (offsets == 0) | is_reset
        labels = np.where(is_over, 0, segments.labels)
        let_go(self._ids)
        return _Block(inputs, targets, is_fresh, labels, is_varied & ~is_over, is_target.sum((1, 2)))

    def _ids_at(
        self, places: NDArray[np.int64], epoch: int, at_segment: NDArray[np.int64], vary: Variation | None
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Returns the ids at (W, B, N) places as the (W, B) segments are read in this epoch; outside them, any.

        Also whether each of them is varied, (W, B).
        """
        ids = self._ids.take(places, mode="clip")
        if vary is None:
            return ids, np.zeros(at_segment.shape, np.bool_)
        segments, which = np.unique(at_segment, return_inverse=True)
        readings = [self._reading(epoch, segment, vary) for segment in segments.tolist()]
        which = which.reshape(at_segment.shape)
        tables = np.stack([reading.table for reading in readings])
        return tables[which[..., None], ids], np.array([reading.is_varied for reading in readings])[which]

    def _reading(self, epoch: int, segment: int, vary: Variation) -> Reading:
        columns = self._layout_of(epoch).segments(np.array([segment]))
        ids = self._ids[columns.starts[0] : columns.stops[0]]
        return vary(ids, np.random.default_rng((self._seed, 2, epoch, segment)))

    def _layout_of(self, epoch: int) -> Layout:
        if self._layout is None or epoch != self._layout_epoch:
            self._layout = None  # one at a time: they are large where documents are many
            rng = np.random.default_rng((self._seed, 0, epoch))
            self._layout = lay_out(self._stretches, self.num_targets, self._batch_size, self._bptt, rng)
            self._layout_epoch = epoch
        return self._layout


def _with_targets(stretches: Stretches) -> Stretches:
    """Returns the stretches that have any target."""
    has_any = [columns.num_targets > 0 for columns in stretches.chunks()]
    if all(part.all() for part in has_any):
        return stretches
    return stretches.take(places_where(np.concatenate(has_any)))
