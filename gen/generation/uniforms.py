"""The random numbers that decide what is drawn: each row of a batch has a stream of its own."""

from collections.abc import Sequence

import numpy as np
import torch

from gen.kernels.drawing import FloatArray

UNIFORM_BLOCK = 256  # numbers drawn at a time: one call of torch for every token would cost more than the draw itself


def new_stream(seed: int, row: int) -> torch.Generator:
    """Returns the random stream of one sample.

    torch's generator on a CPU keeps only the low 32 bits of its seed. So the low 16 bits of seed and row stand side by
    side in these 32 bits, scrambled by a bijection (the finaliser of MurmurHash3): seeds and rows below 65536 never
    share a stream. A hash of all higher bits (numpy's SeedSequence) is added by exclusive or.
    """
    word = (seed & 0xFFFF) << 16 | (row & 0xFFFF)
    word = (word ^ word >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    word = (word ^ word >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    word ^= word >> 16
    high = np.random.SeedSequence((seed >> 16, row >> 16)).generate_state(1, np.uint32)
    return torch.Generator().manual_seed(word ^ int(high[0]))


class Uniforms:
    """The streams of B rows, read in blocks.

    Args:
        seed: with a row's number it decides the row's stream.
        num_rows: B; the rows are numbered from 0.
    """

    def __init__(self, seed: int, num_rows: int) -> None:
        self._streams = [new_stream(seed, row) for row in range(num_rows)]
        self._block = np.empty((0, num_rows))  # (N, B) numbers drawn so far, of which the first `_used` are consumed
        self._used = 0

    def peek(self, count: int) -> FloatArray:
        """Returns (count, B) the next numbers of each row, in [0, 1), without consuming them."""
        while self._used + count > len(self._block):
            drawn = [torch.rand(UNIFORM_BLOCK, generator=each, dtype=torch.float64).numpy() for each in self._streams]
            self._block = np.concatenate([self._block[self._used :], np.stack(drawn, axis=1)])
            self._used = 0
        uniforms: FloatArray = self._block[self._used : self._used + count]
        return uniforms

    def skip(self, count: int) -> None:
        """Consumes the next `count` numbers of each row."""
        self._used += count

    def keep(self, rows: Sequence[int]) -> None:
        """Drops all rows but those at these indices."""
        self._streams = [self._streams[row] for row in rows]
        self._block = np.ascontiguousarray(self._block[:, list(rows)])
