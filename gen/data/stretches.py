"""Stretches of documents as a table: a sequence of tuples to read, columns to count with.

There may be tens of millions, each a line of a file. So they are kept as columns, and a choice of them as their places
in these; whole documents share the columns of their store, which stay on disk until they are read.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from gen.codec import IdArray
from gen.data.indices import CHUNK, IndexArray, index_type
from gen.data.mapped import let_go


class Stretch(NamedTuple):
    """A stretch of a document: ids[start:stop]."""

    start: int
    stop: int
    label: int  # 0 for none
    is_closed: bool  # the document really ends there, so `end` is what comes next


class Columns(NamedTuple):
    """Stretches by their fields, (S,) each; not to be modified."""

    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    labels: NDArray[np.int32]
    is_closed: NDArray[np.bool_]

    @property
    def num_targets(self) -> NDArray[np.int64]:
        """How many tokens of each there are to predict, the ends of documents among them."""
        return self.stops - self.starts + self.is_closed

    def take(self, places: IndexArray | slice) -> "Columns":
        """Returns some of them, in the shape of the places."""
        return Columns(self.starts[places], self.stops[places], self.labels[places], self.is_closed[places])


class Stretches(Sequence[Stretch]):
    """Stretches, equal to the tuple of them.

    Args:
        stretches: stretches, or columns, which are not copied.
        places: of those columns that are meant, in their order; None for all.
    """

    __slots__ = ("_columns", "_places")

    def __init__(self, stretches: Iterable[Stretch] | Columns = (), places: IndexArray | None = None) -> None:
        self._places = places
        if isinstance(stretches, Columns):
            self._columns = stretches
        elif isinstance(stretches, Stretches):
            self._columns, self._places = stretches._columns, stretches._places
        else:
            rows = np.array(list(stretches), np.int64).reshape(-1, 4).T
            self._columns = Columns(rows[0], rows[1], rows[2].astype(np.int32), rows[3].astype(np.bool_))

    def __len__(self) -> int:
        return len(self._columns.starts if self._places is None else self._places)

    @overload
    def __getitem__(self, place: int) -> Stretch: ...
    @overload
    def __getitem__(self, place: slice) -> "Stretches": ...
    def __getitem__(self, place: int | slice) -> "Stretch | Stretches":
        if isinstance(place, slice):
            if self._places is None:
                return Stretches(self._columns.take(place))
            return Stretches(self._columns, self._places[place])
        at = place if self._places is None else self._places[place]
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
        """How many tokens of all there are to predict, the ends of documents among them."""
        return sum(int(columns.num_targets.sum()) for columns in self.chunks())

    @property
    def num_tokens(self) -> int:
        """How many ids all have."""
        return sum(int((columns.stops - columns.starts).sum()) for columns in self.chunks())

    @property
    def num_closed(self) -> int:
        """How many end where their document does."""
        return sum(int(columns.is_closed.sum()) for columns in self.chunks())

    @property
    def lengths(self) -> IndexArray:
        """(S,) how many ids each has, in a narrow type."""
        return _narrow(columns.stops - columns.starts for columns in self.chunks())

    @property
    def target_counts(self) -> IndexArray:
        """(S,) how many tokens of each there are to predict, in a narrow type."""
        return _narrow(columns.num_targets for columns in self.chunks())

    def read(self, ids: IdArray) -> Iterator[IdArray]:
        """Yields the ids of the stretches in order, those of many short ones at a time, long ones in parts."""
        for columns in self.chunks(size=1 << 12):
            ends = np.cumsum(columns.stops - columns.starts)
            if ends[-1] <= CHUNK:
                yield ids[np.arange(ends[-1]) + np.repeat(columns.stops - ends, columns.stops - columns.starts)]
            else:
                for start, stop in zip(columns.starts.tolist(), columns.stops.tolist(), strict=True):
                    yield from (ids[at : min(at + CHUNK, stop)] for at in range(start, stop, CHUNK))
            let_go(ids)

    def columns(self, places: IndexArray | slice = slice(None)) -> Columns:
        """Returns the stretches at some places of the sequence, in the shape of these."""
        return self._columns.take(places if self._places is None else self._places[places])

    def chunks(self, *, size: int | None = None) -> Iterator[Columns]:
        """Yields all stretches in order, so many at a time."""
        size = size or CHUNK
        for start in range(0, len(self), size):
            yield self.columns(slice(start, start + size))
            for column in self._columns:
                let_go(column)

    def take(self, places: IndexArray) -> "Stretches":
        """Returns the stretches at some places of the sequence."""
        return Stretches(self._columns, places if self._places is None else self._places[places])


def _narrow(parts: Iterable[NDArray[np.int64]]) -> IndexArray:
    """Joins parts in the narrowest type that holds them all."""
    found = [part.astype(index_type(int(part.max(initial=0)) + 1)) for part in parts]
    return np.concatenate(found) if found else np.empty(0, np.int32)
