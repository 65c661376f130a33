"""The order of pairs: every one once an epoch, as a function of its place alone; equal sources on one side."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gen.data.pairs import PADDING, PairBatch, Pairs, find_pairs
from gen.data.split import Excerpt, split, whole

SEPARATOR, BEGIN, END = 0, 1000, 1001


def new_excerpt(sizes: list[tuple[int, int]]) -> Excerpt:
    """Returns pairs with sources and targets of some lengths; all ids but the separators differ."""
    ids, starts, number = [], [0], 1
    for source, target in sizes:
        ids += [*range(number, number + source), SEPARATOR, *range(number + source, number + source + target)]
        number += source + target
        starts.append(len(ids))
    stretches = whole(np.array(starts), np.zeros(len(sizes), np.int32))
    return Excerpt(np.array(ids, np.uint16), stretches, BEGIN, END)


def new_pairs(sizes: list[tuple[int, int]], *, batch_size: int = 3, length: int = 99, seed: int = 0) -> Pairs:
    return Pairs(new_excerpt(sizes), separator=SEPARATOR, batch_size=batch_size, length=length, seed=seed)


def epoch(pairs: Pairs, number: int) -> list[PairBatch]:
    return [pairs.batch(number, window) for window in range(pairs.num_windows(number))]


lengths = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=20)


@given(lengths, st.integers(1, 5), st.integers(0, 3))
def test_every_pair_is_read_once_an_epoch(sizes: list[tuple[int, int]], batch_size: int, number: int) -> None:
    found = []
    num_tokens = 0
    for batch in epoch(new_pairs(sizes, batch_size=batch_size), number):
        assert batch.num_targets == (batch.targets != PADDING).sum()
        num_tokens += batch.num_tokens
        for source, length, inputs, targets in zip(*batch.arrays(), strict=True):
            kept = targets[targets != PADDING].tolist()
            assert source[length - 1] == SEPARATOR
            assert inputs[: len(kept)].tolist() == [BEGIN, *kept[:-1]][: len(kept)]
            if kept:
                assert kept[-1] == END
                found.append([*source[:length].tolist(), *kept[:-1]])

    excerpt = new_excerpt(sizes)
    wanted = [excerpt.ids[stretch.start : stretch.stop].tolist() for stretch in excerpt.stretches]
    assert sorted(found) == sorted(wanted)
    assert num_tokens == excerpt.num_targets


def test_pairs_that_are_too_long_on_a_side_are_not_read() -> None:
    pairs = new_pairs([(3, 3), (4, 1), (1, 4), (3, 1)], batch_size=1, length=3)

    assert pairs.num_windows(0) == 2
    assert max(max(batch.lengths.max() - 1, batch.targets.shape[1] - 1) for batch in epoch(pairs, 0)) == 3


@given(lengths, st.integers(0, 3), st.integers(0, 2))
def test_a_batch_is_a_function_of_seed_epoch_and_number(sizes: list[tuple[int, int]], number: int, seed: int) -> None:
    one, other = new_pairs(sizes, seed=seed), new_pairs(sizes, seed=seed)
    epoch(other, number + 1)  # what was read before does not matter
    window = one.num_windows(number) - 1

    for ours, theirs in zip(one.batch(number, window).arrays(), other.batch(number, window).arrays(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_epochs_and_seeds_differ() -> None:
    sizes = [(1 + n % 5, 1 + n % 7) for n in range(60)]
    orders = [
        [batch.sources[:, 0].tolist() for batch in epoch(new_pairs(sizes, seed=seed), number)]
        for seed, number in ((0, 0), (0, 1), (1, 0))
    ]

    assert orders[0] != orders[1] != orders[2] != orders[0]


@pytest.mark.parametrize("rows", [slice(0, 2), slice(2, 5)])
def test_some_rows_of_a_batch_keep_its_width_and_counts(rows: slice) -> None:
    batch = new_pairs([(1 + n, 9 - n) for n in range(5)], batch_size=5).batch(0, 0)

    part = batch.rows(rows)

    assert part.num_targets == batch.num_targets
    for ours, all_of_them in zip(part.arrays(), batch.arrays(), strict=True):
        np.testing.assert_array_equal(ours, all_of_them[rows])


def test_pairs_of_a_part_of_a_corpus_are_found() -> None:
    excerpt = new_excerpt([(2, 3), (1, 1), (4, 2)])
    middle = Excerpt(excerpt.ids, excerpt.stretches[1:2], BEGIN, END)

    found = find_pairs(middle, SEPARATOR)

    assert [column.tolist() for column in found] == [[6], [7], [9]]


@pytest.mark.parametrize("num_documents", [2, 5, 30])
def test_whole_documents_are_drawn_however_few_there_are(num_documents: int) -> None:
    starts = np.arange(num_documents + 1) * 10
    parts = split(starts, np.zeros(num_documents, np.int32), valid_fraction=0.1, seed=0, is_of_whole_documents=True)

    assert all(stretch.stop - stretch.start == 10 for stretch in (*parts.train, *parts.valid))
    assert len(parts.train) + len(parts.valid) == num_documents
    assert len(parts.valid) >= 1
