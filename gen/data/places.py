"""The places of tens of millions of things, in little more memory than the places themselves take."""

from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

CHUNK: Final = 1 << 20  # things that are looked at at once

PlaceArray = NDArray[np.signedinteger]
Element = TypeVar("Element", bound=np.generic)


def places_where(mask: NDArray[np.bool_]) -> PlaceArray:
    """Returns where a mask is set, in a type as narrow as its length allows and in no more memory."""
    found = np.empty(np.count_nonzero(mask), place_type(len(mask)))
    done = 0
    for start in range(0, len(mask), CHUNK):
        here = np.flatnonzero(mask[start : start + CHUNK])
        found[done : done + len(here)] = here + start
        done += len(here)
    return found


def looked_up(table: NDArray[Element], places: PlaceArray) -> NDArray[Element]:
    """Returns what stands in a table at (N,) places."""
    found = np.empty(len(places), table.dtype)
    for start in range(0, len(places), CHUNK):  # indexed at once, the places would first be made as wide as pointers
        found[start : start + CHUNK] = table[places[start : start + CHUNK]]
    return found


def place_type(count: int) -> np.dtype[np.signedinteger]:
    """Returns the narrower of two types that holds the places of so many."""
    return np.dtype(np.int32 if count < 1 << 31 else np.int64)


def grouped(items: PlaceArray, keys: NDArray[np.integer]) -> PlaceArray:
    """Returns (N,) items in ascending order of their (N,) keys, which are small and not negative; equal ones as before.

    Many are counted, not sorted at once, which would take several times their memory.
    """
    num_keys = int(keys.max(initial=0)) + 1
    if len(items) <= max(CHUNK, num_keys):
        return items[np.argsort(keys, kind="stable")]
    parts = [slice(start, start + CHUNK) for start in range(0, len(items), CHUNK)]
    following = np.zeros(num_keys, np.int64)
    for part in parts:
        following += np.bincount(keys[part], minlength=num_keys)
    following = np.cumsum(following) - following  # where the next item of each key goes
    found = np.empty_like(items)
    for part in parts:
        order = np.argsort(keys[part], kind="stable")
        counts = np.bincount(keys[part], minlength=num_keys)
        found[np.arange(len(order)) + np.repeat(following - (np.cumsum(counts) - counts), counts)] = items[part][order]
        following += counts
    return found
