"""One token at a time in torch's own operations: what serves where the compiled kernel (gen.kernels.stepping) cannot.

On a CPU the matrices are reordered once into oneDNN's blocked layout, packed for a batch: measured on a Zen 5 core at
512 units, one row costs what a matrix-vector product costs (64 us), 64 rows 614 us against MKL's 1524, and a row's
result has the same bits whatever the number of rows, which MKL's products have not. Units are padded to whole vectors,
and each kernel does one rounding: torch computes the tail of an array, and arrays with gaps, in scalar code that fuses
and rounds otherwise. So a sample is the same alone or among others.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn import functional

from gen.config import CellName
from gen.models.cells import Memory, Weights

PACKED_BATCH = 64  # rows the packed layout is made for; with 1, one row takes another kernel and other bits
LANES = 32  # floats that torch's element-wise kernels take at once (two AVX-512 registers)

Product = Callable[[Tensor], Tensor]


class PackedModel:
    """A model's weights, copied and laid out once.

    Args:
        cell: whose equations.
        table: (V, G*H) the first layer's input product of every token, without biases.
        layers: from the input up.
        output: (V, H) from the top layer's h to the logits.
        bias: (V,) of the output.
    """

    def __init__(self, cell: CellName, table: Tensor, layers: Sequence[Weights], output: Tensor, bias: Tensor) -> None:
        self._advance = _ADVANCES[cell]
        self._size = output.shape[1]
        self.hidden_size = self._size + -self._size % LANES  # padded to whole vectors
        padded = [self._padded(weights, is_first=n == 0) for n, weights in enumerate(layers)]
        self._table = self.arranged(table) + padded[0].b_ih  # (V, G*H)
        self._layers = [_Layer(weights, is_first=n == 0, cell=cell) for n, weights in enumerate(padded)]
        self._output = packed_product(functional.pad(output, (0, self.hidden_size - self._size)), bias)

    def arranged(self, sums: Tensor) -> Tensor:
        """Returns (B, G*H) input products of the first layer with every gate padded."""
        gates = sums.view(len(sums), -1, self._size)
        return functional.pad(gates, (0, self.hidden_size - self._size)).flatten(1)

    @torch.inference_mode()
    def run(
        self, tokens: Tensor, memory: tuple[Tensor, ...], condition: Tensor | None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Advances every row by a token; a row's result has the same bits whatever the number of rows.

        Args:
            tokens: (B,) int64.
            memory: h, and C of an LSTM, each (L, B, H padded) float32; not modified.
            condition: added to the table's row, from `arranged`; None for none.

        Returns:
            (B, V) float32 logits and the next memory.
        """
        x = self._table[tokens]  # (B, G*H): layer 0's input product
        if condition is not None:
            x = x + condition
        memories = []
        for n, layer in enumerate(self._layers):
            memories.append(self._advance(layer, x, tuple(m[n] for m in memory)))
            x = memories[-1][0]
        return self._output(x), tuple(torch.stack(parts) for parts in zip(*memories, strict=True))

    def _padded(self, weights: Weights, *, is_first: bool) -> Weights:
        """Adds units whose weights are zero, so that they stay zero, up to whole vectors."""
        extra = self.hidden_size - self._size

        def rows(tensor: Tensor) -> Tensor:  # pads every gate of (G*H, ...)
            gates = tensor.detach().view(-1, self._size, *tensor.shape[1:])
            widths = (0, 0) * (tensor.dim() - 1) + (0, extra)
            return functional.pad(gates, widths).flatten(0, 1)

        w_ih = weights.w_ih if is_first else functional.pad(weights.w_ih, (0, extra))
        w_hh = functional.pad(weights.w_hh, (0, extra))
        return Weights(rows(w_ih), rows(w_hh), rows(weights.b_ih), rows(weights.b_hh))


class _Layer:
    """One layer's products. `x` is the input product itself for the first layer, else the output below."""

    def __init__(self, weights: Weights, *, is_first: bool, cell: str) -> None:
        self.is_first = is_first
        self.recurrent = packed_product(weights.w_hh, weights.b_hh)
        if cell == "gru":  # r acts on the recurrent half of n alone: the two products stay apart
            self.input = None if is_first else packed_product(weights.w_ih, weights.b_ih)
        elif not is_first:
            joined = torch.cat([weights.w_ih, weights.w_hh], dim=1)
            self.joint = packed_product(joined, weights.b_ih + weights.b_hh)

    def sums(self, x: Tensor, h: Tensor) -> Tensor:
        """Returns the (B, G*H) sums of input and recurrent product."""
        return x + self.recurrent(h) if self.is_first else self.joint(torch.cat([x, h], dim=1))

    def input_sums(self, x: Tensor) -> Tensor:
        """Returns the (B, G*H) input product alone."""
        return x if self.input is None else self.input(x)


def _advance_rnn(layer: _Layer, x: Tensor, memory: Memory) -> Memory:
    return (layer.sums(x, memory[0]).tanh_(),)


def _advance_lstm(layer: _Layer, x: Tensor, memory: Memory) -> Memory:
    h, c = memory
    i, f, g, o = layer.sums(x, h).chunk(4, dim=-1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def _advance_gru(layer: _Layer, x: Tensor, memory: Memory) -> Memory:
    (h,) = memory
    x_r, x_z, x_n = layer.input_sums(x).chunk(3, dim=-1)
    h_r, h_z, h_n = layer.recurrent(h).chunk(3, dim=-1)
    r, z = (x_r + h_r).sigmoid_(), (x_z + h_z).sigmoid_()
    n = (x_n + r * h_n).tanh_()
    return (n + z * (h - n),)


_ADVANCES: Mapping[CellName, Callable[[_Layer, Tensor, Memory], Memory]] = MappingProxyType(
    {"rnn": _advance_rnn, "lstm": _advance_lstm, "gru": _advance_gru}
)


def packed_product(weight: Tensor, bias: Tensor | None = None) -> Product:
    """Returns x (B, K) -> x weight^T + bias (B, N), with the weight laid out once for this machine."""
    weight = weight.detach().float().contiguous()
    bias = None if bias is None else bias.detach().float().contiguous()
    if weight.device.type == "cpu" and torch._C._has_mkldnn:
        packed = torch.ops.mkldnn._reorder_linear_weight(weight, PACKED_BATCH)
        return lambda x: torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", [], "")
    return lambda x: functional.linear(x, weight, bias)
