"""Stretches of documents, stored as a table: they are read as a sequence of tuples or as columns.

There may be tens of millions of stretches, such as the lines of a file. So a table holds columns, and a selection holds
indices into them. Whole documents share the columns of their store, which stay on disk until they are read.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from gen.codec import IdArray
from gen.data.indices import CHUNK, IndexArray, index_type, indices_where
from gen.data.mapped import let_go


class Stretch(NamedTuple):
    """A document of a corpus, or the part of one that training or validation reads: ids[start:stop]."""

    start: int
    stop: int
    label: int  # 0 for none
    is_closed: bool  # whether the document ends at `stop`, so that `end` is its last target


class Columns(NamedTuple):
    """The fields of S stretches as (S,) arrays, not to be modified."""

    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    labels: NDArray[np.int32]
    is_closed: NDArray[np.bool_]

    @property
    def num_targets(self) -> NDArray[np.int64]:
        """(S,) the number of targets of each stretch: its ids, and `end` if it is closed."""
        return self.stops - self.starts + self.is_closed

    def take(self, indices: IndexArray | slice) -> "Columns":
        """Returns the stretches at some indices, as arrays in the shape of the indices."""
        return Columns(self.starts[indices], self.stops[indices], self.labels[indices], self.is_closed[indices])


class Stretches(Sequence[Stretch]):
    """A sequence of stretches; it equals a tuple with the same stretches.

    Args:
        stretches: stretches, or their columns, which are not copied.
        indices: the indices of the columns that belong to the sequence, in its order; None for all.
    """

    __slots__ = ("_columns", "_indices")

    def __init__(self, stretches: Iterable[Stretch] | Columns = (), indices: IndexArray | None = None) -> None:
        self._indices = indices
        if isinstance(stretches, Columns):
            self._columns = stretches
        elif isinstance(stretches, Stretches):
            self._columns, self._indices = stretches._columns, stretches._indices
        else:
            rows = np.array(list(stretches), np.int64).reshape(-1, 4).T
            self._columns = Columns(rows[0], rows[1], rows[2].astype(np.int32), rows[3].astype(np.bool_))

    def __len__(self) -> int:
        return len(self._columns.starts if self._indices is None else self._indices)

    @overload
    def __getitem__(self, index: int) -> Stretch: ...
    @overload
    def __getitem__(self, index: slice) -> "Stretches": ...
    def __getitem__(self, index: int | slice) -> "Stretch | Stretches":
        if isinstance(index, slice):
            if self._indices is None:
                return Stretches(self._columns.take(index))
            return Stretches(self._columns, self._indices[index])
        at = index if self._indices is None else self._indices[index]
        return Stretch._make(column[at].item() for column in self._columns)

    def __iter__(self) -> Iterator[Stretch]:
        for columns in self.chunks(size=1 << 12):
            yield from map(Stretch._make, zip(*(column.tolist() for column in columns), strict=True))

    def __eq__(self, other: object) -> bool:
        return tuple(self) == (tuple(other) if isinstance(other, Stretches) else other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))

    @property
    def num_targets(self) -> int:
        """The number of targets of all stretches."""
        return sum(int(columns.num_targets.sum()) for columns in self.chunks())

    @property
    def num_tokens(self) -> int:
        """The number of ids of all stretches."""
        return sum(int((columns.stops - columns.starts).sum()) for columns in self.chunks())

    @property
    def num_closed(self) -> int:
        """The number of stretches that end with their document."""
        return sum(int(columns.is_closed.sum()) for columns in self.chunks())

    @property
    def lengths(self) -> IndexArray:
        """(S,) the number of ids of each stretch, in the narrowest type."""
        return _narrow(columns.stops - columns.starts for columns in self.chunks())

    @property
    def target_counts(self) -> IndexArray:
        """(S,) the number of targets of each stretch, in the narrowest type."""
        return _narrow(columns.num_targets for columns in self.chunks())

    def read(self, ids: IdArray) -> Iterator[IdArray]:
        """Yields the ids of all stretches in order: many short stretches at a time, long ones in parts."""
        for columns in self.chunks(size=1 << 12):
            ends = np.cumsum(columns.stops - columns.starts)
            if ends[-1] <= CHUNK:
                yield ids[np.arange(ends[-1]) + np.repeat(columns.stops - ends, columns.stops - columns.starts)]
            else:
                for start, stop in zip(columns.starts.tolist(), columns.stops.tolist(), strict=True):
                    yield from (ids[at : min(at + CHUNK, stop)] for at in range(start, stop, CHUNK))
            let_go(ids)

    def columns(self, indices: IndexArray | slice = slice(None)) -> Columns:
        """Returns the columns of the stretches at some indices of the sequence."""
        return self._columns.take(indices if self._indices is None else self._indices[indices])

    def chunks(self, *, size: int | None = None) -> Iterator[Columns]:
        """Yields all stretches in order, at most `size` at a time."""
        size = size or CHUNK
        for start in range(0, len(self), size):
            yield self.columns(slice(start, start + size))
            for column in self._columns:
                let_go(column)

    def labelled(self) -> "Stretches":
        """Returns the stretches that have a label."""
        has_label = [columns.labels > 0 for columns in self.chunks()]
        return self.take(indices_where(np.concatenate([np.empty(0, np.bool_), *has_label])))

    def take(self, indices: IndexArray) -> "Stretches":
        """Returns the stretches at some indices of the sequence."""
        return Stretches(self._columns, indices if self._indices is None else self._indices[indices])


def _narrow(parts: Iterable[NDArray[np.int64]]) -> IndexArray:
    """Joins parts, in the narrower of int32 and int64 that holds them all."""
    found = [part.astype(index_type(int(part.max(initial=0)) + 1)) for part in parts]
    return np.concatenate(found) if found else np.empty(0, np.int32)
