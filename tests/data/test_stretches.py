"""A table of stretches behaves as a tuple of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gen.data import indices, stretches
from gen.data.indices import grouped, indices_where, looked_up
from gen.data.stretches import Stretch, Stretches

rows = st.lists(
    st.builds(
        lambda start, length, label, closed: Stretch(start, start + length, label, closed),
        st.integers(0, 50),
        st.integers(0, 9),
        st.integers(0, 3),
        st.booleans(),
    ),
    max_size=12,
)


@given(rows, st.slices(12), st.lists(st.integers(0, 11)))
def test_a_table_is_read_like_a_tuple(listed: list[Stretch], part: slice, some: list[int]) -> None:
    table = Stretches(listed)
    assert table == tuple(listed)
    assert table[part] == tuple(listed[part])
    chosen = [place for place in some if place < len(listed)]
    taken = table.take(np.array(chosen, np.int32))
    assert taken == tuple(listed[place] for place in chosen)
    assert taken[part] == tuple(listed[place] for place in chosen[part])
    assert [taken[n] for n in range(len(taken))] == list(taken)
    assert Stretches(taken).columns(slice(1)).starts.tolist() == [stretch.start for stretch in taken[:1]]


@pytest.mark.parametrize("chunk", [2, 1 << 20])
@given(rows)
def test_what_is_counted_is_counted_of_all(chunk: int, listed: list[Stretch]) -> None:
    ids = np.arange(60, dtype=np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stretches, "CHUNK", chunk)
        table = Stretches(listed)
        lengths = [stretch.stop - stretch.start for stretch in listed]
        assert table.lengths.tolist() == lengths
        assert table.target_counts.tolist() == [n + s.is_closed for n, s in zip(lengths, listed, strict=True)]
        assert (table.num_tokens, table.num_targets) == (sum(lengths), int(table.target_counts.sum()))
        assert table.num_closed == sum(stretch.is_closed for stretch in listed)
        read = [token for part in table.read(ids) for token in part.tolist()]
        assert read == [token for stretch in listed for token in range(stretch.start, stretch.stop)]


@pytest.mark.parametrize("chunk", [1, 3, 1 << 20])
@given(st.lists(st.integers(0, 5), max_size=40))
def test_indices_are_found_grouped_and_looked_up_as_if_at_once(chunk: int, keys: list[int]) -> None:
    values = np.array(keys, np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(indices, "CHUNK", chunk)
        assert indices_where(values > 2).tolist() == np.flatnonzero(values > 2).tolist()
        assert grouped(np.arange(len(values)), values).tolist() == np.argsort(values, kind="stable").tolist()
        assert looked_up(np.arange(6) * 7, values).tolist() == (values * 7).tolist()
