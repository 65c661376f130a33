"""The cross entropy of bf16 logits and its gradient in one pass of a compiled kernel (cross_entropy.c)."""

import ctypes

import torch
from torch import Tensor

from gen.kernels.library import built, library


def can_take_logits(dtype: torch.dtype) -> bool:
    """Tells whether `cross_entropy_` takes logits of this type on this machine."""
    return dtype == torch.bfloat16 and hasattr(library(), "gen_cross_entropy")


def cross_entropy_(logits: Tensor, bias: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Turns logits into the gradients of the summed nats: softmax, less one at the target.

    Args:
        logits: (N, V) bf16, contiguous, without the bias; the gradients afterwards.
        bias: (V,) float32.
        targets: (N,) int64; -1 marks padding, which adds nothing.

    Returns:
        () the summed nats and (V,) the gradient of the bias, in float32.
    """
    num_rows, vocab_size = logits.shape
    threads = max(1, min(torch.get_num_threads(), num_rows))
    targets, bias = targets.contiguous(), bias.contiguous()
    nats, d_bias = torch.empty(num_rows), torch.zeros(threads, vocab_size)
    arrays = (targets, bias, logits, nats, d_bias, torch.empty_like(d_bias))
    sizes = ctypes.c_size_t(num_rows), ctypes.c_size_t(vocab_size)
    built().gen_cross_entropy(threads, *sizes, *(ctypes.c_void_p(array.data_ptr()) for array in arrays))
    return nats.sum(), d_bias.sum(0)
