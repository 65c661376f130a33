"""One token of every row through a whole recurrent model, in one call of the compiled kernel (stepper.c).

For one row most of the time goes into reading the weights, each once a token. So they are laid out once, in the order
in which they are read, on pages of two megabytes where the system has them.

With int8 the weights of an output are whole numbers up to 127, with one scale for each output. h, which lies between -1
and 1, is rounded in the same way. The products are exact integers, and a quarter of the bytes is read. Sums, gates,
memory, biases and the table of the first layer stay float32.
"""

import ctypes
import mmap
import time
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from gen.kernels.cells import COMPILED_CELLS
from gen.kernels.choice import ThreadChoice
from gen.kernels.library import built, library
from gen.kernels.pool import num_threads

SLOTS = 4  # vectors of sums in a block, as in stepper.c, as are the numbers below
MAX_QUANTISED = 127.0  # the greatest quantised number
GROUP = 4  # bytes that one instruction multiplies and adds
HUGE_PAGE = 1 << 21  # bytes
READ_CHUNK = 1 << 10  # floats, as in reading.c


class Layer(NamedTuple):
    """The float32 weights of one layer, in torch's layout."""

    w_ih: Tensor  # (G*H, H); not used in the first layer
    w_hh: Tensor  # (G*H, H)
    b_ih: Tensor  # (G*H,)
    b_hh: Tensor  # (G*H,)


class _Product(ctypes.Structure):
    _fields_ = (
        ("is_int8", ctypes.c_int64),
        ("width", ctypes.c_int64),
        ("weights", ctypes.c_void_p),
        ("scales", ctypes.c_void_p),
        ("starts", ctypes.c_void_p),
    )


class _Layer(ctypes.Structure):
    _fields_ = (("input", _Product), ("recurrent", _Product), ("bias", ctypes.c_void_p))


class _Model(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int64) for name in ("cell", "is_int8", "L", "H", "V", "work")),
        ("table", ctypes.c_void_p),
        ("layers", ctypes.POINTER(_Layer)),
        ("output", _Product),
        ("bias", ctypes.c_void_p),
    )


class Step(ctypes.Structure):
    """One token of every row: the structure of stepper.h."""

    _fields_ = (
        ("model", ctypes.POINTER(_Model)),
        ("B", ctypes.c_int64),
        ("is_flipped", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("tokens", "h", "c", "condition", "next_h", "next_c", "logits", "bytes")),
    )


def has_step_kernel() -> bool:
    """Tells whether `StepKernel` can be made on this machine: kernels are compiled."""
    return hasattr(library(), "gen_step_run")


