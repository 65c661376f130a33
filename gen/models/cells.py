"""The recurrent cells as equations: what the fused kernels and the stepper are tested against.

Weights have torch's layout, so the weights of a trained `nn.LSTM`, `nn.GRU` or `nn.RNN` fit unchanged: `w_ih` (G*H, E),
`w_hh` (G*H, H), two biases (G*H,), with the G gates stacked in torch's order. A cell is a function from input and
memory to the next memory; the first entry of a memory is the output h. `sigma` below is the logistic function, `*` the
element-wise product.

Why gates: in the plain RNN a gradient that travels k tokens back is multiplied k times by W_hh^T diag(1 - h^2), so it
vanishes or explodes geometrically (Hochreiter 1991; Bengio, Simard & Frasconi 1994; Pascanu, Mikolov & Bengio 2013).
The LSTM's cell state C and the GRU's h instead pass through a sum with a gate that can stay open, near 1.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from gen.config import CellName

Memory = tuple[Tensor, ...]


class Weights(NamedTuple):
    """The parameters of one layer, as `nn.LSTM` and its kin name them."""

    w_ih: Tensor  # (G*H, E)
    w_hh: Tensor  # (G*H, H)
    b_ih: Tensor  # (G*H,)
    b_hh: Tensor  # (G*H,)


class LSTMGates(NamedTuple):
    """The gates of an LSTM at one token, each (B, H)."""

    i: Tensor  # input gate, how much of the candidate enters the cell
    f: Tensor  # forget gate, how much of the cell is kept
    g: Tensor  # candidate
    o: Tensor  # output gate, how much of the cell is shown


class GRUGates(NamedTuple):
    """The gates of a GRU at one token, each (B, H)."""

    r: Tensor  # reset gate, how much of h the candidate sees
    z: Tensor  # update gate, how much of h is kept
    n: Tensor  # candidate


def rnn_cell(x: Tensor, memory: Memory, weights: Weights) -> Memory:
    """Advances a plain RNN by one token: h' = tanh(W_ih x + b_ih + W_hh h + b_hh).

    Elman 1990, equation as in torch.nn.RNN.

    Args:
        x: (B, E) input.
        memory: h (B, H); not modified.
        weights: one layer's, G = 1.
    """
    (h,) = memory
    return (
        torch.tanh(functional.linear(x, weights.w_ih, weights.b_ih) + functional.linear(h, weights.w_hh, weights.b_hh)),
    )


def lstm_gates(x: Tensor, memory: Memory, weights: Weights) -> LSTMGates:
    """Returns the gates i, f, g, o of an LSTM; arguments as in `lstm_cell`."""
    h, _ = memory
    sums = functional.linear(x, weights.w_ih, weights.b_ih) + functional.linear(h, weights.w_hh, weights.b_hh)
    i, f, g, o = sums.chunk(4, dim=-1)
    return LSTMGates(torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o))


def lstm_cell(x: Tensor, memory: Memory, weights: Weights) -> Memory:
    """Advances an LSTM by one token: C' = f * C + i * g, h' = o * tanh(C').

    Hochreiter & Schmidhuber 1997 with the forget gate of Gers, Schmidhuber & Cummins 2000.

    Args:
        x: (B, E) input.
        memory: h and C, each (B, H); not modified.
        weights: one layer's, G = 4, in the order i, f, g, o.
    """
    _, c = memory
    i, f, g, o = lstm_gates(x, memory, weights)
    c = f * c + i * g
    return o * torch.tanh(c), c


def gru_gates(x: Tensor, memory: Memory, weights: Weights) -> GRUGates:
    """Returns the gates r, z and the candidate n of a GRU; arguments as in `gru_cell`."""
    (h,) = memory
    x_r, x_z, x_n = functional.linear(x, weights.w_ih, weights.b_ih).chunk(3, dim=-1)
    h_r, h_z, h_n = functional.linear(h, weights.w_hh, weights.b_hh).chunk(3, dim=-1)
    r, z = torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z)
    return GRUGates(r, z, torch.tanh(x_n + r * h_n))


def gru_cell(x: Tensor, memory: Memory, weights: Weights) -> Memory:
    """Advances a GRU by one token: h' = (1 - z) * n + z * h.

    Cho et al. 2014, in torch's variant: the reset gate acts after the product with W_hn (Cho et al.'s footnote form,
    the one that fused kernels compute).

    Args:
        x: (B, E) input.
        memory: h (B, H); not modified.
        weights: one layer's, G = 3, in the order r, z, n.
    """
    (h,) = memory
    _, z, n = gru_gates(x, memory, weights)
    return ((1 - z) * n + z * h,)


class Cell(NamedTuple):
    """A kind of cell."""

    step: Callable[[Tensor, Memory, Weights], Memory]
    num_gates: int
    num_memories: int  # LSTM h and C; the others h
    fused: Callable[[int, int], nn.RNNBase]  # torch's module that runs a whole window in one kernel


CELLS: Mapping[CellName, Cell] = MappingProxyType(
    {
        "rnn": Cell(rnn_cell, 1, 1, nn.RNN),
        "lstm": Cell(lstm_cell, 4, 2, nn.LSTM),
        "gru": Cell(gru_cell, 3, 1, nn.GRU),
    }
)


def run_layer(cell: CellName, xs: Tensor, memory: Memory, weights: Weights) -> tuple[Tensor, Memory]:
    """Runs one layer over a window, token by token: slow, and plain to read.

    Args:
        xs: (T, B, E) inputs.
        memory: of the layer, each (B, H).

    Returns:
        (T, B, H) outputs and the memory after the last token.
    """
    hs = []
    for x in xs:
        memory = CELLS[cell].step(x, memory, weights)
        hs.append(memory[0])
    return torch.stack(hs), memory


def layer_weights(layer: nn.RNNBase) -> Weights:
    """Returns the weights of a one-layer torch module as they are, not copied."""
    named = dict(layer.named_parameters())
    return Weights(named["weight_ih_l0"], named["weight_hh_l0"], named["bias_ih_l0"], named["bias_hh_l0"])
