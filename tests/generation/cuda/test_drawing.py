"""The draw in torch operations against the one in numpy."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gen.config import SamplingConfig
from gen.generation.cuda.drawing import DeviceDraw, picked
from gen.generation.sampling import pick, weigh
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


def surprises_of(logits: FloatArray, tokens: TokenArray) -> list[float]:
    """Returns what each row's token costs, one number after the other."""
    found = []
    for row, token in zip(logits.tolist(), tokens.tolist(), strict=True):
        top = max(row)
        found.append(top - row[token] + math.log(math.fsum(math.exp(x - top) for x in row)))
    return found


@settings(max_examples=500)
@given(draws())
def test_tokens_and_surprises_are_those_of_weigh_and_pick(
    given_: tuple[Tensor, SamplingConfig, Tensor, TokenArray, tuple[int, ...]],
) -> None:
    logits, config, numbers, recent, banned = given_
    raw = logits.double().numpy()
    is_recent = np.array([[token in row for token in range(raw.shape[1])] for row in recent.tolist()])
    expected = pick(weigh(raw, config, banned=banned, recent=is_recent), numbers.numpy())

    draw = DeviceDraw(config, vocab_size=raw.shape[1], banned=banned, device=CPU)
    tokens, surprise_nats = draw(logits, numbers, torch.from_numpy(recent))

    assert tokens.tolist() == expected.tolist()
    assert surprise_nats.tolist() == pytest.approx(surprises_of(raw, expected), abs=1e-9)


@pytest.mark.parametrize("vocab_size", [390, 5003])
@pytest.mark.parametrize(
    "config", [SamplingConfig(), SamplingConfig(top_k=40), SamplingConfig(0.7, top_k=300, top_p=0.9, min_p=0.001)]
)
def test_large_alphabets_are_drawn_from_alike(vocab_size: int, config: SamplingConfig) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(200, vocab_size, generator=generator) * 3
    numbers = torch.rand(200, generator=generator, dtype=torch.float64)
    tokens, _ = DeviceDraw(config, vocab_size=vocab_size, banned=(1, 2), device=CPU)(logits, numbers, None)
    weights = weigh(logits.double().numpy(), config, banned=(1, 2))
    assert tokens.tolist() == pick(weights, numbers.numpy()).tolist()


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


def test_a_token_without_weight_is_not_picked_even_if_the_sums_miss_the_total() -> None:
    weights = torch.tensor([[0.0, 0.3, 0.0, 0.7, 0.0]], dtype=torch.float64)
    beyond_all_sums = torch.tensor([1.5], dtype=torch.float64)
    assert picked(weights, beyond_all_sums).tolist() == [1]
    assert picked(weights, torch.zeros(1, dtype=torch.float64)).tolist() == [1]
