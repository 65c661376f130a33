"""Splits of a corpus into training, validation and test."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gen.data import indices
from gen.data import split as corpus
from gen.data.split import Split, evenly, split, whole
from gen.data.stretches import Stretch, Stretches
from gen.errors import SettingError

lengths_of_documents = st.lists(st.integers(1, 50), min_size=1, max_size=60)
fractions = st.sampled_from([0.01, 0.1, 0.25, 0.5, 0.9])


def split_documents(
    lengths: list[int],
    *,
    valid_fraction: float = 0.1,
    test_fraction: float = 0.0,
    seed: int = 0,
    twins: list[int] | None = None,
) -> Split:
    """Splits documents of these lengths; document k has the label k."""
    starts = np.cumsum([0, *lengths])
    labels = np.arange(len(lengths), dtype=np.int32)
    equals = None if twins is None else np.array(twins)
    return split(starts, labels, valid_fraction=valid_fraction, test_fraction=test_fraction, seed=seed, twins=equals)


def drawn_one_by_one(twins: list[int], wanted: int, seed: int) -> set[int]:
    """Returns the documents of the validation part: groups of equal documents in random order, while there is room."""
    groups, sizes = np.unique(twins, return_counts=True)
    order = torch.randperm(len(groups), generator=torch.Generator().manual_seed(seed)).tolist()
    drawn: list[int] = []
    for group in order:
        if len(drawn) + sizes[group] <= wanted:
            drawn += [place for place, twin in enumerate(twins) if twin == groups[group]]
    if not drawn:
        smallest = int(np.argmin(sizes))
        drawn = [place for place, twin in enumerate(twins) if twin == groups[smallest]]
    return set(drawn) if len(groups) > 1 else set()


@pytest.mark.parametrize("length", [10, 11, 1115394])
def test_one_text_is_cut_where_nanogpt_cuts_it(length: int) -> None:
    parts = split_documents([length])
    cut = int(length * 0.9)
    assert parts.train == (Stretch(0, cut, 0, is_closed=False),)
    assert parts.valid == (Stretch(cut, length, 0, is_closed=True),)


def test_each_of_a_few_documents_gives_its_last_tenth() -> None:
    parts = split_documents([100, 50])
    assert parts.train == (Stretch(0, 90, 0, is_closed=False), Stretch(100, 145, 1, is_closed=False))
    assert parts.valid == (Stretch(90, 100, 0, is_closed=True), Stretch(145, 150, 1, is_closed=True))


def test_of_many_documents_whole_ones_are_drawn() -> None:
    parts = split_documents([7] * 40)
    assert (len(parts.train), len(parts.valid)) == (36, 4)
    assert all(stretch.is_closed and stretch.stop - stretch.start == 7 for stretch in (*parts.train, *parts.valid))


def test_at_least_one_document_is_drawn() -> None:
    assert len(split_documents([5] * 20, valid_fraction=0.01).valid) == 1


def test_the_seed_alone_decides_what_is_drawn() -> None:
    assert split_documents([5] * 50, seed=3) == split_documents([5] * 50, seed=3)
    assert len({split_documents([5] * 50, seed=seed).valid for seed in range(5)}) == 5


@given(lengths_of_documents, fractions, st.integers(0, 3))
def test_every_id_is_in_exactly_one_part_with_its_document_s_label(
    lengths: list[int], valid_fraction: float, seed: int
) -> None:
    parts = split_documents(lengths, valid_fraction=valid_fraction, seed=seed)
    owners = np.repeat(np.arange(len(lengths)), lengths)
    times = np.zeros(sum(lengths), int)
    for stretch in (*parts.train, *parts.valid):
        assert stretch.start < stretch.stop
        assert set(owners[stretch.start : stretch.stop]) == {stretch.label}
        times[stretch.start : stretch.stop] += 1
    assert (times == 1).all()
    assert parts.valid


@given(st.lists(st.integers(0, 9), min_size=20, max_size=60), fractions, st.integers(0, 3))
def test_equal_documents_fall_on_the_same_side(contents: list[int], valid_fraction: float, seed: int) -> None:
    twins = [contents.index(content) for content in contents]
    parts = split_documents([5] * len(contents), valid_fraction=valid_fraction, seed=seed, twins=twins)
    train, valid = ({contents[stretch.label] for stretch in part} for part in (parts.train, parts.valid))
    assert train
    assert train | valid == set(contents)
    assert not train & valid
    assert bool(valid) == (len(set(contents)) > 1)


@pytest.mark.parametrize("chunk", [3, 1 << 20])
@given(st.lists(st.integers(0, 30), min_size=20, max_size=90), fractions, st.integers(0, 3))
def test_whole_documents_are_drawn_as_one_by_one(
    chunk: int, contents: list[int], valid_fraction: float, seed: int
) -> None:
    twins = [contents.index(content) for content in contents]
    wanted = min(max(round(valid_fraction * len(twins)), 1), len(twins) - 1)
    with pytest.MonkeyPatch.context() as patch:
        for module in (corpus, indices):
            patch.setattr(module, "CHUNK", chunk)
        parts = split_documents([5] * len(twins), valid_fraction=valid_fraction, seed=seed, twins=twins)
    drawn = drawn_one_by_one(twins, wanted, seed)
    assert [stretch.label for stretch in parts.valid] == sorted(drawn)
    assert [stretch.label for stretch in parts.train] == sorted(set(range(len(twins))) - drawn)


def test_a_test_part_follows_the_validation_in_each_of_a_few_documents() -> None:
    parts = split_documents([100], valid_fraction=0.1, test_fraction=0.2)
    assert parts.train == (Stretch(0, 70, 0, is_closed=False),)
    assert parts.valid == (Stretch(70, 80, 0, is_closed=False),)
    assert parts.test == (Stretch(80, 100, 0, is_closed=True),)
    assert split_documents([100], valid_fraction=0, test_fraction=0.2).train == (Stretch(0, 80, 0, is_closed=False),)


@given(st.lists(st.integers(0, 30), min_size=30, max_size=90), fractions, st.integers(0, 3))
def test_a_test_part_is_drawn_beside_the_same_validation(contents: list[int], test_fraction: float, seed: int) -> None:
    valid_fraction = 0.05
    twins = [contents.index(content) for content in contents]
    parts = split_documents(
        [5] * len(twins), valid_fraction=valid_fraction, test_fraction=test_fraction, seed=seed, twins=twins
    )
    alone = split_documents([5] * len(twins), valid_fraction=valid_fraction, seed=seed, twins=twins)
    assert parts.valid == alone.valid
    documents = [stretch.label for part in (parts.train, parts.valid, parts.test) for stretch in part]
    assert sorted(documents) == list(range(len(twins)))
    train, valid, test = ({contents[s.label] for s in part} for part in (parts.train, parts.valid, parts.test))
    assert train
    assert not train & valid
    assert not (train | valid) & test
    assert bool(test) == (len(set(contents)) > 2)


@pytest.mark.parametrize(("valid_fraction", "test_fraction"), [(0.5, 0.5), (0.1, 0.95), (0.1, 1.0), (0.1, -0.1)])
def test_shares_that_leave_nothing_to_train_on_are_refused(valid_fraction: float, test_fraction: float) -> None:
    with pytest.raises(SettingError, match="--test"):
        split_documents([10], valid_fraction=valid_fraction, test_fraction=test_fraction)


def test_copies_of_one_document_are_all_trained_on() -> None:
    parts = split_documents([5] * 30, twins=[0] * 30, test_fraction=0.1)
    assert len(parts.train) == 30
    assert not parts.valid
    assert not parts.test


def test_copies_of_one_document_of_a_label_are_all_trained_on() -> None:
    labels, twins = np.array([1, 2] * 20, np.int32), np.arange(40) % 2
    twins[-2:] = 38, 39  # a second document of each label

    parts = split(np.arange(41), labels, valid_fraction=0.5, seed=0, twins=twins, is_stratified=True)

    assert sorted(stretch.start for stretch in parts.valid) == [38, 39]


def test_a_fraction_of_0_leaves_no_validation() -> None:
    parts = split_documents([10, 20], valid_fraction=0)
    assert parts == Split(whole(np.array([0, 10, 30]), np.array([0, 1], np.int32)), Stretches(), Stretches())
    assert all(stretch.is_closed for stretch in parts.train)


@pytest.mark.parametrize("valid_fraction", [-0.1, 1.0, 1.5, float("nan")])
def test_a_fraction_out_of_range_is_refused(valid_fraction: float) -> None:
    with pytest.raises(SettingError, match="--valid: must be at least 0 and below 1"):
        split_documents([10], valid_fraction=valid_fraction)


def test_validation_while_training_reads_an_even_part_of_a_long_text() -> None:
    part = evenly(Stretches([Stretch(0, 1 << 20, 0, True)]), 1 << 16, window=1024)

    assert sum(piece.stop - piece.start for piece in part) == 1 << 16
    assert part[-1].start > 0.9 * (1 << 20)


@given(
    lengths=st.lists(st.integers(0, 4000), min_size=1, max_size=30),
    max_tokens=st.integers(1, 20_000),
    chunk=st.sampled_from([3, 1 << 20]),
)
def test_an_even_part_is_every_nth_window_of_all(lengths: list[int], max_tokens: int, chunk: int) -> None:
    stops = np.cumsum(lengths).tolist()
    stretches = [Stretch(stop - n, stop, n % 3, n % 2 == 0) for stop, n in zip(stops, lengths, strict=True)]
    windows = [
        Stretch(start, min(start + 1024, s.stop), s.label, s.is_closed and start + 1024 >= s.stop)
        for s in stretches
        for start in range(s.start, s.stop, 1024)
    ]
    expected = windows[:: math.ceil(stops[-1] / max_tokens)] if stops[-1] > max_tokens else stretches
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gen.data.stretches.CHUNK", chunk)
        assert evenly(Stretches(stretches), max_tokens, window=1024) == tuple(expected)


@given(st.lists(st.integers(0, 3), min_size=20, max_size=60), st.integers(0, 5))
def test_a_stratified_split_holds_for_each_label(labels: list[int], seed: int) -> None:
    starts = np.arange(len(labels) + 1)
    parts = split(
        starts, np.array(labels, np.int32), valid_fraction=0.2, test_fraction=0.1, seed=seed, is_stratified=True
    )

    for label in set(labels):
        counts = [sum(stretch.label == label for stretch in part) for part in (parts.train, parts.valid, parts.test)]
        total = labels.count(label)
        assert sum(counts) == total
        assert counts[0] >= 1
        assert counts[1] == min(max(1, round(0.2 * total)), total - 1)


def test_equal_documents_of_a_label_stay_together_in_a_stratified_split() -> None:
    labels = np.array([1, 2] * 20, np.int32)
    twins = np.arange(40) % 8  # five copies of eight documents

    parts = split(np.arange(41), labels, valid_fraction=0.25, seed=1, twins=twins, is_stratified=True)

    of_valid = {stretch.start % 8 for stretch in parts.valid}
    assert len(parts.valid) == 10
    assert of_valid.isdisjoint(stretch.start % 8 for stretch in parts.train)


@pytest.mark.parametrize("num_documents", [1, 2, 3, 19])
def test_few_documents_are_not_cut_where_that_is_asked_for(num_documents: int) -> None:
    starts = np.arange(num_documents + 1) * 100
    labels = np.zeros(num_documents, np.int32)

    parts = split(starts, labels, valid_fraction=0.1, seed=0, is_of_whole_documents=True)

    assert len(parts.valid) == min(max(1, round(0.1 * num_documents)), num_documents - 1)
    assert sorted([*parts.train, *parts.valid]) == list(whole(starts, labels))