def weights_to_read(num_bytes: int) -> Tensor:
    """Returns (N,) float32 zeros of at least this many bytes, in memory like that of a stepper's weights."""
    part = READ_CHUNK * num_threads()
    return _aligned(torch.Size([-(-num_bytes // (4 * part)) * part]), torch.float32).zero_()


def read_weights(weights: Tensor, passes: int) -> int:
    """Reads (N,) float32 `passes` times as a step reads its weights, and does nothing else; returns the bytes read."""
    threads = num_threads()
    sums = torch.empty(threads)
    given = ctypes.c_void_p(weights.data_ptr()), ctypes.c_size_t(len(weights)), passes, threads
    built().gen_step_read(*given, ctypes.c_void_p(sums.data_ptr()))
    return passes * threads * (len(weights) // threads // READ_CHUNK * READ_CHUNK) * 4


class StepKernel:
    """A model's weights, copied and laid out for the kernel.

    Args:
        cell: one of COMPILED_CELLS.
        table: (V, G*H) the first layer's input product of every token, without biases.
        layers: from the input up.
        output: (V, H) from the top layer's h to the logits.
        bias: (V,) of the output.
        is_int8: whether the weights of the products are kept as int8.
    """

    def __init__(
        self, cell: str, table: Tensor, layers: Sequence[Layer], output: Tensor, bias: Tensor, *, is_int8: bool
    ) -> None:
        # PYFUNCTYPE keeps the interpreter's lock: to release it and take it again costs too much for so short a call.
        self._advance = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)(("gen_step_run", built()))
        assert _sizes_agree()
        self._lanes = int(built().gen_lanes())  # floats of a vector on this processor
        self._num_gates, self._num_sums = COMPILED_CELLS[cell]
        self._units = SLOTS // self._num_sums * self._lanes  # of a block
        self.is_int8, self.num_layers, self.vocab_size = is_int8, len(layers), len(table)
        self.hidden_size = -(-output.shape[1] // self._units) * self._units  # padded to whole blocks
        self._kept: list[Tensor] = []  # the tensors that the structures point to
        packed = [self._layer(layer, is_first=n == 0) for n, layer in enumerate(layers)]
        width = min((4, 3), key=lambda w: -(-len(output) // (w * self._lanes)) * w)  # the width that pads less
        logits = _blocks(bias, 1, width * self._lanes)
        matrices = [layers[0].w_hh, *(weights for layer in layers[1:] for weights in layer[:2]), output]
        self.work = sum(weights.numel() for weights in matrices)  # multiply-adds of a row
        self.model = _Model(
            cell=self._num_gates,
            is_int8=is_int8,
            L=len(layers),
            H=self.hidden_size,
            V=len(table),
            work=self.work,
            table=self._at(self.arranged(table)),
            layers=(_Layer * len(layers))(*packed),
            output=self._product(output, 1, width * self._lanes),
            bias=self._at(functional.pad(logits, (0, SLOTS * self._lanes - logits.shape[1]))),
        )
        self._step = Step(model=ctypes.pointer(self.model))
        self._at_step = ctypes.addressof(self._step)
        self._bytes = torch.empty(0, dtype=torch.uint8)
        self._num_rows, self._choice = 0, ThreadChoice(1)  # of the last step

    def arranged(self, sums: Tensor) -> Tensor:
        """Returns (B, G*H) input products of the first layer in the layout of `run`: (B, G*H padded)."""
        return _blocks(sums.t(), self._num_gates, self._units).flatten(0, 1).t().contiguous()

    def run(
        self, tokens: Tensor, memory: tuple[Tensor, ...], condition: Tensor | None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Advances every row by a token; a row's result has the same bits whatever the number of rows and threads.

        Args:
            tokens: (B,) int64.
            memory: h, and C of an LSTM, each (L, B, H padded) float32; not modified.
            condition: added to the table's row, from `arranged`; None for none.

        Returns:
            (B, V) float32 logits and the next memory. Raises IndexError if a token is not of the vocabulary.
        """
        num_rows, step = len(tokens), self._step
        tokens, memory = tokens.contiguous(), tuple([m.contiguous() for m in memory])
        logits = torch.empty(num_rows, self.vocab_size)
        following = tuple([torch.empty_like(m) for m in memory])
        if self.is_int8 and len(self._bytes) < 2 * memory[0].numel():
            self._bytes = self.room_for_bytes(num_rows)
            step.bytes = self._bytes.data_ptr()
        if condition is not None:
            condition = condition.contiguous()
        step.B, step.is_flipped = num_rows, not step.is_flipped
        step.tokens, step.condition = tokens.data_ptr(), None if condition is None else condition.data_ptr()
        step.h, step.next_h = memory[0].data_ptr(), following[0].data_ptr()
        step.c, step.next_c = memory[-1].data_ptr(), following[-1].data_ptr()
        step.logits = logits.data_ptr()
        most = num_threads()
        has_failed = self._advance(self._at_step, 1) if most == 1 else self._advance_on_some(most, num_rows)
        if has_failed:
            raise IndexError(f"tokens: not of a vocabulary of {self.vocab_size} ({tokens.tolist()})")
        return logits, following

    def _advance_on_some(self, most: int, num_rows: int) -> int:
        """Calls the kernel on the number of threads that is best for so many rows; returns its result."""
        if (num_rows, most) != (self._num_rows, self._choice.most):
            self._num_rows, self._choice = num_rows, ThreadChoice(most)
        started = time.perf_counter()
        result: int = self._advance(self._at_step, self._choice.threads)
        self._choice.add(num_rows, time.perf_counter() - started)
        return result

    def room_for_bytes(self, num_rows: int) -> Tensor:
        """Returns working memory for `Step.bytes`."""
        return torch.empty(2 * self.num_layers * num_rows * self.hidden_size if self.is_int8 else 0, dtype=torch.uint8)

    def _layer(self, layer: Layer, *, is_first: bool) -> _Layer:
        b_ih, b_hh = layer.b_ih, layer.b_hh
        if self._num_sums > self._num_gates:  # a GRU's candidate keeps its two products apart
            r_and_z = 2 * len(b_ih) // 3
            b_ih, b_hh = torch.cat([b_ih, b_hh[r_and_z:]]), functional.pad(b_hh[:r_and_z], (0, 2 * len(b_ih) // 3))
        return _Layer(
            input=_Product() if is_first else self._product(layer.w_ih, self._num_gates, self._units),
            recurrent=self._product(layer.w_hh, self._num_gates, self._units),
            bias=self._at(_blocks(b_ih + b_hh, self._num_sums, self._units)),
        )

    def _product(self, weights: Tensor, num_gates: int, units: int) -> _Product:
        """Lays out (G*H, H) weights."""
        rows = _blocks(functional.pad(weights, (0, self.hidden_size - weights.shape[1])), num_gates, units)
        num_blocks, height, num_inputs = rows.shape  # (blocks, W*lanes, H)
        if not self.is_int8:
            return _Product(0, height // self._lanes, self._at(rows.transpose(1, 2)))
        scales = rows.abs().amax(2) / MAX_QUANTISED  # (blocks, W*lanes)
        whole = (rows / scales.where(scales > 0, 1)[..., None]).round()
        starts = (-built().gen_byte_offset() * whole.sum(2)).to(torch.int32)
        groups = whole.to(torch.int8).view(num_blocks, height, num_inputs // GROUP, GROUP).transpose(1, 2)
        return _Product(1, height // self._lanes, self._at(groups), self._at(scales / MAX_QUANTISED), self._at(starts))

    def _at(self, tensor: Tensor) -> int:
        """Keeps a copy of a tensor and returns its address."""
        kept = _aligned(tensor.shape, tensor.dtype).copy_(tensor)
        self._kept.append(kept)
        return kept.data_ptr()


def _sizes_agree() -> bool:
    """Tells whether the structures here have the sizes of those of stepper.h."""
    mirrored = (_Product, _Layer, _Model, Step)
    return all(built().gen_step_size(n) == ctypes.sizeof(structure) for n, structure in enumerate(mirrored))


def _blocks(rows: Tensor, num_gates: int, units: int) -> Tensor:
    """Returns (blocks, G * units, ...) for (G*H, ...): all gates of some units to a block, padded with 0."""
    gates = rows.reshape(num_gates, -1, *rows.shape[1:])
    padded = functional.pad(gates, (0, 0) * (rows.dim() - 1) + (0, -gates.shape[1] % units))
    return padded.view(num_gates, -1, units, *rows.shape[1:]).transpose(0, 1).flatten(1, 2)


def _aligned(shape: torch.Size, dtype: torch.dtype) -> Tensor:
    """Returns an empty tensor that starts at a huge page, and lies on such pages where the system has them."""
    num_bytes = shape.numel() * dtype.itemsize
    if num_bytes < HUGE_PAGE // 2:
        return torch.empty(shape, dtype=dtype)
    pages = mmap.mmap(-1, num_bytes + 2 * HUGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    pages.madvise(mmap.MADV_HUGEPAGE)
    whole = torch.frombuffer(pages, dtype=torch.uint8)
    start = -whole.data_ptr() % HUGE_PAGE
    return whole[start : start + num_bytes].view(dtype).view(shape)
