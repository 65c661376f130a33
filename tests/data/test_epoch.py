"""The order of an epoch equals that of the naive version, draw for draw."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gen.data import epoch, indices
from gen.data import stretches as stretches_module
from gen.data.epoch import order_epoch
from gen.data.stretches import Stretch, Stretches
from tests.data.naive_order import Dealt, naive_order, targets


def order(stretches: list[Stretch], batch_size: int, bptt: int, rng: np.random.Generator) -> list[Dealt]:
    laid = order_epoch(Stretches(stretches), sum(map(targets, stretches)), batch_size, bptt, rng)
    found: list[Dealt] = []
    bounds = laid._bounds.tolist()
    for row, (start, stop) in enumerate(itertools.pairwise(bounds)):
        at = np.arange(start, stop)
        columns = (*laid.segments(at), laid.is_cut(at), np.full(len(at), row), laid.first_windows(at))
        found += map(Dealt._make, zip(*(column.tolist() for column in columns), strict=True))
    return found


stretch_lists = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 2), st.booleans()).filter(lambda drawn: drawn[0] + drawn[2] > 0),
    min_size=1,
    max_size=40,
).map(
    lambda drawn: [Stretch(100 * n, 100 * n + length, label, closed) for n, (length, label, closed) in enumerate(drawn)]
)


@pytest.mark.parametrize("chunk", [3, 1 << 20])
@given(stretches=stretch_lists, batch_size=st.integers(1, 9), bptt=st.integers(1, 30), seed=st.integers(0, 3))
def test_segments_rows_and_labels_are_those_of_the_naive_version(
    chunk: int, stretches: list[Stretch], batch_size: int, bptt: int, seed: int
) -> None:
    ours, theirs = np.random.default_rng(seed), np.random.default_rng(seed)
    with pytest.MonkeyPatch.context() as patch:
        for module, name in (
            (epoch, "CHUNK"),
            (stretches_module, "CHUNK"),
            (indices, "CHUNK"),
            (epoch, "_DEALT_AT_ONCE"),
        ):
            patch.setattr(module, name, chunk)
        assert order(stretches, batch_size, bptt, ours) == naive_order(stretches, batch_size, bptt, theirs)
    assert ours.random() == theirs.random()


@pytest.mark.parametrize("lengths", [[7] * 5000, [900_000, *[30] * 3000], list(range(1, 2000)), [5000, 5000, 10]])
@pytest.mark.parametrize("batch_size", [1, 32, 100])
def test_many_short_and_few_long_documents_are_dealt_as_one_by_one(lengths: list[int], batch_size: int) -> None:
    stops = np.cumsum(lengths).tolist()
    stretches = [Stretch(stop - n, stop, 1, True) for stop, n in zip(stops, lengths, strict=True)]
    ours, theirs = np.random.default_rng(1), np.random.default_rng(1)
    assert order(stretches, batch_size, 16, ours) == naive_order(stretches, batch_size, 16, theirs)


@given(stretches=stretch_lists, batch_size=st.integers(1, 6), windows=st.lists(st.integers(0, 30), min_size=1))
def test_the_segment_that_a_row_reads_is_found(stretches: list[Stretch], batch_size: int, windows: list[int]) -> None:
    rng = np.random.default_rng(0)
    laid = order_epoch(Stretches(stretches), sum(map(targets, stretches)), batch_size, 7, rng)
    for window, found in zip(windows, laid.find(np.array(windows)), strict=True):
        for row, index in enumerate(found.tolist()):
            start, stop = laid._bounds[row : row + 2]
            firsts = laid.first_windows(np.arange(start, stop))
            if window < laid.row_lengths[row]:
                assert index - start == np.flatnonzero(firsts <= window)[-1]
