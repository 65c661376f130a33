"""Arrays of tens of millions of indices, handled in little more memory than the indices themselves take."""

from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

CHUNK: Final = 1 << 20  # elements that are handled at once

IndexArray = NDArray[np.signedinteger]
Element = TypeVar("Element", bound=np.generic)


def indices_where(mask: NDArray[np.bool_]) -> IndexArray:
    """Returns the indices at which a mask is set, as `np.flatnonzero` does, in the type that `index_type` gives."""
    found = np.empty(np.count_nonzero(mask), index_type(len(mask)))
    done = 0
    for start in range(0, len(mask), CHUNK):
        here = np.flatnonzero(mask[start : start + CHUNK])
        found[done : done + len(here)] = here + start
        done += len(here)
    return found


def looked_up(table: NDArray[Element], indices: IndexArray) -> NDArray[Element]:
    """Returns the elements of a table at (N,) indices."""
    found = np.empty(len(indices), table.dtype)
    for start in range(0, len(indices), CHUNK):  # numpy widens all indices that it is given at once to 64 bits
        found[start : start + CHUNK] = table[indices[start : start + CHUNK]]
    return found


def index_type(count: int) -> np.dtype[np.signedinteger]:
    """Returns int32 if it holds the indices of `count` elements, else int64."""
    return np.dtype(np.int32 if count < 1 << 31 else np.int64)


def grouped(items: IndexArray, keys: NDArray[np.integer]) -> IndexArray:
    """Returns (N,) items sorted by their (N,) keys, which are small and not negative; the sort is stable.

    Many items are sorted by counting, chunk by chunk: to sort them at once would take several times their memory.
    """
    num_keys = int(keys.max(initial=0)) + 1
    if len(items) <= max(CHUNK, num_keys):
        return items[np.argsort(keys, kind="stable")]
    parts = [slice(start, start + CHUNK) for start in range(0, len(items), CHUNK)]
    following = np.zeros(num_keys, np.int64)
    for part in parts:
        following += np.bincount(keys[part], minlength=num_keys)
    following = np.cumsum(following) - following  # the index in `found` of the next item of each key
    found = np.empty_like(items)
    for part in parts:
        order = np.argsort(keys[part], kind="stable")
        counts = np.bincount(keys[part], minlength=num_keys)
        found[np.arange(len(order)) + np.repeat(following - (np.cumsum(counts) - counts), counts)] = items[part][order]
        following += counts
    return found
