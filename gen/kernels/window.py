"""A recurrent layer over a whole window in the compiled kernels (window.h, packing.h), as a function of autograd."""

import ctypes
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gen.kernels.cells import COMPILED_CELLS
from gen.kernels.library import built, library
from gen.kernels.pool import num_threads, run_all
from gen.kernels.products import pieces_of_gradient, pieces_of_product, turned

VECTORS = 4  # of a block's sums
TILE_INPUTS = 32  # AMX multiplies as many at once
MAX_GROUPS = 64
# Rows of a group: with fewer, its time goes into reading weights. TILE_GROUP: of AMX; UNIT_GROUP: of stages without it.
MIN_ROWS, UNIT_GROUP, TILE_GROUP = 4, 8, 16
# Bytes of recurrent weights from which on units are divided: smaller ones stay in each core's cache anyway, and a wait
# at each token costs more (24 rows of 128 units in bf16 on two threads: 5.5 ms against 4.4; a row of 512 in fp32: 9.1
# against 19.8).
UNITS_FROM = 3 << 19
THREAD_WORK = 1 << 20  # multiply-adds that are worth another thread
SUFFIXES = {torch.float32: "fp32", torch.bfloat16: "bf16"}


def can_run_window(cell: str, x: Tensor, hidden_size: int) -> bool:
    """Tells whether `run_window` takes a layer: its cell, sizes and type, here and under the autocast of this block."""
    return x.device.type == "cpu" and has_window(cell, type_of_products(x), x.shape[-1], hidden_size)


def has_window(cell: str, dtype: torch.dtype, width: int, hidden_size: int) -> bool:
    """Tells whether layers of a cell with (T, B, width) inputs run in the kernels with products of `dtype`."""
    if cell not in COMPILED_CELLS or not has_products(dtype):
        return False
    return hidden_size % _lanes() == 0 and (dtype == torch.float32 or width % 2 == 0)


def has_products(dtype: torch.dtype) -> bool:
    """Tells whether the kernels of training are built for products of `dtype`."""
    return dtype in SUFFIXES and hasattr(library(), f"gen_window_forward_{SUFFIXES[dtype]}")


def type_of_products(x: Tensor) -> torch.dtype:
    """Returns the type in which a matrix product with x is computed: that of autocast, if it is on, or x's own."""
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype


