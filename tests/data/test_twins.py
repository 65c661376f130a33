"""Equal documents are found by their hashes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gen.data import twins
from gen.data.twins import DocumentHashes, first_equals

documents = st.lists(st.lists(st.integers(0, 2), max_size=6), min_size=1, max_size=30)


def naive(values: list[list[int]]) -> list[int]:
    return [values.index(value) for value in values]


@pytest.mark.parametrize("block", [1, 4, 1 << 15])
@given(values=documents, size=st.integers(1, 9))
def test_equal_documents_have_equal_hashes_whatever_parts_they_come_in(
    block: int, values: list[list[int]], size: int
) -> None:
    ids = np.array([token for value in values for token in value], np.uint8)
    ends = np.cumsum([len(value) for value in values])
    hashes = DocumentHashes()
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(twins, "_BLOCK", block)
        for start in range(0, len(ids) + 1, size):
            is_here = (ends >= start) & (ends < start + size)
            found += hashes.push(ids[start : start + size], ends[is_here] - start).tolist()

    assert first_equals(np.array(found, np.uint64)).tolist() == naive(values)


@given(values=st.lists(st.integers(0, 20), min_size=1, max_size=60), bucket=st.integers(1, 9))
def test_the_first_equal_is_found_in_every_bucket(values: list[int], bucket: int) -> None:
    hashes = np.random.default_rng(0).integers(0, 1 << 64, 21, np.uint64)[values]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(twins, "_BUCKET", bucket)
        assert first_equals(hashes).tolist() == [values.index(value) for value in values]


def test_equals_are_found_beside_a_hash_that_differs_in_its_last_bit() -> None:
    hashes = np.array([1 << 40, 1 << 40 | 1, 1 << 40, 1 << 40 | 1], np.uint64)
    assert first_equals(hashes).tolist() == [0, 1, 0, 1]


def test_a_zero_at_the_end_makes_another_document() -> None:
    found = DocumentHashes().push(np.array([1, 1, 0, 0, 1], np.uint16), np.array([1, 3, 3, 5]))
    assert len(set(found.tolist())) == 4
