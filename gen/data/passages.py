"""The order in which a classifier reads a corpus: passages of documents, each with the label of its document.

A document that is longer than a passage is cut into passages, at offsets that each epoch draws anew. An epoch reads all
passages once, in random order. Passages of similar length share a batch, so that little of it is padding. All of this
is a function of (seed, epoch, number of the batch), so a run can resume at any batch.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gen.codec import IdArray
from gen.data.epoch import cut
from gen.data.indices import IndexArray
from gen.data.mapped import let_go
from gen.data.split import Excerpt
from gen.data.stretches import Columns, Stretches

POOL = 32  # batches whose passages are sorted by length


class PassageBatch(NamedTuple):
    """B passages side by side. Rows beyond the last passage have a weight of 0, and one token."""

    tokens: NDArray[np.int64]  # (B, T): `begin`, the ids of the passage, padding
    lengths: NDArray[np.int64]  # (B,) tokens of each passage, with `begin`
    labels: NDArray[np.int64]  # (B,) from 0
    weights: NDArray[np.float32]  # (B,) of each row's loss
    num_targets: int  # labels to predict: of all rows of all processes
    num_tokens: int  # that are read, without padding, of all rows

    def arrays(self) -> tuple[NDArray[Any], ...]:
        """Returns the arrays, whose first dimension are the rows."""
        return self.tokens, self.lengths, self.labels, self.weights

    def rows(self, rows: slice) -> "PassageBatch":
        """Returns a batch with some of the rows; the counts still are those of all."""
        return self._replace(
            tokens=self.tokens[rows],
            lengths=self.lengths[rows],
            labels=self.labels[rows],
            weights=self.weights[rows],
        )


@dataclass(frozen=True, slots=True)
class _Order:
    """The passages of an epoch, sorted into batches."""

    passages: Stretches
    order: NDArray[np.int64]  # (N * B,) indices of passages, batch after batch; -1 for none


class Passages:
    """The batches of a corpus of labelled documents, by epoch and number.

    Args:
        excerpt: the part of a corpus to read; it has a document, and every document has a label.
        batch_size: the number of rows, B.
        length: of the longest passages, in ids.
        seed: the source of all randomness.
        class_weights: (K,) of the losses of each label; None for 1.
    """

    def __init__(
        self,
        excerpt: Excerpt,
        *,
        batch_size: int,
        length: int,
        seed: int,
        class_weights: NDArray[np.float32] | None = None,
    ) -> None:
        self._ids: IdArray = np.asarray(excerpt.ids)
        self._stretches = excerpt.stretches
        self._begin, self._batch_size, self._length, self._seed = excerpt.begin, batch_size, length, seed
        self._class_weights = class_weights
        self._order: _Order | None = None
        self._order_epoch = -1

    def num_windows(self, epoch: int) -> int:
        """Returns the number of batches in an epoch."""
        return len(self._order_of(epoch).order) // self._batch_size

    def batch(self, epoch: int, window: int, *, is_plain: bool = False) -> PassageBatch:  # noqa: ARG002 - all are plain
        """Returns a batch, not to be modified; 0 <= window < num_windows(epoch)."""
        order = self._order_of(epoch)
        which = order.order[window * self._batch_size : (window + 1) * self._batch_size]
        found = padded(self._ids, order.passages.columns(which[which >= 0]), begin=self._begin)
        let_go(self._ids)
        num_empty = self._batch_size - len(found.lengths)
        labels = np.pad(found.labels, (0, num_empty))
        weights = np.ones(len(labels), np.float32) if self._class_weights is None else self._class_weights[labels]
        weights[len(found.lengths) :] = 0
        return PassageBatch(
            np.pad(found.tokens, ((0, num_empty), (0, 0)), constant_values=self._begin),
            np.pad(found.lengths, (0, num_empty), constant_values=1),
            labels,
            weights,
            num_targets=len(found.lengths),
            num_tokens=int(found.lengths.sum()),
        )

    def _order_of(self, epoch: int) -> _Order:
        if self._order is None or epoch != self._order_epoch:
            rng = np.random.default_rng((self._seed, 3, epoch))
            self._order = _sorted(cut(self._stretches, self._length, rng).stretches, self._batch_size, rng)
            self._order_epoch = epoch
        return self._order


class PaddedPassages(NamedTuple):
    """Passages side by side."""

    tokens: NDArray[np.int64]  # (B, T): `begin`, ids, and `begin` as padding
    lengths: NDArray[np.int64]  # (B,) with the first `begin`
    labels: NDArray[np.int64]  # (B,) from 0; -1 for none


def padded(ids: IdArray, passages: Columns, *, begin: int) -> PaddedPassages:
    """Returns passages of a corpus side by side, each after `begin`.

    Args:
        ids: of the whole corpus.
        passages: (B,) ranges of `ids`.
    """
    lengths = passages.stops - passages.starts
    t = np.arange(int(lengths.max(initial=0)))
    found = ids.take(passages.starts[:, None] + t, mode="clip").astype(np.int64)
    tokens = np.where(t < lengths[:, None], found, begin)
    opened = np.pad(tokens, ((0, 0), (1, 0)), constant_values=begin)
    return PaddedPassages(opened, lengths + 1, passages.labels.astype(np.int64) - 1)


def _sorted(passages: Stretches, batch_size: int, rng: np.random.Generator) -> _Order:
    return _Order(passages, batches_by_length(passages.lengths, batch_size, rng))


def batches_by_length(lengths: IndexArray, batch_size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Sorts items into batches: at random, but of similar length within a batch.

    Args:
        lengths: (S,) of the items.

    Returns:
        (N * B,) indices of items, batch after batch; -1 for none.
    """
    order = np.full(-(-len(lengths) // batch_size) * batch_size, -1)
    order[: len(lengths)] = rng.permutation(len(lengths))
    lengths = np.append(lengths, 0)  # of index -1
    size = POOL * batch_size
    for start in range(0, len(order), size):
        pool = order[start : start + size]
        order[start : start + size] = pool[np.argsort(-lengths[pool], kind="stable")]
    batches = order.reshape(-1, batch_size)
    return batches[rng.permutation(len(batches))].flatten()
