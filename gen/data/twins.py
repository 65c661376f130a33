"""Finds equal documents (twins) among tens of millions, by a hash of 64 bits each, in little memory.

The hash of the ids x0, x1, ... is the sum of (x_i + 1) r^i modulo 2^64. So all documents of a part are hashed at once:
the hash of each is a sum of terms, divided by the power of r at its start. If two different documents had the same
hash, they would only fall into the same part of a split.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gen.codec import IdArray
from gen.data.indices import CHUNK, IndexArray, index_type

HashArray = NDArray[np.uint64]

_MODULUS: Final = 1 << 64
_BASE: Final = 0x9E3779B97F4A7C15  # r; odd, so that it has an inverse
_HALF: Final = np.uint64(32)  # half of the bits
_BLOCK: Final = 1 << 15  # ids hashed at once; their powers of r fit the cache
_BUCKET: Final = 1 << 21  # documents compared at once, about
_THREADS: Final = 2  # numpy releases the interpreter lock while it sorts


def _powers(base: int) -> HashArray:
    powers = np.full(_BLOCK + 1, base, np.uint64)
    powers[0] = 1
    return np.cumprod(powers)


_POWERS: Final = _powers(_BASE)
_INVERSES: Final = _powers(pow(_BASE, -1, _MODULUS))
_ONES: Final = np.concatenate((np.zeros(1, np.uint64), np.cumsum(_POWERS)))  # the hashes of 0, 1, 2, ... ids of 0


class DocumentHashes:
    """Hashes documents from a stream of ids."""

    def __init__(self) -> None:
        self._terms = np.empty(_BLOCK + 1, np.uint64)
        self.begin_anew()

    def begin_anew(self) -> None:
        """Discards the ids of a document that has not ended."""
        self._sum, self._length = 0, 0

    def push(self, ids: IdArray, ends: NDArray[np.int64]) -> HashArray:
        """Takes (N,) ids, among which documents end at (E,) indices; returns the (E,) hashes of these documents."""
        if len(ids) <= _BLOCK:
            return self._push_block(ids, ends)
        found = []
        for start in range(0, len(ids), _BLOCK):
            stop = start + _BLOCK
            first, last = np.searchsorted(ends, (start, stop if stop < len(ids) else len(ids) + 1))
            found.append(self._push_block(ids[start:stop], ends[first:last] - start))
        return np.concatenate(found)

    def _push_block(self, ids: IdArray, ends: NDArray[np.int64]) -> HashArray:
        num_ids = len(ids)
        if not len(ends):  # the middle of a long document, for which this takes half the time
            self._add(int(np.einsum("i,i", ids, _POWERS[:num_ids])) + int(_ONES[num_ids]), num_ids)
            return np.empty(0, np.uint64)
        terms = self._terms[: num_ids + 1]
        terms[:-1] = ids
        terms[:-1] *= _POWERS[:num_ids]
        terms[-1] = 0  # the term of a document that begins after the last id
        bounds = np.empty(len(ends) + 2, np.int64)
        bounds[0], bounds[1:-1], bounds[-1] = 0, ends, num_ids
        starts = bounds[:-1]
        lengths = bounds[1:] - starts
        hashes = np.add.reduceat(terms, starts)
        hashes[lengths == 0] = 0
        hashes *= _INVERSES[starts]
        hashes += _ONES[lengths]
        self._add(int(hashes[0]), int(lengths[0]))
        if len(ends):
            hashes[0] = self._sum
            self._sum, self._length = int(hashes[-1]), int(lengths[-1])
        return _mixed_(hashes[:-1])

    def _add(self, following: int, num_ids: int) -> None:
        self._sum = (self._sum + pow(_BASE, self._length, _MODULUS) * following) % _MODULUS
        self._length += num_ids


def _mixed_(hashes: HashArray) -> HashArray:
    """Mixes the bits of hashes in place, because the sums of short documents are small; returns the hashes."""
    hashes ^= hashes >> _HALF
    hashes *= np.uint64(_BASE)
    hashes ^= hashes >> _HALF
    return hashes


def first_equals(hashes: HashArray) -> IndexArray:
    """Returns (D,) the first document with the same hash as each document, usually itself."""
    firsts = np.arange(len(hashes), dtype=index_type(len(hashes)))
    num_buckets = min(256, 1 << (len(hashes) // _BUCKET).bit_length())
    buckets = np.empty(len(hashes), np.uint8)
    for start in range(0, len(hashes), CHUNK):  # by the first bits of the hash; in parts, to save memory
        buckets[start : start + CHUNK] = (hashes[start : start + CHUNK] >> _HALF) * np.uint64(num_buckets) >> _HALF
    with ThreadPoolExecutor(_THREADS) as threads:
        for copies, originals in threads.map(partial(_copies, hashes, buckets, num_buckets), range(num_buckets)):
            firsts[copies] = originals
    return firsts


def _copies(
    hashes: HashArray, buckets: NDArray[np.uint8], num_buckets: int, bucket: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns the documents of a bucket whose hash occurred before, and the documents where it occurred first."""
    documents = np.flatnonzero(buckets == bucket)
    order, in_order = _sorted(hashes[documents], num_buckets)
    copies = 1 + np.flatnonzero(in_order[1:] == in_order[:-1])
    leaders = np.arange(len(order))
    leaders[copies] = 0
    np.maximum.accumulate(leaders, out=leaders)
    return documents[order[copies]], documents[order[leaders[copies]]]


def _sorted(hashes: HashArray, num_buckets: int) -> tuple[NDArray[np.int64], HashArray]:
    """Returns a stable order of (N,) hashes of one bucket, and the hashes in that order.

    It sorts numbers that hold the first bits of a hash and its index in place of the last bits: this takes a tenth of
    the time of `np.argsort`. Hashes that differ only in the last bits, which is rare, are sorted afterwards.
    """
    bits = np.uint64(len(hashes).bit_length())
    last_bits = (np.uint64(1) << bits) - np.uint64(1)
    keys = hashes << np.uint64(num_buckets.bit_length() - 1)  # without the first bits, which are equal in a bucket
    keys &= ~last_bits
    keys |= np.arange(len(hashes), dtype=np.uint64)
    keys.sort()
    order = (keys & last_bits).view(np.int64)
    in_order = hashes[order]
    keys >>= bits
    for key in np.unique(keys[1:][(keys[1:] == keys[:-1]) & (in_order[1:] != in_order[:-1])]):
        alike = slice(*np.searchsorted(keys, (key, key + np.uint64(1))))
        order[alike] = order[alike][np.argsort(in_order[alike], kind="stable")]
        in_order[alike] = hashes[order[alike]]
    return order, in_order
