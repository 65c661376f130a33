"""The recurrent cells as equations: the fused kernels and the steppers are tested against them.

A cell is a function from input and memory to the next memory; the first entry of a memory is the output h. Weights have
torch's layout, so the weights of a trained `nn.LSTM`, `nn.GRU` or `nn.RNN` fit unchanged: `w_ih` (G*H, E), `w_hh`
(G*H, H), two biases (G*H,), with G matrices stacked in torch's order: 1 for the RNN, 4 for the LSTM, 3 for the GRU, the
candidate counted among the gates. `*` is the
element-wise product.

Why gates: in the plain RNN a gradient that travels k tokens back is multiplied k times by W_hh^T diag(1 - h^2), so it
vanishes or explodes geometrically (Hochreiter 1991; Bengio, Simard & Frasconi 1994; Pascanu, Mikolov & Bengio 2013).
The LSTM's cell state C and the GRU's h instead pass through a sum with a gate that can stay open, near 1.

A new cell needs its equations and an entry in `CELLS` (and its name in `gen.config.CellName`, which the command line
lists without importing torch). It trains, samples and is evaluated with its equations alone; a fused module of torch
and compiled kernels make a cell faster.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

Memory = tuple[Tensor, ...]


class Products(Protocol):
    """The products of one layer's weights with its input x (B, E) and its last output h (B, H), each (B, G*H)."""

    def input_sums(self, x: Tensor) -> Tensor:
        """Returns W_ih x + b_ih."""
        ...

    def recurrent_sums(self, h: Tensor) -> Tensor:
        """Returns W_hh h + b_hh."""
        ...

    def sums(self, x: Tensor, h: Tensor) -> Tensor:
        """Returns W_ih x + b_ih + W_hh h + b_hh."""
        ...


class Weights(NamedTuple):
    """The parameters of one layer, as `nn.LSTM`, `nn.GRU` and `nn.RNN` name them, with their `Products`."""

    w_ih: Tensor  # (G*H, E)
    w_hh: Tensor  # (G*H, H)
    b_ih: Tensor  # (G*H,)
    b_hh: Tensor  # (G*H,)

    def input_sums(self, x: Tensor) -> Tensor:
        """Returns W_ih x + b_ih."""
        return functional.linear(x, self.w_ih, self.b_ih)

    def recurrent_sums(self, h: Tensor) -> Tensor:
        """Returns W_hh h + b_hh."""
        return functional.linear(h, self.w_hh, self.b_hh)

    def sums(self, x: Tensor, h: Tensor) -> Tensor:
        """Returns W_ih x + b_ih + W_hh h + b_hh."""
        return self.input_sums(x) + self.recurrent_sums(h)


class LSTMGates(NamedTuple):
    """The gates of an LSTM at one token, each (B, H)."""

    i: Tensor  # input gate: the share of the candidate that enters the cell
    f: Tensor  # forget gate: the share of the cell that is kept
    g: Tensor  # candidate
    o: Tensor  # output gate: the share of the cell that is shown


class GRUGates(NamedTuple):
    """The gates of a GRU at one token, each (B, H)."""

    r: Tensor  # reset gate: the share of h that the candidate sees
    z: Tensor  # update gate: the share of h that is kept
    n: Tensor  # candidate


def rnn_cell(x: Tensor, memory: Memory, weights: Products) -> Memory:
    """Advances a plain RNN by one token: h' = tanh(W_ih x + b_ih + W_hh h + b_hh).

    Elman 1990, equation as in torch.nn.RNN.

    Args:
        x: (B, E) input.
        memory: h (B, H); not modified.
        weights: of one layer, G = 1.
    """
    (h,) = memory
    return (torch.tanh(weights.sums(x, h)),)


def lstm_gates(x: Tensor, memory: Memory, weights: Products) -> LSTMGates:
    """Returns the gates i, f, g, o of an LSTM; arguments as in `lstm_cell`."""
    h, _ = memory
    i, f, g, o = weights.sums(x, h).chunk(4, dim=-1)
    return LSTMGates(torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o))


def lstm_cell(x: Tensor, memory: Memory, weights: Products) -> Memory:
    """Advances an LSTM by one token: C' = f * C + i * g, h' = o * tanh(C').

    Hochreiter & Schmidhuber 1997 with the forget gate of Gers, Schmidhuber & Cummins 2000.

    Args:
        x: (B, E) input.
        memory: h and C, each (B, H); not modified.
        weights: of one layer, G = 4, in the order i, f, g, o.
    """
    _, c = memory
    i, f, g, o = lstm_gates(x, memory, weights)
    c = f * c + i * g
    return o * torch.tanh(c), c


