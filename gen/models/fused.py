"""The cells for a CUDA device: all that follows a layer's products in one operation.

Called one by one, the equations of an LSTM launch ten kernels, each of which takes a GPU longer to begin than to
compute. torch has the element-wise part of nn.LSTMCell and nn.GRUCell as an operation of its own on CUDA, which also
adds the two products: so the first layer, whose input product is looked up, takes one product and one element-wise
operation. A cell that is not listed here runs by its equations, as all cells do elsewhere.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from gen.models.cells import CELLS, Memory, Products


def fused_lstm_cell(x: Tensor, memory: Memory, weights: Products) -> Memory:
    """Advances an LSTM by one token, as `gen.models.cells.lstm_cell` does."""
    h, c = memory
    sums = weights.input_sums(x), weights.recurrent_sums(h)
    h, c, _ = torch.ops.aten._thnn_fused_lstm_cell(*sums, c)
    return h, c


def fused_gru_cell(x: Tensor, memory: Memory, weights: Products) -> Memory:
    """Advances a GRU by one token, as `gen.models.cells.gru_cell` does."""
    (h,) = memory
    sums = weights.input_sums(x), weights.recurrent_sums(h)
    h, _ = torch.ops.aten._thnn_fused_gru_cell(*sums, h)
    return (h,)


FUSED_CELLS = {"lstm": fused_lstm_cell, "gru": fused_gru_cell}


def cell_step(cell: str, device: torch.device) -> Callable[[Tensor, Memory, Products], Memory]:
    """Returns what advances a cell on a device."""
    equations = CELLS[cell].step
    return FUSED_CELLS.get(cell, equations) if device.type == "cuda" else equations
