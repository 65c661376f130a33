"""The order of tagged sentences: every word once an epoch, and no tag among what the model reads."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gen.data import tagging
from gen.data.split import Excerpt
from gen.data.stretches import Columns, Stretch, Stretches
from gen.data.tagging import NO_TAG, TaggedBatch, TaggedSentences, cut_between_words, side_by_side

FIRST_TAG, BEGIN, END = 500, 900, 901  # ids below 500 are characters, 499 is an unknown one
Word = tuple[int, int]  # characters, tag
Sentences = list[list[Word]]


def new_excerpt(sentences: Sentences) -> Excerpt:
    """Returns sentences of words of some lengths and tags; the characters are numbered from 0, modulo 450."""
    ids: list[int] = []
    stretches = []
    count = 0
    for sentence in sentences:
        start = len(ids)
        for size, tag in sentence:
            ids += [(count + n) % 450 for n in range(size)] + [FIRST_TAG + 1 + tag]
            count += size
        stretches.append(Stretch(start, len(ids), 0, is_closed=True))
    return Excerpt(np.array(ids, np.uint16), Stretches(stretches), BEGIN, END)


def new_order(sentences: Sentences, *, batch_size: int = 3, length: int = 20, seed: int = 0) -> TaggedSentences:
    return TaggedSentences(new_excerpt(sentences), batch_size=batch_size, length=length, first_tag=FIRST_TAG, seed=seed)


def epoch(order: TaggedSentences, number: int) -> list[TaggedBatch]:
    return [order.batch(number, window) for window in range(order.num_windows(number))]


def words_in(batch: TaggedBatch) -> list[tuple[tuple[int, ...], int]]:
    """Returns the characters and the tag of each word, found by its boundaries."""
    found = []
    for tokens, boundaries, tags in zip(batch.tokens, batch.boundaries, batch.tags, strict=True):
        for n in np.flatnonzero(tags != NO_TAG).tolist():
            first, last = boundaries[n], boundaries[n + 1]
            assert tokens[first] == tokens[last] == BEGIN
            found.append((tuple(tokens[first + 1 : last].tolist()), int(tags[n])))
    return found


def words_of(excerpt: Excerpt) -> list[tuple[tuple[int, ...], int]]:
    found, word = [], list[int]()
    for token in excerpt.ids.tolist():
        if token < FIRST_TAG:
            word.append(token)
        else:
            found.append((tuple(word), token - FIRST_TAG - 1))
            word = []
    return found


word = st.tuples(st.integers(1, 6), st.integers(0, 3))
corpora = st.lists(st.lists(word, min_size=1, max_size=6), min_size=1, max_size=12)


@given(corpora, st.integers(1, 5), st.integers(7, 40), st.integers(0, 3))
def test_every_word_is_read_once_an_epoch_with_its_tag(
    sentences: Sentences, batch_size: int, length: int, number: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tagging, "UNKNOWN_RATE", 0.0)
        batches = epoch(new_order(sentences, batch_size=batch_size, length=length), number)

    assert sorted(word for batch in batches for word in words_in(batch)) == sorted(words_of(new_excerpt(sentences)))
    assert all(batch.lengths.max() <= length + 1 for batch in batches)
    assert all(len(array) == batch_size for batch in batches for array in batch.arrays())


@given(corpora, st.integers(1, 5))
def test_counts_are_those_of_words_and_of_tokens_without_padding(sentences: Sentences, batch_size: int) -> None:
    for batch in epoch(new_order(sentences, batch_size=batch_size, length=99), 0):
        assert batch.num_targets == (batch.tags != NO_TAG).sum()
        assert batch.num_tokens == batch.lengths[batch.tags[:, 0] != NO_TAG].sum()
        assert (batch.num_words == np.maximum(1, (batch.tags != NO_TAG).sum(1))).all()


@given(corpora, st.integers(0, 3))
def test_no_tag_is_among_the_inputs(sentences: Sentences, tag: int) -> None:
    others = [[(size, tag) for size, _ in sentence] for sentence in sentences]
    first, second = epoch(new_order(sentences), 0), epoch(new_order(others), 0)

    for one, other in zip(first, second, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one.arrays()[:-1], other.arrays()[:-1], strict=True))
        assert ((one.tokens < FIRST_TAG) | (one.tokens == BEGIN)).all()


def test_a_long_sentence_is_cut_between_words_into_parts_as_long_as_can_be() -> None:
    excerpt = new_excerpt([[(1, 0)], [(2, 0), (3, 1), (1, 2), (9, 0), (2, 1)], [(2, 1)]])

    found = cut_between_words(excerpt, length=8, first_tag=FIRST_TAG)

    # Of the word of nine characters the last seven and the tag are read.
    assert [(part.start, part.stop) for part in found] == [(0, 2), (2, 9), (9, 11), (13, 21), (21, 24), (24, 27)]


def test_batch_depends_on_seed_epoch_and_number_alone() -> None:
    sentences = [[(1 + n % 4, n % 3)] * (1 + n % 7) for n in range(17)]
    first, again, other = new_order(sentences), new_order(sentences), new_order(sentences, seed=1)
    whole = epoch(first, 5)

    assert all(np.array_equal(a, b) for a, b in zip(whole[2].arrays(), again.batch(5, 2).arrays(), strict=True))
    assert any(not np.array_equal(a.tokens, b.tokens) for a, b in zip(whole, epoch(other, 5), strict=True))
    assert any(not np.array_equal(a.tokens, b.tokens) for a, b in zip(whole, epoch(first, 6), strict=True))


def test_a_few_characters_are_read_as_unknown_and_no_boundary_is() -> None:
    batches = epoch(new_order([[(5, 0)] * 10] * 2000, batch_size=50, length=99), 0)

    tokens = np.concatenate([batch.tokens.flatten() for batch in batches])
    assert (tokens == FIRST_TAG - 1).sum() == pytest.approx(tagging.UNKNOWN_RATE * 100_000, rel=0.3)
    assert (tokens == BEGIN).sum() == 2000 * 11


def test_sentences_of_a_batch_have_similar_lengths() -> None:
    rng = np.random.default_rng(0)
    batches = epoch(new_order([[(4, 0)] * int(n) for n in rng.integers(1, 41, 640)], batch_size=16, length=400), 0)

    assert sum(batch.num_tokens for batch in batches) / sum(batch.tokens.size for batch in batches) > 0.9


def test_rows_of_a_batch_keep_its_counts() -> None:
    batch = new_order([[(2, 1), (3, 0)]] * 5, batch_size=5).batch(0, 0)

    part = batch.rows(slice(1, 3))

    assert [len(array) for array in part.arrays()] == [2] * 5
    assert (part.num_targets, part.num_tokens) == (batch.num_targets, batch.num_tokens) == (10, 40)


def test_an_unknown_tag_has_no_number() -> None:
    ids = np.array([3, FIRST_TAG, 4, FIRST_TAG + 1], np.uint16)
    columns = Columns(np.array([0]), np.array([4]), np.zeros(1, np.int32), np.ones(1, np.bool_))

    assert side_by_side(ids, columns, begin=BEGIN, first_tag=FIRST_TAG).tags.tolist() == [[NO_TAG, 0]]
