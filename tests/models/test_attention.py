"""Additive attention against the formula, pair by pair, and against torch's own gradients."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
import torch
from torch import Tensor

from gen.models import attention
from gen.models.attention import AdditiveAttention

T, S, B, H, F, A = 5, 6, 19, 4, 7, 3
LENGTHS = torch.randint(1, S + 1, (B,), generator=torch.Generator().manual_seed(1))
PADDING = torch.arange(S)[:, None] >= LENGTHS  # (S, B)


def new_attention() -> tuple[AdditiveAttention, Tensor, Tensor]:
    torch.manual_seed(0)
    queries, values = torch.randn(T, B, H), torch.randn(S, B, F)
    return AdditiveAttention(H, F, A).double(), queries.double(), values.double()


def naive(layer: AdditiveAttention, query: Tensor, values: Tensor) -> Tensor:
    """Returns the context of one (H,) query for (S, F) values without padding."""
    scores = [layer.score(torch.tanh(layer.query(query) + layer.key(value))) for value in values]
    return torch.cat(scores).softmax(0) @ values


def test_context_equals_the_formula_for_each_token_alone() -> None:
    layer, queries, values = new_attention()

    found, weights = layer(queries, layer.remember(values, PADDING))

    for row, length in enumerate(LENGTHS.tolist()):
        wanted = torch.stack([naive(layer, query, values[:length, row]) for query in queries[:, row]])
        torch.testing.assert_close(found[:, row], wanted)
    assert weights.shape == (T, B, S)
    torch.testing.assert_close(weights.sum(2), torch.ones(T, B, dtype=torch.float64))
    assert not weights[:, PADDING.t()].any()


@pytest.mark.parametrize("chunk", [1, 1 << 18])
def test_gradients_equal_those_of_torch_for_any_chunk(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(attention, "CHUNK", chunk)
    layer, queries, values = new_attention()
    queries.requires_grad_()
    inputs = [queries, values.requires_grad_(), *layer.parameters()]
    outputs = torch.randn(T, B, F, dtype=torch.float64)

    found, _ = layer(queries, layer.remember(values, PADDING))
    ours = torch.autograd.grad((found * outputs).sum(), inputs)

    sums = layer.query(queries)[:, None] + layer.key(values)  # (T, S, B, A)
    weights = layer.score(sums.tanh())[..., 0].masked_fill(PADDING, -torch.inf).softmax(1)
    context = torch.einsum("tsb,sbf->tbf", weights, values)
    for our, wanted in zip(ours, torch.autograd.grad((context * outputs).sum(), inputs), strict=True):
        torch.testing.assert_close(our, wanted)


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_threads_change_nothing() -> None:
    layer, queries, values = new_attention()
    found = {}
    for num_threads in (1, 2):
        torch.set_num_threads(num_threads)
        context, _ = layer(queries, layer.remember(values, PADDING))
        found[num_threads] = torch.autograd.grad(context.sum(), list(layer.parameters()))

    assert B > attention.ROWS  # two pieces of work
    assert all(torch.equal(one, two) for one, two in zip(found[1], found[2], strict=True))


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_threads_work_where_no_gradients_are_kept(mode: Callable[[], AbstractContextManager[None]]) -> None:
    layer, queries, values = new_attention()
    wanted, _ = layer(queries, layer.remember(values, PADDING))

    with mode():
        for _ in range(20):  # whichever thread takes which piece
            found, _ = layer(queries, layer.remember(values, PADDING))
            torch.testing.assert_close(found, wanted, rtol=0, atol=0)
