"""The order of passages: every one once an epoch, as a function of its place alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gen.data.passages import PassageBatch, Passages
from gen.data.split import Excerpt
from gen.data.stretches import Stretch, Stretches

BEGIN, END = 1000, 1001


def new_passages(sizes: list[tuple[int, int]], *, batch_size: int = 3, length: int = 4, seed: int = 0) -> Passages:
    """Returns the passages of documents of some lengths and labels; all ids differ."""
    ends = np.cumsum([size for size, _ in sizes]).tolist()
    stretches = [
        Stretch(end - size, end, label, is_closed=True) for end, (size, label) in zip(ends, sizes, strict=True)
    ]
    excerpt = Excerpt(np.arange(ends[-1], dtype=np.uint16), Stretches(stretches), BEGIN, END)
    return Passages(excerpt, batch_size=batch_size, length=length, seed=seed)


def epoch(passages: Passages, number: int) -> list[PassageBatch]:
    return [passages.batch(number, window) for window in range(passages.num_windows(number))]


documents = st.lists(st.tuples(st.integers(0, 13), st.integers(1, 3)), min_size=1, max_size=20)


@given(documents, st.integers(1, 5), st.integers(1, 9), st.integers(0, 3))
def test_every_id_is_read_once_an_epoch_with_its_label(
    sizes: list[tuple[int, int]], batch_size: int, length: int, number: int
) -> None:
    passages = new_passages(sizes, batch_size=batch_size, length=length)
    found: list[tuple[int, int]] = []
    for batch in epoch(passages, number):
        assert batch.tokens.shape[0] == batch_size
        for tokens, size, label, weight in zip(*batch.arrays(), strict=True):
            assert tokens[0] == BEGIN
            assert size <= length + 1
            found += [(int(token), int(label) + 1) for token in tokens[1:size] if weight]

    wanted, at = [], 0
    for size, label in sizes:
        wanted += [(token, label) for token in range(at, at + size)]
        at += size
    assert sorted(found) == wanted


@given(documents, st.integers(1, 5))
def test_counts_are_those_of_the_rows_that_hold_a_passage(sizes: list[tuple[int, int]], batch_size: int) -> None:
    for batch in epoch(new_passages(sizes, batch_size=batch_size), 0):
        assert batch.num_targets == (batch.weights > 0).sum()
        assert batch.num_tokens == batch.lengths[batch.weights > 0].sum()
        assert (batch.lengths >= 1).all()


def test_batch_depends_on_seed_epoch_and_number_alone() -> None:
    sizes = [(11, 1), (3, 2), (9, 1), (2, 2), (5, 1)]
    first, again, other = new_passages(sizes), new_passages(sizes), new_passages(sizes, seed=1)
    whole = epoch(first, 5)

    assert all(np.array_equal(a, b) for a, b in zip(whole[2].arrays(), again.batch(5, 2).arrays(), strict=True))
    assert any(not np.array_equal(a.tokens, b.tokens) for a, b in zip(whole, epoch(other, 5), strict=False))


def test_epochs_cut_a_document_at_other_offsets() -> None:
    passages = new_passages([(40, 1)], length=10)

    starts = {
        frozenset(int(tokens[1]) for batch in epoch(passages, number) for tokens in batch.tokens) for number in range(5)
    }

    assert len(starts) > 1


def test_passages_of_a_batch_have_similar_lengths() -> None:
    rng = np.random.default_rng(0)
    passages = new_passages([(int(size), 1) for size in rng.integers(1, 101, 640)], batch_size=16, length=100)

    batches = epoch(passages, 0)

    share = sum(batch.num_tokens for batch in batches) / sum(batch.tokens.size for batch in batches)
    assert share > 0.9


def test_class_weights_become_the_weights_of_rows() -> None:
    stretches = Stretches([Stretch(n, n + 1, 1 + n % 2, is_closed=True) for n in range(6)])
    excerpt = Excerpt(np.arange(6, dtype=np.uint8), stretches, 6, 7)
    weights = np.array([0.5, 2.0], np.float32)

    batch = Passages(excerpt, batch_size=6, length=3, seed=0, class_weights=weights).batch(0, 0)

    assert batch.weights.tolist() == pytest.approx(weights[batch.labels].tolist())
