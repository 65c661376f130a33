"""Filters and draw in torch operations against those in numpy."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gen.config import SamplingConfig
from gen.generation.cuda.drawing import DeviceDraw, picked
from gen.generation.sampling import pick, surprise_nats, weigh
from gen.kernels.drawing import FloatArray, TokenArray

CPU = torch.device("cpu")
WINDOW = 5  # tokens that the penalty sees here

configs = st.builds(
    SamplingConfig,
    temperature=st.sampled_from([0.0, 5e-324, 0.3, 1.0, 3.0]),
    top_k=st.none() | st.integers(1, 12),
    top_p=st.none() | st.floats(0.01, 1.0),
    min_p=st.none() | st.floats(0.0, 0.99),
    repetition_penalty=st.sampled_from([0.5, 1.0, 1.7]),
)
# No round numbers: where one meets the edge of a token the last bit of an exponential decides.
uniforms = st.sampled_from([0.0, 1 - 2.0**-53]) | st.integers(0, 2**53 - 1).map(lambda n: n * 2.0**-53)
few = st.sampled_from([-3.1, -1.0, 0.0, 0.4, 2.0, 5.3])  # so that there are equals
many = st.floats(-80, 80, width=32)


@st.composite
def draws(draw: st.DrawFn) -> tuple[Tensor, SamplingConfig, Tensor, TokenArray, tuple[int, ...]]:
    """Returns (B, V) logits, filters, (B,) uniforms, (B, WINDOW) recent tokens, and ids that are banned."""
    num_rows, vocab_size = draw(st.integers(1, 4)), draw(st.integers(2, 12))

    def rows_of(element: st.SearchStrategy[float], width: int) -> list[list[float]]:
        row = st.lists(element, min_size=width, max_size=width)
        return draw(st.lists(row, min_size=num_rows, max_size=num_rows))

    logits = torch.tensor(rows_of(draw(st.sampled_from([few, many])), vocab_size))
    numbers = torch.tensor(rows_of(uniforms, 1), dtype=torch.float64)[:, 0]
    recent = np.array(rows_of(st.integers(0, vocab_size), WINDOW), dtype=np.int64)
    banned = draw(st.sets(st.integers(0, vocab_size - 1), max_size=vocab_size - 1))
    return logits, draw(configs), numbers, recent, tuple(banned)


def kept(logits: FloatArray, config: SamplingConfig, banned: tuple[int, ...], recent: TokenArray) -> list[FloatArray]:
    """Returns the weights of each row that the reference filters keep, the greatest first."""
    is_recent = np.array([[token in row for token in range(logits.shape[1])] for row in recent.tolist()])
    weights = weigh(logits, config, banned=banned, recent=is_recent)
    return [np.sort(row[row > 0])[::-1] for row in weights]


def moved(config: SamplingConfig, by: float) -> SamplingConfig:
    """Returns filters whose edges lie a little lower or higher, so that they keep a little more or less."""
    top_p = config.top_p and min(1.0, max(1e-9, config.top_p + by))
    return replace(config, top_p=top_p, min_p=config.min_p and max(0.0, config.min_p * (1 - by)))


@settings(max_examples=500, deadline=None)
@given(draws())
def test_candidates_are_those_of_the_reference_filters_up_to_rounding_at_their_edges(
    given_: tuple[Tensor, SamplingConfig, Tensor, TokenArray, tuple[int, ...]],
) -> None:
    logits, config, _, recent, banned = given_
    raw = logits.double().numpy()
    draw = DeviceDraw(config, vocab_size=raw.shape[1], banned=banned, device=CPU)
    weights, ids = draw.weighed(logits, torch.from_numpy(recent))
    least, most = (kept(raw, moved(config, by), banned, recent) for by in (-1e-6, 1e-6))
    for row, found in enumerate(weights.numpy()):
        num_kept = int((found > 0).sum())
        assert len(least[row]) <= num_kept <= len(most[row])
        # Relative to the weight: logits are rounded to float32 before a temperature of 0.3 divides them.
        assert np.sort(found)[::-1][:num_kept] == pytest.approx(most[row][:num_kept], rel=1e-3)
        tokens = ids[row].numpy()[found > 0]
        assert len(set(tokens.tolist())) == num_kept
        assert not set(tokens.tolist()) & set(banned)


@settings(max_examples=200, deadline=None)
@given(draws())
def test_a_draw_picks_as_the_reference_does_from_the_candidates_in_their_order(
    given_: tuple[Tensor, SamplingConfig, Tensor, TokenArray, tuple[int, ...]],
) -> None:
    logits, config, numbers, recent, banned = given_
    draw = DeviceDraw(config, vocab_size=logits.shape[1], banned=banned, device=CPU)
    weights, ids = (array.numpy() for array in draw.weighed(logits, torch.from_numpy(recent)))
    tokens, nats = draw(logits, numbers, torch.from_numpy(recent))
    expected = ids[np.arange(len(ids)), pick(weights, numbers.numpy())]
    assert tokens.tolist() == expected.tolist()
    assert nats.tolist() == pytest.approx(surprise_nats(logits.double().numpy(), expected), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("vocab_size", [390, 5003])
@pytest.mark.parametrize(
    "config",
    [
        SamplingConfig(),
        SamplingConfig(top_k=40),
        SamplingConfig(top_p=0.9),
        SamplingConfig(0.7, top_k=300, top_p=0.9, min_p=0.001),
    ],
)
def test_large_alphabets_are_drawn_from_as_often_as_the_reference_says(vocab_size: int, config: SamplingConfig) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, vocab_size, generator=generator) * 3
    weights = weigh(logits.double().numpy(), config, banned=(1, 2))[0]
    shares = weights / weights.sum()
    uniforms = (torch.arange(2000, dtype=torch.float64) + 0.5) / 2000  # evenly, so a count is a share to 1 in 2000
    draw = DeviceDraw(config, vocab_size=vocab_size, banned=(1, 2), device=CPU)
    tokens, _ = draw(logits.expand(2000, -1), uniforms, None)
    counts = np.bincount(tokens.numpy(), minlength=vocab_size)
    assert np.abs(counts - 2000 * shares).max() < 1 + 1e-6
    assert not counts[shares == 0].any()


@pytest.mark.parametrize("config", [SamplingConfig(), SamplingConfig(0.8, 6, 0.9, 0.02, 1.3)])
def test_a_row_draws_the_same_alone_and_among_others(config: SamplingConfig) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(33, 24, generator=generator) * 3
    numbers = torch.rand(33, generator=generator, dtype=torch.float64)
    recent = torch.randint(25, (33, WINDOW), generator=generator)
    draw = DeviceDraw(config, vocab_size=24, banned=(1,), device=CPU)
    tokens, nats = draw(logits, numbers, recent)
    alone = [draw(logits[n : n + 1], numbers[n : n + 1], recent[n : n + 1]) for n in range(33)]
    assert torch.cat([token for token, _ in alone]).equal(tokens)
    assert torch.cat([cost for _, cost in alone]).equal(nats)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("config", [SamplingConfig(), SamplingConfig(temperature=0.0), SamplingConfig(top_p=0.9)])
def test_a_row_that_cannot_be_drawn_from_costs_nan_and_others_do_not(bad: float, config: SamplingConfig) -> None:
    logits = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    logits[1, 2 if bad == math.inf else slice(None)] = bad
    draw = DeviceDraw(config, vocab_size=8, banned=(0,), device=CPU)
    tokens, surprise_nats = draw(logits, torch.full((3,), 0.7, dtype=torch.float64), None)
    assert surprise_nats.isnan().tolist() == [False, True, False]
    assert int(tokens.min()) >= 0
    assert int(tokens.max()) < 8  # of the vocabulary all the same: it is looked up in a table


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_row_without_a_permitted_token_costs_nan(temperature: float) -> None:
    draw = DeviceDraw(SamplingConfig(temperature), vocab_size=3, banned=(0,), device=CPU)
    logits = torch.tensor([[0.0, -math.inf, -math.inf], [0.0, 1.0, -math.inf]])
    _, surprise_nats = draw(logits, torch.zeros(2, dtype=torch.float64), None)
    assert surprise_nats.isnan().tolist() == [True, False]


@pytest.mark.parametrize(("uniform", "expected"), [(0.0, 1), (0.2, 1), (0.31, 3), (1 - 2.0**-53, 3)])
def test_a_token_without_weight_is_not_picked(uniform: float, expected: int) -> None:
    weights = torch.tensor([[0.0, 0.3, 0.0, 0.7, 0.0]], dtype=torch.float64)
    assert picked(weights, torch.tensor([uniform], dtype=torch.float64)).tolist() == [expected]
