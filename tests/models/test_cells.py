"""The textbook equations against torch's fused kernels, in float64."""

import pytest
import torch
from torch import Tensor, nn

from gen.config import CELL_NAMES, CellName
from gen.models import cells
from gen.models.cells import CELLS, gru_gates, layer_weights, lstm_gates, run_layer

T, B, E, H = 7, 3, 5, 11
NAMES = tuple(name for name, cell in CELLS.items() if cell.fused)  # those that torch can be compared with


def new_layer(cell: CellName) -> nn.RNNBase:
    torch.manual_seed(0)
    layer = cells.new_layer(cell, E, H).double()
    assert isinstance(layer, nn.RNNBase)
    return layer


def new_inputs(cell: CellName) -> tuple[Tensor, tuple[Tensor, ...]]:
    xs = torch.randn(T, B, E, dtype=torch.float64, requires_grad=True)
    memory = tuple(torch.randn(B, H, dtype=torch.float64, requires_grad=True) for _ in range(CELLS[cell].num_memories))
    return xs, memory


def fused(layer: nn.RNNBase, xs: Tensor, memory: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
    initial = tuple(m[None] for m in memory)
    outputs, last = layer(xs, initial if len(initial) > 1 else initial[0])
    return outputs, tuple(m[0] for m in (last if isinstance(last, tuple) else (last,)))


def test_the_command_line_lists_the_cells_that_there_are() -> None:
    assert tuple(CELLS) == CELL_NAMES


@pytest.mark.parametrize("cell", NAMES)
def test_outputs_and_memory_equal_those_of_torch(cell: CellName) -> None:
    layer = new_layer(cell)
    xs, memory = new_inputs(cell)

    outputs, last = run_layer(cell, xs, memory, layer_weights(layer))
    expected_outputs, expected_last = fused(layer, xs, memory)

    torch.testing.assert_close(outputs, expected_outputs, rtol=0, atol=1e-10)
    torch.testing.assert_close(last, expected_last, rtol=0, atol=1e-10)


@pytest.mark.parametrize("cell", NAMES)
def test_gradients_equal_those_of_torch(cell: CellName) -> None:
    layer = new_layer(cell)
    xs, memory = new_inputs(cell)
    leaves = [xs, *memory, *layer.parameters()]

    def gradients(outputs: Tensor, last: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return torch.autograd.grad(outputs.square().sum() + sum(m.sum() for m in last), leaves)

    ours = gradients(*run_layer(cell, xs, memory, layer_weights(layer)))
    expected = gradients(*fused(layer, xs, memory))

    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-10)


def test_lstm_keeps_its_cell_when_the_forget_gate_is_open_and_the_input_gate_shut() -> None:
    layer = new_layer("lstm")
    weights = layer_weights(layer)
    with torch.no_grad():
        for parameter in weights:
            parameter.zero_()
        i, f, _, _ = weights.b_ih.chunk(4)
        i.fill_(-50.0)
        f.fill_(50.0)
    memory = (torch.zeros(B, H, dtype=torch.float64), torch.randn(B, H, dtype=torch.float64))

    _, last = run_layer("lstm", torch.randn(100, B, E, dtype=torch.float64), memory, weights)

    torch.testing.assert_close(last[1], memory[1])


def test_gates_lie_between_nought_and_one_and_candidates_between_minus_one_and_one() -> None:
    x, h, c = torch.randn(B, E).double(), torch.randn(B, H).double(), torch.randn(B, H).double()

    lstm = lstm_gates(x, (h, c), layer_weights(new_layer("lstm")))
    gru = gru_gates(x, (h,), layer_weights(new_layer("gru")))

    assert all(bool(((gate > 0) & (gate < 1)).all()) for gate in (lstm.i, lstm.f, lstm.o, gru.r, gru.z))
    assert all(bool((candidate.abs() < 1).all()) for candidate in (lstm.g, gru.n))


@pytest.mark.parametrize("cell", NAMES)
def test_gradient_vanishes_through_a_plain_rnn_and_not_through_open_gates(cell: CellName) -> None:
    """Bengio, Simard & Frasconi 1994: with |W_hh| below 1 a gradient shrinks at every token; an open gate keeps it."""
    layer = new_layer(cell)
    weights = layer_weights(layer)
    with torch.no_grad():
        for gate in weights.w_hh.view(-1, H, H):
            gate.copy_(0.5 * torch.eye(H))
        weights.b_ih.zero_()
        weights.b_hh.zero_()
        if cell == "lstm":
            weights.b_ih.chunk(4)[1].fill_(10.0)  # the forget gate stays open
        if cell == "gru":
            weights.b_ih.chunk(3)[1].fill_(10.0)  # the update gate keeps h
    memory = tuple(torch.zeros(B, H, dtype=torch.float64, requires_grad=True) for _ in range(CELLS[cell].num_memories))

    _, last = run_layer(cell, torch.zeros(60, B, E, dtype=torch.float64), memory, weights)
    (gradient,) = torch.autograd.grad(last[-1].sum(), memory[-1])

    assert (gradient.abs().max() < 1e-15) if cell == "rnn" else (gradient.abs().min() > 0.9)
