"""The kernel beside torch in float64, on the same logits."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from gen.kernels.cross_entropy import can_take_logits, cross_entropy_

STEPS = {torch.float32: 2**-18, torch.bfloat16: 2**-8}  # relative: of rounding, in fp32 also of e^x


@pytest.fixture(params=STEPS)
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    if not can_take_logits(request.param):
        pytest.skip(f"NEEDS A C COMPILER AND A PROCESSOR WITH {request.param}: the kernels are not built for it")
    found: torch.dtype = request.param
    return found


def drawn(num_rows: int, vocab_size: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, bias and targets."""
    generator = torch.Generator().manual_seed(num_rows + vocab_size)
    logits = (4 * torch.randn(num_rows, vocab_size, generator=generator)).to(dtype)
    targets = torch.randint(vocab_size, (num_rows,), generator=generator)
    return logits, torch.randn(vocab_size, generator=generator), targets


@pytest.mark.parametrize("vocab_size", [1, 2, 15, 16, 17, 67, 1024, 7146])
@pytest.mark.parametrize("num_rows", [1, 2, 3, 50])
def test_nats_and_gradients_are_those_of_torch(num_rows: int, vocab_size: int, dtype: torch.dtype) -> None:
    logits, bias, targets = drawn(num_rows, vocab_size, dtype)
    targets[1::3] = -1
    exact = (logits.double() + bias.double()).requires_grad_()
    expected = functional.cross_entropy(exact, targets, ignore_index=-1, reduction="sum")
    (gradients,) = torch.autograd.grad(expected, exact)

    nats, d_bias = cross_entropy_(logits, bias, targets)

    torch.testing.assert_close(nats.double(), expected.detach(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(logits.double(), gradients, rtol=STEPS[dtype], atol=1e-6)
    torch.testing.assert_close(d_bias.double(), gradients.sum(0), rtol=1e-5, atol=1e-5)
    assert (logits[targets == -1] == 0).all()


def test_logits_far_apart_neither_overflow_nor_vanish(dtype: torch.dtype) -> None:
    logits = torch.tensor([[3e38, 0.0, -3e38], [-200.0, -100.0, 0.0], [-1e4, -1e4, -1e4]]).to(dtype)
    nats, _ = cross_entropy_(logits, torch.zeros(3), torch.tensor([0, 1, 2]))
    assert nats.item() == pytest.approx(0 + 100 + math.log(3))
    torch.testing.assert_close(logits[2].float(), torch.tensor([1, 1, -2]) / 3, rtol=STEPS[dtype], atol=0)


@pytest.mark.parametrize("broken", [math.nan, math.inf])
@pytest.mark.parametrize("place", [0, 20, 34])
def test_what_is_no_number_is_not_hidden(broken: float, place: int, dtype: torch.dtype) -> None:
    logits, bias, targets = drawn(2, 35, dtype)
    logits[1, place] = broken
    nats, _ = cross_entropy_(logits, bias, targets)
    assert nats.isnan()


def test_equal_rows_give_equal_bits_wherever_they_stand(dtype: torch.dtype) -> None:
    logits, bias, targets = drawn(4, 100, dtype)
    many, many_targets = logits.repeat(5, 1), targets.repeat(5)
    cross_entropy_(logits, bias, targets)
    cross_entropy_(many, bias, many_targets)
    assert torch.equal(many, logits.repeat(5, 1))