def gru_gates(x: Tensor, memory: Memory, weights: Products) -> GRUGates:
    """Returns the gates r, z and the candidate n of a GRU; arguments as in `gru_cell`."""
    (h,) = memory
    x_r, x_z, x_n = weights.input_sums(x).chunk(3, dim=-1)
    h_r, h_z, h_n = weights.recurrent_sums(h).chunk(3, dim=-1)
    r, z = torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z)
    return GRUGates(r, z, torch.tanh(x_n + r * h_n))


def gru_cell(x: Tensor, memory: Memory, weights: Products) -> Memory:
    """Advances a GRU by one token: h' = (1 - z) * n + z * h.

    Cho et al. 2014, in torch's variant: the reset gate multiplies W_hn h + b_hn, not h (the form of their footnote,
    which fused kernels compute).

    Args:
        x: (B, E) input.
        memory: h (B, H); not modified.
        weights: of one layer, G = 3, in the order r, z, n.
    """
    (h,) = memory
    _, z, n = gru_gates(x, memory, weights)
    return (n + z * (h - n),)  # the same with one product less


class Cell(NamedTuple):
    """A kind of cell.

    The equations must work unit by unit: a unit's next memory depends on its own sums and memory alone. The steppers
    rely on it when they add units of weight 0 to fill whole vectors.
    """

    step: Callable[[Tensor, Memory, Products], Memory]  # the equations
    num_gates: int  # G
    num_memories: int = 1  # 2 for the LSTM (h and C), else 1 (h)
    open_gate: int | None = None  # the gate whose bias starts at 1, so that a fresh network keeps its memory
    fused: Callable[..., nn.RNNBase] | None = None  # torch's module that runs a window in one kernel, if any
    gates: Callable[[Tensor, Memory, Products], LSTMGates | GRUGates] | None = None  # by name, if it has any


CELLS: dict[str, Cell] = {
    "rnn": Cell(rnn_cell, num_gates=1, fused=nn.RNN),
    "lstm": Cell(lstm_cell, num_gates=4, num_memories=2, open_gate=1, fused=nn.LSTM, gates=lstm_gates),
    "gru": Cell(gru_cell, num_gates=3, fused=nn.GRU, gates=gru_gates),
}


class PlainLayer(nn.Module):
    """The weights of a layer for whose cell torch has no module, named as in torch's modules; `run_layer` runs it."""

    def __init__(self, num_gates: int, input_size: int, hidden_size: int) -> None:
        super().__init__()
        num_rows = num_gates * hidden_size
        self.weight_ih_l0 = nn.Parameter(torch.zeros(num_rows, input_size))
        self.weight_hh_l0 = nn.Parameter(torch.zeros(num_rows, hidden_size))
        self.bias_ih_l0 = nn.Parameter(torch.zeros(num_rows))
        self.bias_hh_l0 = nn.Parameter(torch.zeros(num_rows))


def new_layer(cell: str, input_size: int, hidden_size: int) -> nn.Module:
    """Returns the module that holds one layer's weights: torch's fused one, or a `PlainLayer`."""
    kind = CELLS[cell]
    return kind.fused(input_size, hidden_size) if kind.fused else PlainLayer(kind.num_gates, input_size, hidden_size)


def layer_weights(layer: nn.Module) -> Weights:
    """Returns the weights of a layer themselves, not copies."""
    named = dict(layer.named_parameters())
    return Weights(named["weight_ih_l0"], named["weight_hh_l0"], named["bias_ih_l0"], named["bias_hh_l0"])


def run_layer(cell: str, xs: Tensor, memory: Memory, weights: Products) -> tuple[Tensor, Memory]:
    """Runs one layer over a window, token by token: the reference, slow but readable.

    Args:
        xs: (T, B, E) inputs.
        memory: the memory of the layer before the window, each (B, H).

    Returns:
        (T, B, H) outputs and the memory after the last token.
    """
    memories = list(layer_memories(cell, xs, memory, weights))
    return torch.stack([h for h, *_ in memories]), memories[-1]


def layer_memories(cell: str, xs: Iterable[Tensor], memory: Memory, weights: Products) -> Iterator[Memory]:
    """Yields the memory of one layer after each input; arguments as in `run_layer`."""
    for x in xs:
        memory = CELLS[cell].step(x, memory, weights)
        yield memory
