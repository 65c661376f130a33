"""Which documents of a corpus are equal, found by a hash of 64 bits each, millions of them in little memory.

The hash of the ids x0, x1, ... is the sum of (x_i + 1) r^i modulo 2^64. So all documents of a part are hashed at once:
each is the difference of two running sums, divided by the power of r where it starts. Were two documents to share a
hash and nothing else, they would but fall on the same side of a split.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gen.codec import IdArray
from gen.data.places import PlaceArray, place_type

HashArray = NDArray[np.uint64]

_MODULUS: Final = 1 << 64
_BASE: Final = 0x9E3779B97F4A7C15  # r; odd, so that it has an inverse
_BLOCK: Final = 1 << 15  # ids that are hashed at once: their powers stay in the cache
_BUCKET: Final = 1 << 21  # documents that are compared at once, about


def _powers(base: int) -> HashArray:
    powers = np.full(_BLOCK + 1, base, np.uint64)
    powers[0] = 1
    return np.cumprod(powers)


_POWERS: Final = _powers(_BASE)
_INVERSES: Final = _powers(pow(_BASE, -1, _MODULUS))


class DocumentHashes:
    """Hashes documents as their ids come."""

    def __init__(self) -> None:
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forgets what has come of a document that has not ended."""
        self._sum, self._length = 0, 0

    def push(self, ids: IdArray, ends: NDArray[np.int64]) -> HashArray:
        """Takes (N,) ids, in which documents end at (E,) places; returns the (E,) hashes of these."""
        if len(ids) <= _BLOCK:
            return self._push_block(ids, ends)
        found = []
        for start in range(0, len(ids), _BLOCK):
            stop = start + _BLOCK
            first, last = np.searchsorted(ends, (start, stop if stop < len(ids) else len(ids) + 1))
            found.append(self._push_block(ids[start:stop], ends[first:last] - start))
        return np.concatenate(found)

    def _push_block(self, ids: IdArray, ends: NDArray[np.int64]) -> HashArray:
        terms = ids.astype(np.uint64)
        terms += np.uint64(1)
        terms *= _POWERS[: len(ids)]
        if not len(ends):
            self._add(int(terms.sum()), len(ids))
            return np.empty(0, np.uint64)
        sums = np.zeros(len(ids) + 1, np.uint64)
        np.cumsum(terms, out=sums[1:])
        bounds = np.concatenate(([0], ends, [len(ids)]))
        hashes = np.diff(sums[bounds]) * _INVERSES[bounds[:-1]]
        self._add(int(hashes[0]), int(ends[0]))
        hashes[0] = self._sum
        self._sum, self._length = int(hashes[-1]), len(ids) - int(ends[-1])
        return hashes[:-1]

    def _add(self, following: int, num_ids: int) -> None:
        self._sum = (self._sum + pow(_BASE, self._length, _MODULUS) * following) % _MODULUS
        self._length += num_ids


def first_equals(hashes: HashArray) -> PlaceArray:
    """Returns (D,) the first document with the same hash as each has, itself in most cases; as narrow as D allows."""
    firsts = np.empty(len(hashes), place_type(len(hashes)))
    num_buckets = np.uint64(1 + len(hashes) // _BUCKET)
    for bucket in range(int(num_buckets)):
        places = _bucket(hashes, np.uint64(bucket), num_buckets)
        found = hashes[places]
        order = np.argsort(found, kind="stable")
        found = found[order]
        is_first = np.append(True, found[1:] != found[:-1])[: len(found)]
        places = places[order]
        firsts[places] = places[is_first][np.cumsum(is_first) - 1]
    return firsts


def _bucket(hashes: HashArray, bucket: np.uint64, num_buckets: np.uint64) -> NDArray[np.int64]:
    """Returns the places of the hashes of a bucket, by their upper halves; in parts, to take no memory for all."""
    if num_buckets == 1:
        return np.arange(len(hashes))
    found = []
    for start in range(0, len(hashes), _BUCKET):
        part = (hashes[start : start + _BUCKET] >> np.uint64(32)) * num_buckets >> np.uint64(32)
        found.append(np.flatnonzero(part == bucket) + start)
    return np.concatenate(found)
