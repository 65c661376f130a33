"""How a corpus is split into training and validation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gen.data.corpus import Split, Stretch, split, whole
from gen.errors import SettingError

lengths_of_documents = st.lists(st.integers(1, 50), min_size=1, max_size=60)
fractions = st.sampled_from([0.01, 0.1, 0.25, 0.5, 0.9])


def split_documents(
    lengths: list[int], *, valid_fraction: float = 0.1, seed: int = 0, twins: list[int] | None = None
) -> Split:
    """Splits documents of these lengths; document k has the label k."""
    starts = np.cumsum([0, *lengths])
    labels = np.arange(len(lengths), dtype=np.int32)
    return split(starts, labels, valid_fraction=valid_fraction, seed=seed, twins=twins)


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
    assert parts.train
    assert parts.valid
    if len(set(contents)) > 1:
        train, valid = ({contents[stretch.label] for stretch in part} for part in (parts.train, parts.valid))
        assert not train & valid


def test_copies_of_one_document_are_split_all_the_same() -> None:
    parts = split_documents([5] * 30, twins=[0] * 30)
    assert parts.train
    assert parts.valid


def test_a_fraction_of_0_leaves_no_validation() -> None:
    parts = split_documents([10, 20], valid_fraction=0)
    assert parts == Split(whole(np.array([0, 10, 30]), np.array([0, 1], np.int32)), ())
    assert all(stretch.is_closed for stretch in parts.train)


@pytest.mark.parametrize("valid_fraction", [-0.1, 1.0, 1.5, float("nan")])
def test_a_fraction_out_of_range_is_refused(valid_fraction: float) -> None:
    with pytest.raises(SettingError, match="--valid: must be at least 0 and below 1"):
        split_documents([10], valid_fraction=valid_fraction)
