"""The cross entropy of a large output layer: what torch's own operations give, value and gradients."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from gen.config import ModelConfig
from gen.models.output_loss import CHUNK_LOGITS, MIN_VOCAB, output_cross_entropy_sum
from gen.models.recurrent import RecurrentLM, cross_entropy_sum

VOCAB_SIZE, HIDDEN_SIZE = 3 * CHUNK_LOGITS // 100, 8  # chunks of 33 tokens
SCALE = 1 / 77


Leaves = tuple[Tensor, Tensor, Tensor]


def inputs(num_tokens: int = 100) -> tuple[Leaves, Tensor]:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(num_tokens, HIDDEN_SIZE, generator=generator, requires_grad=True)
    weight = torch.randn(VOCAB_SIZE, HIDDEN_SIZE, generator=generator, requires_grad=True)
    bias = torch.randn(VOCAB_SIZE, generator=generator, requires_grad=True)
    targets = torch.randint(VOCAB_SIZE, (num_tokens,), generator=generator)
    targets[::7] = -1
    return (features, weight, bias), targets


def found(nats: Tensor, leaves: Sequence[Tensor]) -> list[Tensor]:
    """The value, and the gradients of a mean."""
    return [nats.detach(), *torch.autograd.grad(nats * SCALE, leaves)]


def by_torch(features: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    logits = functional.linear(features, weight, bias).float()
    return functional.cross_entropy(logits, targets, ignore_index=-1, reduction="sum")


def test_value_and_gradients_are_those_of_torch() -> None:
    leaves, targets = inputs()
    ours = found(output_cross_entropy_sum(*leaves, targets), leaves)
    theirs = found(by_torch(*leaves, targets), leaves)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)  # float32, summed in another order


def test_under_autocast_they_are_those_of_torch_up_to_bf16() -> None:
    leaves, targets = inputs()
    with torch.autocast("cpu", torch.bfloat16):
        ours = found(output_cross_entropy_sum(*leaves, targets), leaves)
        theirs = found(by_torch(*leaves, targets), leaves)
    torch.testing.assert_close(ours[0], theirs[0], rtol=1e-4, atol=0)  # whose bias is in bf16 too
    for one, other in zip(ours[1:], theirs[1:], strict=True):
        assert one.dtype == other.dtype == torch.float32
        assert (one - other).norm() < 0.01 * other.norm()  # 8 bits


def test_targets_that_count_nothing_give_nothing() -> None:
    leaves, targets = inputs()
    value, *gradients = found(output_cross_entropy_sum(*leaves, torch.full_like(targets, -1)), leaves)
    assert value == 0
    assert all((gradient == 0).all() for gradient in gradients)


@pytest.mark.parametrize("is_tied", [False, True])
@pytest.mark.parametrize("vocab_size", [13, MIN_VOCAB])
def test_a_model_pays_the_same_whichever_way_it_is_summed(vocab_size: int, is_tied: bool) -> None:
    config = replace(ModelConfig(vocab_size, hidden_size=16, embedding_size=8), is_tied=is_tied)
    model = RecurrentLM(config, torch.Generator().manual_seed(0))
    tokens = torch.randint(vocab_size, (3, 6), generator=torch.Generator().manual_seed(1))
    state = model.initial_state(torch.zeros(3, dtype=torch.int64))
    parameters = list(model.parameters())

    nats, last = model.summed_nats(tokens[:, :-1], tokens[:, 1:], state)
    logits, other = model(tokens[:, :-1], state)

    ours, theirs = found(nats, parameters), found(cross_entropy_sum(logits, tokens[:, 1:]), parameters)
    for one, another in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, another, rtol=1e-5, atol=1e-7)
    assert torch.equal(last.memory[0], other.memory[0])
