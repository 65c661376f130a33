"""Random numbers on a device against SplitMix64 in whole numbers."""

import numpy as np
import pytest
import torch

from gen.generation.cuda.streams import stream_bits, stream_keys, stream_uniforms


def splitmix64(state: int) -> int:
    """Returns the number of a state, as in the reference program of the algorithm."""
    z = state % 2**64
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
    return z ^ z >> 31


def test_a_key_of_zero_gives_the_published_numbers() -> None:
    found = stream_bits(torch.tensor([0]), torch.tensor(0), 3)[:, 0]
    expected = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert [int(bits) % 2**64 for bits in found] == expected


@pytest.mark.parametrize("first", [0, 5, 2**40])
def test_numbers_follow_from_key_and_position(first: int) -> None:
    keys = stream_keys(7, 4)
    found = stream_uniforms(keys, torch.tensor(first), 6)
    expected = [
        [(splitmix64(key + (first + n + 1) * 0x9E3779B97F4A7C15) >> 11) * 2.0**-53 for key in keys.tolist()]
        for n in range(6)
    ]
    assert found.tolist() == expected


def test_a_row_has_the_same_stream_among_any_others_and_blocks_join() -> None:
    many, few = stream_keys(3, 1000), stream_keys(3, 10)
    assert many[:10].equal(few)
    whole = stream_uniforms(few, torch.tensor(0), 20)
    assert torch.cat([stream_uniforms(few, torch.tensor(n), 5) for n in (0, 5, 10, 15)]).equal(whole)


@pytest.mark.parametrize("seeds", [(0, 1), (0, 2**64), (5, 5 + 2**32)])
def test_seeds_of_any_size_and_rows_have_streams_of_their_own(seeds: tuple[int, int]) -> None:
    keys = torch.cat([stream_keys(seed, 1000) for seed in seeds])
    assert len(set(keys.tolist())) == 2000


def test_numbers_are_even_and_rows_and_positions_are_not_correlated() -> None:
    drawn = stream_uniforms(stream_keys(0, 200), torch.tensor(0), 500).numpy()
    assert 0 <= drawn.min() < drawn.max() < 1
    counts = np.histogram(drawn, bins=100, range=(0, 1))[0]
    assert ((counts - 1000.0) ** 2 / 1000).sum() < 160  # chi-square of 99 degrees of freedom: 1 in 10,000
    centred = drawn - 0.5
    for other in (centred[1:, :] * centred[:-1, :], centred[:, 1:] * centred[:, :-1]):
        assert abs(other.mean()) < 5 / 12 / other.size**0.5  # five standard deviations
