"""The order in which a translator reads a corpus: pairs of a source and a target, side by side.

An epoch reads every pair once, in random order. Pairs of similar length share a batch, so that little of it is padding.
All of this is a function of (seed, epoch, number of the batch), so a run can resume at any batch.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gen.codec import IdArray
from gen.data.indices import CHUNK, IndexArray, index_type
from gen.data.mapped import let_go
from gen.data.split import Excerpt
from gen.data.store import Store

POOL = 32  # batches whose pairs are sorted by length
PADDING = -1  # the target where there is none


class PairBatch(NamedTuple):
    """B pairs side by side. Rows beyond the last pair have a source of one token, and no target."""

    sources: NDArray[np.int64]  # (B, S): the ids of the source, the separator, padding
    lengths: NDArray[np.int64]  # (B,) tokens of each source, with the separator
    inputs: NDArray[np.int64]  # (B, T): `begin`, the ids of the target, padding
    targets: NDArray[np.int64]  # (B, T): the ids of the target, `end`, PADDING
    num_targets: int  # of all rows of all processes
    num_tokens: int  # that are read, without padding, of all rows

    def arrays(self) -> tuple[NDArray[Any], ...]:
        """Returns the arrays, whose first dimension are the rows."""
        return self.sources, self.lengths, self.inputs, self.targets

    def rows(self, rows: slice) -> "PairBatch":
        """Returns a batch with some of the rows; the counts still are those of all."""
        return self._replace(
            sources=self.sources[rows],
            lengths=self.lengths[rows],
            inputs=self.inputs[rows],
            targets=self.targets[rows],
        )


class PairColumns(NamedTuple):
    """N pairs as ranges of the ids of a corpus."""

    starts: NDArray[np.int64]  # (N,) of the sources
    middles: NDArray[np.int64]  # (N,) of the separators
    stops: NDArray[np.int64]  # (N,) of the targets

    @property
    def source_lengths(self) -> NDArray[np.int64]:
        """(N,) tokens of each source, with the separator."""
        return self.middles + 1 - self.starts

    @property
    def target_lengths(self) -> NDArray[np.int64]:
        """(N,) tokens of each target, with `end`."""
        return self.stops - self.middles

    def take(self, indices: NDArray[np.int64]) -> "PairColumns":
        """Returns the pairs at some indices."""
        return PairColumns(self.starts[indices], self.middles[indices], self.stops[indices])

    def no_longer_than(self, length: int) -> "PairColumns":
        """Returns the pairs whose sources and targets have at most so many tokens, separator and `end` not counted."""
        longest = np.maximum(self.source_lengths, self.target_lengths)
        return self.take(np.flatnonzero(longest <= length + 1))


class Pairs:
    """The batches of a corpus of pairs, by epoch and number.

    Args:
        excerpt: the part of a corpus to read.
        separator: the id between a source and a target.
        batch_size: the number of rows, B.
        length: of the longest sources and targets, in ids; longer ones are not read. At least one is no longer.
        seed: the source of all randomness.
    """

    def __init__(self, excerpt: Excerpt, *, separator: int, batch_size: int, length: int, seed: int) -> None:
        self._excerpt = excerpt
        self._pairs = find_pairs(excerpt, separator).no_longer_than(length)
        self._separator, self._batch_size, self._seed = separator, batch_size, seed
        self._order = np.empty(0, np.int64)  # (N * B,) indices of pairs, batch after batch; -1 for none
        self._order_epoch = -1

    def num_windows(self, epoch: int) -> int:  # noqa: ARG002 - the same in every epoch
        """Returns the number of batches in an epoch."""
        return -(-len(self._pairs.starts) // self._batch_size)

    def batch(self, epoch: int, window: int, *, is_plain: bool = False) -> PairBatch:  # noqa: ARG002 - all are plain
        """Returns a batch, not to be modified; 0 <= window < num_windows(epoch)."""
        which = self._order_of(epoch)[window * self._batch_size : (window + 1) * self._batch_size]
        found = side_by_side(self._excerpt, self._pairs.take(which[which >= 0]))
        let_go(self._excerpt.ids)
        num_empty = self._batch_size - len(found.lengths)
        below = ((0, num_empty), (0, 0))
        return found._replace(
            sources=np.pad(found.sources, below, constant_values=self._separator),
            lengths=np.pad(found.lengths, (0, num_empty), constant_values=1),
            inputs=np.pad(found.inputs, below, constant_values=self._excerpt.begin),
            targets=np.pad(found.targets, below, constant_values=PADDING),
        )

    def _order_of(self, epoch: int) -> NDArray[np.int64]:
        if epoch != self._order_epoch:
            rng = np.random.default_rng((self._seed, 4, epoch))
            self._order, self._order_epoch = _sorted(self._pairs, self._batch_size, rng), epoch
        return self._order


def find_pairs(excerpt: Excerpt, separator: int) -> PairColumns:
    """Returns the pairs of an excerpt whose stretches are whole documents."""
    columns = excerpt.stretches.columns()
    separators = _places(excerpt.ids, separator)
    return PairColumns(columns.starts, separators[np.searchsorted(separators, columns.starts)], columns.stops)


def source_twins(store: Store, separator: int) -> IndexArray:
    """Returns (D,) the first document with the same source as each document."""
    separators = _places(store.ids, separator)  # one a document
    found = np.empty(store.num_documents, index_type(store.num_documents))
    firsts: dict[bytes, int] = {}
    for document, (start, stop) in enumerate(zip(store.starts[:-1].tolist(), separators.tolist(), strict=True)):
        found[document] = firsts.setdefault(store.ids[start:stop].tobytes(), document)
    let_go(store.ids)
    return found


def side_by_side(excerpt: Excerpt, pairs: PairColumns) -> PairBatch:
    """Returns pairs as a batch, a row each.

    Args:
        excerpt: that they are of.
        pairs: at least one.
    """
    sources, lengths = pairs.source_lengths, pairs.target_lengths
    targets = _gathered(excerpt.ids, pairs.middles + 1, lengths, fill=PADDING)
    targets[np.arange(len(lengths)), lengths - 1] = excerpt.end
    inputs = np.where(targets == PADDING, excerpt.begin, targets)
    return PairBatch(
        _gathered(excerpt.ids, pairs.starts, sources, fill=excerpt.begin),
        sources,
        np.pad(inputs[:, :-1], ((0, 0), (1, 0)), constant_values=excerpt.begin),
        targets,
        num_targets=int(lengths.sum()),
        num_tokens=int(sources.sum() + lengths.sum()),
    )


def _gathered(ids: IdArray, starts: NDArray[np.int64], lengths: NDArray[np.int64], *, fill: int) -> NDArray[np.int64]:
    """Returns (B, T) ids from some starts on, with `fill` after each row's length."""
    t = np.arange(int(lengths.max()))
    found = ids.take(starts[:, None] + t, mode="clip").astype(np.int64)
    return np.where(t < lengths[:, None], found, fill)


def _places(ids: IdArray, wanted: int) -> NDArray[np.int64]:
    """Returns the indices at which an id stands, in ascending order."""
    parts = [np.flatnonzero(ids[start : start + CHUNK] == wanted) + start for start in range(0, len(ids), CHUNK)]
    return np.concatenate([np.empty(0, np.int64), *parts])


def _sorted(pairs: PairColumns, batch_size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Sorts pairs into batches: at random, but of similar length within a batch, the longest first."""
    num_pairs = len(pairs.starts)
    order = np.full(-(-num_pairs // batch_size) * batch_size, -1)
    order[:num_pairs] = rng.permutation(num_pairs)
    sources, targets = np.append(pairs.source_lengths, 0), np.append(pairs.target_lengths, 0)  # of index -1
    size = POOL * batch_size
    for start in range(0, len(order), size):
        pool = order[start : start + size]
        order[start : start + size] = pool[np.lexsort((-sources[pool], -targets[pool]))]
    batches = order.reshape(-1, batch_size)
    return batches[rng.permutation(len(batches))].flatten()
