"""A recurrent layer over a whole window in the compiled kernels (window.c, packing.c), as a function of autograd."""

import ctypes
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gen.kernels.cells import COMPILED_CELLS
from gen.kernels.library import built, library

LANES, WIDE = 16, 64  # units of one vector, of one tile
BF16 = torch.bfloat16


def can_run_window(cell: str, x: Tensor, hidden_size: int) -> bool:
    """Tells whether `run_window` takes a layer: its cell and sizes, on this CPU, under autocast to bf16."""
    is_wanted = x.device.type == "cpu" and torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == BF16
    has_size = hidden_size % LANES == 0 and x.shape[-1] % 2 == 0
    return is_wanted and has_size and cell in COMPILED_CELLS and hasattr(library(), "gen_window_forward")


def run_window(
    cell: str, x: Tensor, memory: tuple[Tensor, ...], weights: Sequence[Tensor]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Runs one layer: products of bf16 summed in float32, gates and memory in float32.

    Args:
        cell: one of COMPILED_CELLS.
        x: (T, B, E) inputs.
        memory: h, and C of an LSTM, each (B, H) float32; not modified.
        weights: w_ih, w_hh, b_ih, b_hh in torch's layout, float32.

    Returns:
        (T, B, H) bf16 outputs and the float32 memory after the last token.
    """
    c = memory[1] if len(memory) > 1 else None
    ys, h, c = _Window.apply(cell, torch.is_grad_enabled(), x.to(BF16), memory[0], c, *weights)  # type: ignore[no-untyped-call]
    return ys, (h,) if c is None else (h, c)


class _Window(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, cell: str, is_kept: bool, x: Tensor, h: Tensor, c: Tensor | None, *weights: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        x = x.contiguous()
        hs, memory, gates = _forward(cell, x, h, c, [w.contiguous() for w in weights], is_kept=is_kept)
        ctx.cell = cell
        ctx.save_for_backward(x, hs, memory, gates, *weights[:2])
        last = memory.view(-1, *h.shape)[-1]
        ys = hs[1:]
        if cell == "lstm":
            return ys, ys[-1].float(), last.clone()
        return ys, last.clone() if cell == "gru" else ys[-1].float(), None

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        x, hs, memory, gates, w_ih, w_hh = ctx.saved_tensors
        dh, dc, dsums, dsums_h, db = _backward(ctx.cell, hs, memory, gates, w_hh, grads)
        before = hs[:-1].reshape(-1, hs.shape[-1])
        dx = (dsums @ w_ih.to(BF16)).view_as(x) if ctx.needs_input_grad[2] else None
        dw_ih, dw_hh = (dsums.t() @ x.view(-1, x.shape[-1])).float(), (dsums_h.t() @ before).float()
        db_ih = db[: COMPILED_CELLS[ctx.cell].num_gates].flatten()
        db_hh = db[[0, 1, 3]].flatten() if ctx.cell == "gru" else db_ih
        return None, None, dx, dh, dc if ctx.cell == "lstm" else None, dw_ih, dw_hh, db_ih, db_hh


def _forward(
    cell: str, x: Tensor, h: Tensor, c: Tensor | None, weights: list[Tensor], *, is_kept: bool
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Returns h (T + 1, B, H), the float32 memory, and the gates (T, B, S, H), which are None unless `is_kept`.

    The memory is C (T + 1, B, H) of an LSTM whose gates are kept, else the last memory (B, H).
    """
    (length, num_rows, width), hidden_size = x.shape, h.shape[-1]
    hs = torch.empty(length + 1, num_rows, hidden_size, dtype=BF16)
    hs[0] = h
    keeps_cells = cell == "lstm" and is_kept
    memory = torch.empty(length + 1 if keeps_cells else 1, num_rows, hidden_size)
    memory[0] = h if c is None else c
    num_kept = {"rnn": 0, "lstm": 4, "gru": 4}[cell] if is_kept else 0
    gates = torch.empty(length, num_rows, num_kept, hidden_size, dtype=BF16) if num_kept else None
    packed, bias = _packed(cell, width, hidden_size, weights)
    sizes = [ctypes.c_size_t(n) for n in (length, num_rows, width, hidden_size)]
    memory_step = ctypes.c_size_t(num_rows * hidden_size if keeps_cells else 0)
    built().gen_window_forward(
        _threads(num_rows),
        COMPILED_CELLS[cell].num_gates,
        *sizes,
        *_at(x, hs, memory),
        memory_step,
        *_at(packed, bias, gates),
    )
    return hs, memory if keeps_cells else memory[0], gates


def _backward(
    cell: str, hs: Tensor, memory: Tensor, gates: Tensor | None, w_hh: Tensor, grads: Sequence[Tensor | None]
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Returns the gradients of h and C before the window, each (B, H), of the sums of the input product and of the
    recurrent product, each (T * B, G * H), and of the biases: these sums added over all tokens and rows, (S, H).
    """
    length, num_rows, hidden_size = hs.shape[0] - 1, *hs.shape[1:]
    dy, dh_last, dc_last = grads
    dy = torch.zeros_like(hs[1:]) if dy is None else dy.to(BF16).contiguous()
    dh = torch.zeros(num_rows, -(-hidden_size // WIDE) * WIDE)
    if dh_last is not None:
        dh[:, :hidden_size] = dh_last
    dc = torch.zeros(num_rows, hidden_size) if dc_last is None else dc_last.clone()
    height = COMPILED_CELLS[cell].num_gates * hidden_size
    dsums = torch.empty(length * num_rows, height, dtype=BF16)
    dsums_h = torch.empty_like(dsums) if cell == "gru" else dsums
    packed = torch.empty(dh.shape[1] * height, dtype=BF16)
    size = ctypes.c_size_t
    threads = _threads(num_rows)
    built().gen_window_pack_backward(threads, size(height), size(hidden_size), *_at(w_hh.contiguous(), packed))
    sizes = [size(n) for n in (length, num_rows, hidden_size)]
    db = torch.zeros(threads, COMPILED_CELLS[cell].num_sums, hidden_size)
    pointers = _at(hs, memory, gates, dy, packed, dh, dc, dsums, dsums_h, db)
    built().gen_window_backward(threads, COMPILED_CELLS[cell].num_gates, *sizes, *pointers)
    return dh[:, :hidden_size].contiguous(), dc, dsums, dsums_h, db.sum(0)


def _packed(cell: str, width: int, hidden_size: int, weights: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Returns weights and biases in the order in which the forward kernel reads them."""
    num_vectors, units = (4, WIDE) if cell == "rnn" else (COMPILED_CELLS[cell].num_gates, LANES)
    num_blocks = -(-hidden_size // units)
    packed = torch.zeros(num_blocks * (width + hidden_size) * LANES * num_vectors, dtype=BF16)
    bias = torch.zeros(num_blocks * WIDE)
    sizes = ctypes.c_size_t(width), ctypes.c_size_t(hidden_size)
    built().gen_window_pack_forward(
        torch.get_num_threads(), COMPILED_CELLS[cell].num_gates, *sizes, *_at(*weights, packed, bias)
    )
    return packed, bias


def _threads(num_rows: int) -> int:
    return min(torch.get_num_threads(), num_rows)


def _at(*tensors: Tensor | None) -> list[ctypes.c_void_p]:
    """Returns the addresses of contiguous tensors; NULL for None."""
    return [ctypes.c_void_p(None if tensor is None else tensor.data_ptr()) for tensor in tensors]
