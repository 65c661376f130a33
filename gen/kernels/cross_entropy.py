"""The cross entropy of logits and its gradient in one pass of a compiled kernel (cross_entropy.h)."""

import ctypes
import math

import torch
from torch import Tensor
from torch.nn import functional

from gen.kernels.library import built
from gen.kernels.window import SUFFIXES, has_products


def can_take_logits(dtype: torch.dtype) -> bool:
    """Tells whether `cross_entropy_` takes logits of this type on this machine."""
    return has_products(dtype)


class _Rows(ctypes.Structure):
    """The structure Rows of cross_entropy.h."""

    _fields_ = (
        *((name, ctypes.c_size_t) for name in ("N", "V")),
        *((name, ctypes.c_void_p) for name in ("targets", "bias", "logits", "nats", "d_bias", "powers")),
    )


def cross_entropy_(logits: Tensor, bias: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Turns logits into the gradients of the summed nats: softmax, less one at the target. Runs on this thread.

    Args:
        logits: (N, V) bf16 or float32, contiguous, without the bias; the gradients afterwards.
        bias: (V,) float32.
        targets: (N,) int64; -1 marks padding, which adds nothing.

    Returns:
        () the summed nats and (V,) the gradient of the bias, in float32.
    """
    num_rows, vocab_size = logits.shape
    lanes = int(built().gen_lanes())
    targets, bias = targets.contiguous(), functional.pad(bias, (0, -vocab_size % lanes), value=-math.inf)
    nats, d_bias, powers = torch.empty(num_rows), torch.zeros_like(bias), torch.empty_like(bias)
    arrays = (targets, bias, logits, nats, d_bias, powers)
    rows = _Rows(num_rows, vocab_size, *(array.data_ptr() for array in arrays))
    getattr(built(), f"gen_cross_entropy_{SUFFIXES[logits.dtype]}")(ctypes.byref(rows))
    return nats.sum(), d_bias[:vocab_size]
