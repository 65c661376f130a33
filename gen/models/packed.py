"""One token at a time in torch's own operations, where there is no compiled kernel (gen.kernels.stepping).

The equations are those of gen.models.cells; only the products differ. In fp16 the factors and the sums of a product are
rounded, which a GPU adds up in float32; memories and gates stay float32.

On a CPU the matrices are reordered once into oneDNN's blocked layout, packed for a batch: measured on a Zen 5 core at
512 units, one row costs what a matrix-vector product costs (64 us), and 64 rows 614 us against MKL's 1524. A row's
result has the same bits whatever the number of rows, unlike with MKL's products. So that this holds for the
element-wise operations too, units are padded to whole vectors and each operation rounds once: torch computes the tail
of an array, and arrays with gaps, in scalar code that fuses operations and rounds otherwise.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from gen.models.cells import Weights
from gen.models.fused import cell_step

PACKED_BATCH = 64  # rows that the layout is made for; with 1, one row takes another kernel and gets other bits
LANES = 32  # floats that torch's element-wise kernels take at once (two AVX-512 registers)

Product = Callable[[Tensor], Tensor]


class PackedModel:
    """A model's weights, copied and laid out once.

    Args:
        cell: the name of its equations.
        table: (V, G*H) the first layer's input product of every token, without biases.
        layers: from the input up.
        output: (V, H) from the top layer's h to the logits.
        bias: (V,) of the output.
        dtype: of the weights in the products; the table stays float32.
    """

    def __init__(
        self,
        cell: str,
        table: Tensor,
        layers: Sequence[Weights],
        output: Tensor,
        bias: Tensor,
        *,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._advance = cell_step(cell, table.device)
        self._size = output.shape[1]
        self.hidden_size = self._size + -self._size % LANES  # padded to whole vectors
        padded = [self._padded(weights, is_first=n == 0) for n, weights in enumerate(layers)]
        self._table = self.arranged(table) + padded[0].b_ih  # (V, G*H)
        self._layers = [PackedProducts(weights, dtype, is_first=n == 0) for n, weights in enumerate(padded)]
        self._output = packed_product(functional.pad(output, (0, self.hidden_size - self._size)), bias, dtype)

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
            memory: of the cell, each (L, B, H padded) float32; not modified.
            condition: added to the table's row, from `arranged`; None for none.

        Returns:
            (B, V) float32 logits and the next memory.
        """
        x = self._table[tokens]  # (B, G*H): layer 0's input product
        if condition is not None:
            x = x + condition
        memories = []
        for n, layer in enumerate(self._layers):
            memories.append(self._advance(x, tuple(m[n] for m in memory), layer))
            x = memories[-1][0]
        return self._output(x), tuple(_stacked(parts) for parts in zip(*memories, strict=True))

    def _padded(self, weights: Weights, *, is_first: bool) -> Weights:
        """Adds units of weight 0 up to whole vectors; no other unit reads them."""
        extra = self.hidden_size - self._size

        def rows(tensor: Tensor) -> Tensor:  # pads every gate of (G*H, ...)
            gates = tensor.detach().view(-1, self._size, *tensor.shape[1:])
            widths = (0, 0) * (tensor.dim() - 1) + (0, extra)
            return functional.pad(gates, widths).flatten(0, 1)

        w_ih = weights.w_ih if is_first else functional.pad(weights.w_ih, (0, extra))
        w_hh = functional.pad(weights.w_hh, (0, extra))
        return Weights(rows(w_ih), rows(w_hh), rows(weights.b_ih), rows(weights.b_hh))


class PackedProducts:
    """One layer's `gen.models.cells.Products`. The first layer's x is its input product itself, from the table."""

    def __init__(self, weights: Weights, dtype: torch.dtype, *, is_first: bool) -> None:
        self._is_first = is_first
        self.recurrent_sums = packed_product(weights.w_hh, weights.b_hh, dtype)
        if not is_first:
            self._input = packed_product(weights.w_ih, weights.b_ih, dtype)
            joined = torch.cat([weights.w_ih, weights.w_hh], dim=1)
            self._joint = packed_product(joined, weights.b_ih + weights.b_hh, dtype)

    def input_sums(self, x: Tensor) -> Tensor:
        """Returns W_ih x + b_ih."""
        return x if self._is_first else self._input(x)

    def sums(self, x: Tensor, h: Tensor) -> Tensor:
        """Returns W_ih x + b_ih + W_hh h + b_hh, in one product if it can."""
        return x + self.recurrent_sums(h) if self._is_first else self._joint(torch.cat([x, h], dim=1))


def packed_product(weight: Tensor, bias: Tensor | None = None, dtype: torch.dtype = torch.float32) -> Product:
    """Returns x (B, K) -> x weight^T + bias (B, N) in float32, with the weight laid out once for this machine.

    Args:
        weight: (N, K).
        bias: (N,); None for none.
        dtype: in which weight, x and bias are multiplied.
    """
    weight = weight.detach().to(dtype).contiguous()
    bias = None if bias is None else bias.detach().to(dtype).contiguous()
    if dtype != torch.float32:
        return lambda x: functional.linear(x.to(dtype), weight, bias).float()
    if weight.device.type == "cpu" and torch._C._has_mkldnn:
        packed = torch.ops.mkldnn._reorder_linear_weight(weight, PACKED_BATCH)
        return lambda x: torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", [], "")
    return lambda x: functional.linear(x, weight, bias)


def _stacked(parts: tuple[Tensor, ...]) -> Tensor:
    """Returns the (L, B, H) memory of all layers; that of one layer is not copied."""
    return parts[0][None] if len(parts) == 1 else torch.stack(parts)
