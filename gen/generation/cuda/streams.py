"""Random numbers on a device: a function of seed, row and position, so a block needs none from the host.

SplitMix64 (Steele, Lea & Flood 2014, "Fast Splittable Pseudorandom Number Generators"): number n of a stream is a hash
of its key + (n + 1) * GOLDEN modulo 2^64. A row's key is such a number too, of the stream of the seed. So rows of one
seed never share a key, and a row's numbers are the same whatever the other rows and the sizes of blocks. Keys are as
good as random: of 65,536 rows with a million tokens each, two overlap with a probability of 1 in 4,000.

torch has no unsigned 64-bit products. Signed ones wrap to the same bits; a right shift must clear the copies of the
sign."""

import numpy as np
import torch
from torch import Tensor

GOLDEN = 0x9E3779B97F4A7C15 - 2**64  # 2^64 by the golden ratio, as a signed number
FACTORS = (0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64)


def stream_keys(seed: int, num_rows: int) -> Tensor:
    """Returns (B,) int64 keys of the streams of rows 0, 1, ..., on the CPU; a seed of any size counts whole."""
    base = torch.from_numpy(np.random.SeedSequence(seed).generate_state(1, np.uint64).view(np.int64))
    return stream_bits(base, torch.tensor(0), num_rows)[:, 0]


def stream_uniforms(keys: Tensor, first: Tensor, count: int) -> Tensor:
    """Returns (count, B) float64 numbers in [0, 1) of 53 bits: those from position `first` () on of each stream."""
    return _shifted_right(stream_bits(keys, first, count), 11).double() * 2.0**-53


def stream_bits(keys: Tensor, first: Tensor, count: int) -> Tensor:
    """Returns (count, B) int64 with 64 random bits each: those from position `first` () on of each stream."""
    positions = torch.arange(1, count + 1, device=keys.device) + first
    x = keys + positions[:, None] * GOLDEN
    x = (x ^ _shifted_right(x, 30)) * FACTORS[0]
    x = (x ^ _shifted_right(x, 27)) * FACTORS[1]
    return x ^ _shifted_right(x, 31)


def _shifted_right(x: Tensor, count: int) -> Tensor:
    """Shifts zeros in from the left, where torch shifts in the sign."""
    return (x >> count) & ((1 << (64 - count)) - 1)
