"""An embedding whose gradient has the same bits every time, on a GPU too.

On CUDA torch adds the gradients of equal tokens in the order in which threads come by, so that two runs of one seed
part at the first step. It was the only tensor of a step whose gradient did not repeat (H200, torch 2.11, CUDA 13; fp32,
bf16 and fp16; 64 x 128 tokens of 67 symbols). There the gradient is a product with one-hot rows instead.
"""

from typing import Any

import torch
from torch import Tensor, nn

MAX_ONE_HOT = 1 << 24  # numbers of a matrix of one-hot rows, 64 MB in float32; more tokens come in parts


class Embedding(nn.Embedding):
    """torch's `nn.Embedding`, with a gradient that repeats on CUDA."""

    def forward(self, tokens: Tensor) -> Tensor:
        """Returns the (..., E) vectors of (...) int64 tokens."""
        if tokens.device.type == "cuda":
            found: Tensor = _Rows.apply(self.weight, tokens)  # type: ignore[no-untyped-call]
            return found
        return super().forward(tokens)


class _Rows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, tokens: Tensor) -> Tensor:
        ctx.save_for_backward(tokens)
        ctx.num_rows = len(weight)
        return weight[tokens]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (tokens,) = ctx.saved_tensors
        return summed_by_token(grads[0].flatten(0, -2), tokens.flatten(), ctx.num_rows), None


def summed_by_token(gradients: Tensor, tokens: Tensor, num_rows: int) -> Tensor:
    """Returns the sum of the gradients of each token, by matrix products, which add in a fixed order.

    Args:
        gradients: (N, E) of the vectors.
        tokens: (N,) int64, below V.
        num_rows: V.

    Returns:
        (V, E).
    """
    symbols, size = torch.arange(num_rows, device=tokens.device), max(1, MAX_ONE_HOT // num_rows)
    total = gradients.new_zeros(num_rows, gradients.shape[1])
    for part, of in zip(torch.split(tokens, size), torch.split(gradients, size), strict=True):
        total.addmm_((symbols[:, None] == part).to(of.dtype), of)
    return total