def run_window(
    cell: str, x: Tensor, memory: tuple[Tensor, ...], weights: Sequence[Tensor]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Runs one layer: products of bf16 or float32 summed in float32, gates and memory in float32.

    Args:
        cell: one of COMPILED_CELLS.
        x: (T, B, E) inputs; under autocast to bf16 the products are of bf16.
        memory: h, and C of an LSTM, each (B, H) float32; not modified.
        weights: w_ih, w_hh, b_ih, b_hh in torch's layout, float32.

    Returns:
        (T, B, H) outputs in the type of the products, and the float32 memory after the last token.
    """
    c = memory[1] if len(memory) > 1 else None
    x = x.to(type_of_products(x))
    ys, h, c = _Window.apply(cell, torch.is_grad_enabled(), x, memory[0], c, *weights)  # type: ignore[no-untyped-call]
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
        before, inputs = hs[:-1].reshape(-1, hs.shape[-1]), x.view(-1, x.shape[-1])
        dx = torch.empty_like(inputs) if ctx.needs_input_grad[2] else None
        needs_weights = any(ctx.needs_input_grad[5:7])
        dw_ih, dw_hh = (torch.empty_like(w) if needs_weights else None for w in (w_ih, w_hh))
        pieces = []
        if dw_ih is not None and dw_hh is not None:
            before, inputs = turned((before, inputs))
            pieces += [*pieces_of_gradient(dsums_h, before, dw_hh), *pieces_of_gradient(dsums, inputs, dw_ih)]
        if dx is not None:
            pieces += pieces_of_product(dsums, w_ih.to(x.dtype), dx)
        run_all(pieces)
        db_ih = db[: COMPILED_CELLS[ctx.cell].num_gates].flatten()
        db_hh = db[[0, 1, 3]].flatten() if ctx.cell == "gru" else db_ih
        dx = None if dx is None else dx.view_as(x)
        return None, None, dx, dh, dc if ctx.cell == "lstm" else None, dw_ih, dw_hh, db_ih, db_hh


class _Split(NamedTuple):
    """The pieces of a window that threads take."""

    num_groups: int  # of rows
    by_units: bool  # whether each token is a stage, of blocks of units for each group


class _Weights(ctypes.Structure):
    """The structure Weights of packing.h."""

    _fields_ = (
        *((name, ctypes.c_size_t) for name in ("cell", "E", "H")),
        *((name, ctypes.c_void_p) for name in ("w_ih", "w_hh", "b_ih", "b_hh", "weights", "bias")),
    )


class _Turned(ctypes.Structure):
    """The structure Turned of packing.h."""

    _fields_ = (
        *((name, ctypes.c_size_t) for name in ("K", "H")),
        *((name, ctypes.c_void_p) for name in ("w_hh", "weights")),
    )


class _ForwardPass(ctypes.Structure):
    """The structure Forward of window.h."""

    _fields_ = (
        *((name, ctypes.c_size_t) for name in ("cell", "T", "B", "E", "H", "num_groups", "by_units", "has_tiles")),
        *((name, ctypes.c_void_p) for name in ("x", "h", "memory")),
        ("memory_step", ctypes.c_size_t),
        *((name, ctypes.c_void_p) for name in ("weights", "bias", "gates")),
    )


class _BackwardPass(ctypes.Structure):
    """The structure Backward of window.h."""

    _fields_ = (
        *((name, ctypes.c_size_t) for name in ("cell", "T", "B", "H", "num_groups", "by_units", "has_tiles")),
        *(
            (name, ctypes.c_void_p)
            for name in ("h", "memory", "gates", "dy", "weights", "dh", "dc", "dsums", "dsums_h", "db")
        ),
    )


def _forward(
    cell: str, x: Tensor, h: Tensor, c: Tensor | None, weights: list[Tensor], *, is_kept: bool
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Returns h (T + 1, B, H), the float32 memory, and the gates (T, B, S, H), which are None unless `is_kept`.

    The memory is C (T + 1, B, H) of an LSTM whose gates are kept, else the last memory (B, H).
    """
    (length, num_rows, width), hidden_size = x.shape, h.shape[-1]
    hs = torch.empty(length + 1, num_rows, hidden_size, dtype=x.dtype)
    hs[0] = h
    keeps_cells = cell == "lstm" and is_kept
    memory = torch.empty(length + 1 if keeps_cells else 1, num_rows, hidden_size)
    memory[0] = h if c is None else c
    num_kept = {"rnn": 0, "lstm": 4, "gru": 4}[cell] if is_kept else 0
    gates = torch.empty(length, num_rows, num_kept, hidden_size, dtype=x.dtype) if num_kept else None
    packed, bias = _packed(cell, x.dtype, width, hidden_size, weights)
    num_gates = COMPILED_CELLS[cell].num_gates
    threads = _threads(length * num_rows * num_gates * hidden_size * (width + hidden_size))
    has_tiles = _has_tiles(x.dtype, width, hidden_size)
    window = _ForwardPass(
        cell=num_gates,
        T=length,
        B=num_rows,
        E=width,
        H=hidden_size,
        **_split(
            num_rows, threads, has_tiles=has_tiles, num_bytes=num_gates * hidden_size**2 * x.element_size()
        )._asdict(),
        has_tiles=has_tiles,
        x=_at(x),
        h=_at(hs),
        memory=_at(memory),
        memory_step=num_rows * hidden_size if keeps_cells else 0,
        weights=_at(packed),
        bias=_at(bias),
        gates=_at(gates),
    )
    _call("gen_window_forward", x.dtype, window, threads)
    return hs, memory if keeps_cells else memory[0], gates


def _backward(
    cell: str, hs: Tensor, memory: Tensor, gates: Tensor | None, w_hh: Tensor, grads: Sequence[Tensor | None]
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Returns the gradients of h and C before the window, each (B, H), of the sums of the input product and of the
    recurrent product, each (T * B, G * H), and of the biases: these sums added over all tokens and rows, (S, H).
    """
    length, num_rows, hidden_size = hs.shape[0] - 1, *hs.shape[1:]
    (dy, dh_last, dc_last), dtype, num_gates = grads, hs.dtype, COMPILED_CELLS[cell].num_gates
    dy = torch.zeros_like(hs[1:]) if dy is None else dy.to(dtype).contiguous()
    wide = VECTORS * _lanes()
    dh = torch.zeros(num_rows, -(-hidden_size // wide) * wide)
    if dh_last is not None:
        dh[:, :hidden_size] = dh_last
    dc = torch.zeros(num_rows, hidden_size) if dc_last is None else dc_last.clone()
    height = num_gates * hidden_size
    dsums = torch.empty(length * num_rows, height, dtype=dtype)
    dsums_h = torch.empty_like(dsums) if cell == "gru" else dsums
    packed = torch.empty(dh.shape[1] * height, dtype=dtype)
    w_hh = w_hh.contiguous()
    _call(
        "gen_window_pack_backward",
        dtype,
        _Turned(K=height, H=hidden_size, w_hh=_at(w_hh), weights=_at(packed)),
        _threads(w_hh.numel()),
    )
    db = torch.zeros(num_rows, COMPILED_CELLS[cell].num_sums, hidden_size)
    threads = _threads(length * num_rows * height * hidden_size)
    has_tiles = _has_tiles(dtype, height)
    window = _BackwardPass(
        cell=num_gates,
        T=length,
        B=num_rows,
        H=hidden_size,
        **_split(num_rows, threads, has_tiles=has_tiles, num_bytes=w_hh.numel() * hs.element_size())._asdict(),
        has_tiles=has_tiles,
        h=_at(hs),
        memory=_at(memory),
        gates=_at(gates),
        dy=_at(dy),
        weights=_at(packed),
        dh=_at(dh),
        dc=_at(dc),
        dsums=_at(dsums),
        dsums_h=_at(dsums_h),
        db=_at(db),
    )
    _call("gen_window_backward", dtype, window, threads)
    return dh[:, :hidden_size].contiguous(), dc, dsums, dsums_h, db.sum(0)


def _packed(
    cell: str, dtype: torch.dtype, width: int, hidden_size: int, weights: list[Tensor]
) -> tuple[Tensor, Tensor]:
    """Returns weights and biases in the order in which the forward kernel reads them."""
    num_gates, lanes = COMPILED_CELLS[cell].num_gates, _lanes()
    num_vectors, units = (VECTORS, VECTORS * lanes) if cell == "rnn" else (num_gates, lanes)
    num_blocks = -(-hidden_size // units)
    new = torch.zeros if hidden_size % units else torch.empty  # what no unit fills is read too
    packed = new(num_blocks * (width + hidden_size) * lanes * num_vectors, dtype=dtype)
    bias = torch.zeros(num_blocks * VECTORS * lanes)
    w_ih, w_hh, b_ih, b_hh = map(_at, weights)
    given = _Weights(num_gates, width, hidden_size, w_ih, w_hh, b_ih, b_hh, _at(packed), _at(bias))
    _call("gen_window_pack_forward", dtype, given, _threads(packed.numel()))
    return packed, bias


def _call(function: str, dtype: torch.dtype, structure: ctypes.Structure, threads: int) -> None:
    """Calls the function of the kernels for this type."""
    getattr(built(), f"{function}_{SUFFIXES[dtype]}")(ctypes.byref(structure), threads)


@cache
def _lanes() -> int:
    """Returns the number of floats in a vector of this processor."""
    return int(built().gen_lanes())


def _has_tiles(dtype: torch.dtype, *inputs: int) -> bool:
    """Tells whether products with so many inputs are computed by AMX."""
    has_sizes = all(size % TILE_INPUTS == 0 for size in inputs)
    return dtype == torch.bfloat16 and has_sizes and hasattr(built(), "gen_has_tiles") and bool(built().gen_has_tiles())


def _threads(work: int) -> int:
    """Returns the number of threads for so many multiply-adds."""
    return max(1, min(num_threads(), work // THREAD_WORK))


def _split(num_rows: int, threads: int, *, has_tiles: bool, num_bytes: int) -> _Split:
    """Returns the pieces for some threads: two groups of rows a thread, if they are large enough.

    For more threads than such groups it is blocks of units too, of at least TILE_GROUP or UNIT_GROUP rows.

    Args:
        num_bytes: of the recurrent weights.
    """
    if threads == 1:
        return _Split(1, by_units=False)
    rows = TILE_GROUP if has_tiles else UNIT_GROUP
    if threads > max(1, num_rows // rows) and num_bytes >= UNITS_FROM:
        return _Split(min(MAX_GROUPS, -(-num_rows // rows)), by_units=True)
    least, most = TILE_GROUP if has_tiles else MIN_ROWS, min(threads, -(-num_rows // MIN_ROWS))
    return _Split(min(MAX_GROUPS, max(most, min(2 * threads, num_rows // least))), by_units=False)


def _at(tensor: Tensor | None) -> int | None:
    """Returns the address of a contiguous tensor; NULL for None."""
    return None if tensor is None else tensor.data_ptr()
