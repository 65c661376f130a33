"""The order in which a corpus is read: rows for truncated back-propagation with carried state.

A batch has B rows, which are read side by side. Each epoch cuts every stretch that is longer than a row's share into
segments, at offsets drawn anew. It deals the segments to rows so that all rows are about equally long, and reads
every row in windows of `bptt` tokens. A segment starts with a fresh state, at the start of a window. The rest of its
last window is padding, -1 in the targets. So one big text becomes B equal rows, and a tune of a folder stays whole.

A model must write well from every beginning. With carried state alone a network sees a fresh state about B times an
epoch, and some beginnings then put it into a state that it never leaves. So a share of the windows, `reset_rate`, also
starts with a fresh state although the segment continues: a reset. Where a stretch was cut, `begin` means "the text
before is unknown": it is the first input of each segment and of half of the resets. The first input of the other half
is the token before, as in the windows of an evaluation. Where a stretch is whole, `begin` means "a document starts",
and the first input of every reset is the token before.

Each epoch may read each segment in a variation of its own, such as another key. A variation is a table from ids to ids.
The last epochs of a run are plain: they draw variations from a function of their own, so that a run can end on the
corpus as it is.

All of this is a function of (seed, epoch, window, is_plain), so a run can resume at any window.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gen.codec import IdArray, IdTable, Variation
from gen.data.epoch import EpochOrder, order_epoch
from gen.data.indices import indices_where
from gen.data.mapped import let_go
from gen.data.split import Excerpt
from gen.data.stretches import Stretches

IGNORED = -1  # the target at a padded index
# Windows are made in blocks. A window takes 45 microseconds in a loop, but 450 between two training steps, which evict
# numpy's code from the CPU's caches.
BLOCK_TOKENS = 1 << 15


class Batch(NamedTuple):
    """One window of every row: the model reads `inputs` and learns to predict `targets`, the tokens one later."""

    inputs: NDArray[np.int64]  # (B, T)
    targets: NDArray[np.int64]  # (B, T), IGNORED where padded
    is_fresh: NDArray[np.bool_]  # (B,) whether the row starts with the initial state of its label, not the carried one
    labels: NDArray[np.int64]  # (B,)
    is_varied: NDArray[np.bool_]  # (B,) whether a variation changes the piece into one that the corpus does not hold
    num_targets: int  # tokens to predict: of all rows of all processes, without padding

    @property
    def num_tokens(self) -> int:
        """The tokens that are read: every one has a target."""
        return self.num_targets

    def arrays(self) -> tuple[NDArray[Any], ...]:
        """Returns the arrays, whose first dimension are the rows."""
        return self[:-1]

    def rows(self, rows: slice) -> "Batch":
        """Returns a batch with some of the rows; `num_targets` still counts all."""
        return self._replace(
            inputs=self.inputs[rows],
            targets=self.targets[rows],
            is_fresh=self.is_fresh[rows],
            labels=self.labels[rows],
            is_varied=self.is_varied[rows],
        )


class _Block(NamedTuple):
    """W consecutive windows: the arrays of `Batch` with W as first dimension."""

    inputs: NDArray[np.int64]
    targets: NDArray[np.int64]
    is_fresh: NDArray[np.bool_]
    labels: NDArray[np.int64]
    is_varied: NDArray[np.bool_]
    num_targets: NDArray[np.int64]  # (W,)

    def batch(self, at: int) -> Batch:
        """Returns one window."""
        return Batch(
            self.inputs[at],
            self.targets[at],
            self.is_fresh[at],
            self.labels[at],
            self.is_varied[at],
            num_targets=int(self.num_targets[at]),
        )


class Batches:
    """The windows of a corpus, by epoch and number.

    Args:
        excerpt: the part of a corpus to read; it has at least one target.
        batch_size: the number of rows, B.
        bptt: the length of a window, T.
        reset_rate: the share of windows that start with a fresh state although their segment continues.
        seed: the source of all randomness.
        vary: draws the variation of a segment for an epoch; None to read the ids unchanged.
        vary_plainly: the same for plain epochs.
    """

    def __init__(
        self,
        excerpt: Excerpt,
        *,
        batch_size: int,
        bptt: int,
        reset_rate: float,
        seed: int,
        vary: Variation | None = None,
        vary_plainly: Variation | None = None,
    ) -> None:
        self._ids: IdArray = np.asarray(excerpt.ids)  # np.memmap would cost time at every indexing
        self._stretches = _with_targets(excerpt.stretches)
        self._begin, self._end = excerpt.begin, excerpt.end
        self._batch_size, self._bptt = batch_size, bptt
        self._reset_rate = reset_rate
        self._seed = seed
        self._variations = {False: vary, True: vary_plainly}  # by `is_plain`
        self.num_targets = self._stretches.num_targets
        self._order_epoch = -1
        self._order: EpochOrder | None = None
        self._block_length = max(1, BLOCK_TOKENS // (batch_size * bptt))
        self._block_key = (-1, -1, False)  # epoch, first window, is_plain
        self._block: _Block | None = None

    def num_windows(self, epoch: int) -> int:
        """Returns the number of batches in an epoch."""
        return self._order_of(epoch).num_windows

    def batch(self, epoch: int, window: int, *, is_plain: bool = False) -> Batch:
        """Returns one window of every row, not to be modified; 0 <= window < num_windows(epoch)."""
        first = window - window % self._block_length
        if self._block_key != (epoch, first, is_plain):
            last = min(first + self._block_length, self.num_windows(epoch))
            self._block = self._read(epoch, np.arange(first, last), self._variations[is_plain])
            self._block_key = (epoch, first, is_plain)
        assert self._block is not None
        return self._block.batch(window - first)

    def _read(self, epoch: int, windows: NDArray[np.int64], vary: Variation | None) -> _Block:
        """Returns some windows of every row; `_block` keeps them until others are asked for."""
        order = self._order_of(epoch)
        at_segment = order.find(windows)  # (W, B) indices of segments
        is_over = windows[:, None] >= order.row_lengths  # (W, B) whether the row has ended before the window
        # (W, B) targets of the segment that are in earlier windows
        offsets = (windows[:, None] - order.first_windows(at_segment)) * self._bptt
        segments = order.segments(at_segment)
        starts = segments.starts + offsets
        lengths = np.where(is_over, 0, segments.num_targets - offsets)  # (W, B) targets that are left
        draws = [np.random.default_rng((self._seed, 1, epoch, int(w))).random((self._batch_size, 2)) for w in windows]
        chances = np.stack(draws)  # (W, B, 2)
        is_reset = chances[..., 0] < self._reset_rate

        columns = np.arange(-1, self._bptt)
        indices = starts[..., None] + columns  # (W, B, 1 + T): the id before the first target, then the targets
        ids, is_varied = self._ids_at(indices, epoch, at_segment, vary)
        is_target = columns[1:] < lengths[..., None]
        targets = np.where(is_target, ids[..., 1:], np.int64(IGNORED))
        targets[is_target & (indices[..., 1:] == segments.stops[..., None])] = self._end
        inputs = np.empty_like(targets)
        inputs[:] = self._begin
        np.copyto(inputs[..., 1:], targets[..., :-1], where=is_target[..., 1:])
        opens_with_begin = is_over | (offsets == 0) | (is_reset & order.is_cut(at_segment) & (chances[..., 1] < 0.5))
        np.copyto(inputs[..., 0], ids[..., 0], where=~opens_with_begin)
        # A row that is over starts afresh at each window, so that its unused state stays bounded.
        is_fresh = is_over | (offsets == 0) | is_reset
        labels = np.where(is_over, 0, segments.labels)
        let_go(self._ids)
        return _Block(inputs, targets, is_fresh, labels, is_varied & ~is_over, is_target.sum((1, 2)))

    def _ids_at(
        self, indices: NDArray[np.int64], epoch: int, at_segment: NDArray[np.int64], vary: Variation | None
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Returns the ids at (W, B, N) indices, each in the variation of its segment, (W, B), for this epoch.

        Also returns (W, B) whether each segment is varied. Ids outside their segment are arbitrary.
        """
        ids = self._ids.take(indices, mode="clip")
        if vary is None:
            return ids, np.zeros(at_segment.shape, np.bool_)
        segments, which = np.unique(at_segment, return_inverse=True)
        readings = [self._reading(epoch, segment, vary) for segment in segments.tolist()]
        which = which.reshape(at_segment.shape)
        tables = np.stack([reading.table for reading in readings])
        return tables[which[..., None], ids], np.array([reading.is_varied for reading in readings])[which]

    def _reading(self, epoch: int, segment: int, vary: Variation) -> IdTable:
        columns = self._order_of(epoch).segments(np.array([segment]))
        ids = self._ids[columns.starts[0] : columns.stops[0]]
        return vary(ids, np.random.default_rng((self._seed, 2, epoch, segment)))

    def _order_of(self, epoch: int) -> EpochOrder:
        if self._order is None or epoch != self._order_epoch:
            self._order = None  # frees the old order first: with many documents an order is large
            rng = np.random.default_rng((self._seed, 0, epoch))
            self._order = order_epoch(self._stretches, self.num_targets, self._batch_size, self._bptt, rng)
            self._order_epoch = epoch
        return self._order


def _with_targets(stretches: Stretches) -> Stretches:
    """Returns the stretches that have at least one target."""
    has_any = [columns.num_targets > 0 for columns in stretches.chunks()]
    if all(part.all() for part in has_any):
        return stretches
    return stretches.take(indices_where(np.concatenate(has_any)))
