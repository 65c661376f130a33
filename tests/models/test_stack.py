"""Stacks of recurrent layers, one way and both ways, against torch's own modules."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from gen.models.cells import CELLS, layer_weights
from gen.models.dropout import Draws
from gen.models.stack import Stack, run_both_ways

T, B, E, H, L = 7, 5, 6, 16, 2
LENGTHS = torch.tensor([7, 1, 4, 6, 2])
NUM_GATES = {"rnn": 1, "lstm": 4, "gru": 3}


def both_ways(cell: str) -> tuple[Stack, Stack, nn.RNNBase]:
    """Returns two stacks, and torch's bidirectional module with the same weights, all in float64."""
    torch.manual_seed(0)
    fused = CELLS[cell].fused
    assert fused is not None
    theirs = fused(E, H, L, bidirectional=True)
    theirs.double()
    ahead, back = Stack(cell, (E, 2 * H), H), Stack(cell, (E, 2 * H), H)
    with torch.no_grad():
        for stack, suffix in ((ahead.double(), ""), (back.double(), "_reverse")):
            for n, layer in enumerate(stack):
                names = (f"{name}_l{n}{suffix}" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
                for own, name in zip(layer_weights(layer), names, strict=True):
                    own.copy_(getattr(theirs, name))
    return ahead, back, theirs


def packed(theirs: nn.RNNBase, x: Tensor) -> Tensor:
    """Returns the outputs of torch's module for sequences of LENGTHS, zeros at padding."""
    outputs, _ = theirs(pack_padded_sequence(x, LENGTHS, enforce_sorted=False))
    return pad_packed_sequence(outputs, total_length=T)[0]


def is_token() -> Tensor:
    """Returns (T, B, 1) whether a token is there, and not padding."""
    return (torch.arange(T)[:, None] < LENGTHS)[..., None]


@pytest.mark.parametrize("cell", NUM_GATES)
def test_two_stacks_equal_the_bidirectional_module_of_torch(cell: str) -> None:
    ahead, back, theirs = both_ways(cell)
    x = torch.randn(T, B, E, dtype=torch.float64)

    ours = run_both_ways(ahead, back, x, LENGTHS) * is_token()

    torch.testing.assert_close(ours, packed(theirs, x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("cell", NUM_GATES)
def test_gradients_of_two_stacks_equal_those_of_torch(cell: str) -> None:
    ahead, back, theirs = both_ways(cell)
    x = torch.randn(T, B, E, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(T, B, 2 * H, dtype=torch.float64) * is_token()

    torch.autograd.backward((run_both_ways(ahead, back, x, LENGTHS) * weights).sum())
    ours, x.grad = x.grad, None
    torch.autograd.backward((packed(theirs, x) * weights).sum())

    torch.testing.assert_close(ours, x.grad, rtol=0, atol=1e-12)
    for stack, suffix in ((ahead, ""), (back, "_reverse")):
        for n, layer in enumerate(stack):
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                found, wanted = getattr(layer, f"{name}_l0").grad, getattr(theirs, f"{name}_l{n}{suffix}").grad
                torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)


def test_last_outputs_of_both_directions_are_the_final_states_of_torch() -> None:
    ahead, back, theirs = both_ways("lstm")
    x = torch.randn(T, B, E, dtype=torch.float64)

    ys = run_both_ways(ahead, back, x, LENGTHS)

    _, (h, _) = theirs(pack_padded_sequence(x, LENGTHS, enforce_sorted=False))
    torch.testing.assert_close(ys[LENGTHS - 1, torch.arange(B), :H], h[-2], rtol=0, atol=1e-12)
    torch.testing.assert_close(ys[0, :, H:], h[-1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("cell", NUM_GATES)
def test_compiled_kernels_run_both_ways_as_the_equations_do(cell: str) -> None:
    ahead, back, theirs = both_ways(cell)
    x = torch.randn(T, B, E, dtype=torch.float64)

    ours = run_both_ways(ahead.float(), back.float(), x.float(), LENGTHS) * is_token()

    torch.testing.assert_close(ours, packed(theirs, x).float(), rtol=0, atol=1e-5)


def test_padding_does_not_change_the_outputs_of_tokens() -> None:
    ahead, back, _ = both_ways("lstm")
    x = torch.randn(T, B, E, dtype=torch.float64)
    other = torch.where(is_token(), x, torch.randn(T, B, E, dtype=torch.float64))

    first, second = (run_both_ways(ahead, back, each, LENGTHS) * is_token() for each in (x, other))

    assert torch.equal(first, second)


def test_one_direction_alone_is_a_window_from_a_memory_of_zeros() -> None:
    stack = Stack("gru", (E, H), H)
    x = torch.randn(T, B, E)

    ys, _ = stack(x, stack.initial_memory(B, x.device))

    assert torch.equal(run_both_ways(stack, None, x, LENGTHS), ys)


def test_dropout_of_a_row_does_not_depend_on_the_rows_beside_it() -> None:
    ahead, back, _ = both_ways("lstm")
    x = torch.randn(T, B, E, dtype=torch.float64)
    draws = [Draws(torch.Generator().manual_seed(0), B, rows, 0.5) for rows in (slice(0, B), slice(2, 4))]

    whole = run_both_ways(ahead, back, x, LENGTHS, draws[0])
    part = run_both_ways(ahead, back, x[:, 2:4], LENGTHS[2:4], draws[1])

    torch.testing.assert_close((whole * is_token())[:, 2:4], part * is_token()[:, 2:4], rtol=0, atol=1e-12)
