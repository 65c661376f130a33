"""The order in which a tagger reads a corpus: sentences of words that end with their tag.

In the ids of a document every word is followed by the id of its tag. Tags are the ids from `first_tag` on; the first of
them stands for a tag that is not known. A model reads the sentence with `begin` in the place of every tag, so a tag is
never among the inputs. A sentence is a document, or a part of one that is longer than a passage: it is cut between
words. An epoch reads all sentences once, in random order, and sentences of similar length share a batch. All of this is
a function of (seed, epoch, number of the batch), so a run can resume at any batch.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gen.codec import IdArray
from gen.data.mapped import let_go
from gen.data.passages import batches_by_length
from gen.data.split import Excerpt
from gen.data.stretches import Columns, Stretches

UNKNOWN_RATE = 0.002  # share of characters that are read as unknown in training, so that their embedding is learnt
NO_TAG = -1  # the number of a tag that is not known, and of none at padding


class TaggedBatch(NamedTuple):
    """B sentences side by side, of W words at most. Rows beyond the last sentence have one token and no word."""

    tokens: NDArray[np.int64]  # (B, T): `begin`, the characters of a word, `begin`, ...; padding
    lengths: NDArray[np.int64]  # (B,) tokens of each sentence, with every `begin`
    boundaries: NDArray[np.int64]  # (B, W + 1) the index of each `begin`; 0 as padding
    num_words: NDArray[np.int64]  # (B,) of each sentence, at least 1
    tags: NDArray[np.int64]  # (B, W) the number of the tag of each word, from 0; NO_TAG as padding
    num_targets: int  # tags to predict: of all rows of all processes
    num_tokens: int  # that are read, without padding, of all rows

    def arrays(self) -> tuple[NDArray[Any], ...]:
        """Returns the arrays, whose first dimension are the rows."""
        return self.tokens, self.lengths, self.boundaries, self.num_words, self.tags

    def rows(self, rows: slice) -> "TaggedBatch":
        """Returns a batch with some of the rows; the counts still are those of all."""
        tokens, lengths, boundaries, num_words, tags = (array[rows] for array in self.arrays())
        return TaggedBatch(tokens, lengths, boundaries, num_words, tags, self.num_targets, self.num_tokens)


class TaggedSentences:
    """The batches of a corpus of tagged sentences, by epoch and number.

    Args:
        excerpt: the part of a corpus to read; it has a document, and every document ends with a tag.
        batch_size: the number of rows, B.
        length: of the longest sentences, in ids.
        first_tag: the lowest id of a tag.
        seed: the source of all randomness.
    """

    def __init__(self, excerpt: Excerpt, *, batch_size: int, length: int, first_tag: int, seed: int) -> None:
        self._ids: IdArray = np.asarray(excerpt.ids)
        self._sentences = cut_between_words(excerpt, length=length, first_tag=first_tag)
        self._lengths = self._sentences.lengths
        self._begin, self._batch_size, self._first_tag, self._seed = excerpt.begin, batch_size, first_tag, seed
        self._order: NDArray[np.int64] | None = None
        self._order_epoch = -1

    def num_windows(self, epoch: int) -> int:
        """Returns the number of batches in an epoch."""
        return len(self._order_of(epoch)) // self._batch_size

    def batch(self, epoch: int, window: int, *, is_plain: bool = False) -> TaggedBatch:  # noqa: ARG002 - all are plain
        """Returns a batch, not to be modified; 0 <= window < num_windows(epoch)."""
        which = self._order_of(epoch)[window * self._batch_size : (window + 1) * self._batch_size]
        sentences = self._sentences.columns(which[which >= 0])
        found = side_by_side(
            self._ids, sentences, begin=self._begin, first_tag=self._first_tag, num_rows=self._batch_size
        )
        let_go(self._ids)
        rng = np.random.default_rng((self._seed, 5, epoch, window))
        is_hidden = (rng.random(found.tokens.shape) < UNKNOWN_RATE) & (found.tokens < self._first_tag)
        return found._replace(tokens=np.where(is_hidden, self._first_tag - 1, found.tokens))

    def _order_of(self, epoch: int) -> NDArray[np.int64]:
        if self._order is None or epoch != self._order_epoch:
            rng = np.random.default_rng((self._seed, 4, epoch))
            self._order = batches_by_length(self._lengths, self._batch_size, rng)
            self._order_epoch = epoch
        return self._order


def side_by_side(
    ids: IdArray, sentences: Columns, *, begin: int, first_tag: int, num_rows: int | None = None
) -> TaggedBatch:
    """Returns sentences of a corpus as a batch.

    Args:
        ids: of the whole corpus.
        sentences: (N,) ranges of `ids`, each of which ends with a tag.
        num_rows: of the batch, at least N; None for N.
    """
    num_rows = len(sentences.starts) if num_rows is None else num_rows
    sizes = np.pad(sentences.stops - sentences.starts, (0, num_rows - len(sentences.starts)))
    starts = np.pad(sentences.starts, (0, num_rows - len(sentences.starts)))
    t = np.arange(int(sizes.max(initial=0)))
    found = ids.take(starts[:, None] + t, mode="clip").astype(np.int64)
    is_inside = t < sizes[:, None]
    is_tag = is_inside & (found >= first_tag)
    counts = is_tag.sum(1)
    rows, ends = np.nonzero(is_tag)
    word = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)  # of its sentence
    most = max(1, int(counts.max(initial=0)))
    boundaries = np.zeros((num_rows, most + 1), np.int64)
    boundaries[rows, word + 1] = ends + 1  # `begin` stands before the first character
    tags = np.full((num_rows, most), NO_TAG)
    tags[rows, word] = found[rows, ends] - first_tag - 1
    tokens = np.where(is_inside & ~is_tag, found, begin)
    return TaggedBatch(
        np.pad(tokens, ((0, 0), (1, 0)), constant_values=begin),
        sizes + 1,
        boundaries,
        np.maximum(1, counts),
        tags,
        num_targets=len(rows),
        num_tokens=int(sizes.sum()) + len(sentences.starts),
    )


def cut_between_words(excerpt: Excerpt, *, length: int, first_tag: int) -> Stretches:
    """Returns the sentences of an excerpt in their order; one of more than `length` ids is cut between words.

    Of a word that alone is longer, only the last `length` ids are read. The parts of a sentence are as long as can be.
    """
    long = np.flatnonzero(excerpt.stretches.lengths > length).tolist()
    if not long:
        return excerpt.stretches
    parts, done = [], 0
    for index in (*long, len(excerpt.stretches)):
        parts.append(excerpt.stretches.columns(slice(done, index)))
        parts.append(_pieces(excerpt, excerpt.stretches.columns(slice(index, index + 1)), length, first_tag))
        done = index + 1
    return Stretches(Columns(*(np.concatenate(column) for column in zip(*parts, strict=True))))


def _pieces(excerpt: Excerpt, sentence: Columns, length: int, first_tag: int) -> Columns:
    """Cuts a sentence; returns an empty table unchanged."""
    if not len(sentence.starts):
        return sentence
    start, stop = int(sentence.starts[0]), int(sentence.stops[0])
    ends = start + 1 + np.flatnonzero(excerpt.ids[start:stop] >= first_tag)  # of words
    starts, stops = [], []
    while start < stop:
        at = int(np.searchsorted(ends, start + length, side="right")) - 1  # the last word that is within reach
        end = int(ends[at]) if at >= 0 and ends[at] > start else int(ends[at + 1])
        starts.append(max(start, end - length))
        stops.append(end)
        start = end
    which = np.zeros(len(starts), np.int64)
    return sentence.take(which)._replace(starts=np.array(starts), stops=np.array(stops))
