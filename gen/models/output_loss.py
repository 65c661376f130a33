"""The cross entropy of an output layer, without passes over all logits in float32.

For 2,048 tokens and 7,146 symbols the logits take 58 MB in float32, and torch's operations pass over them some ten
times: to widen, normalise and pick, and on the way back. But the gradient of a sum of losses is known on the way
forward: it is softmax, minus 1 at the target, and two more products give the gradients of features and weights. A
compiled kernel turns the logits of some rows into their gradient in place, while they are in the cache. Without it
torch's operations do so in chunks of tokens.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from gen.kernels.cross_entropy import can_take_logits, cross_entropy_
from gen.kernels.pool import run_all, run_pieces
from gen.kernels.products import pieces_of_gradient, turned
from gen.kernels.window import type_of_products

MIN_VOCAB = 1024  # symbols; with fewer, torch's own operations are as fast as chunks
CHUNK_LOGITS = 1 << 20  # 4 MB in float32
PIECE_ROWS, PIECE_LOGITS = 256, 1 << 16  # tokens and logits, at least, of a piece for the kernels' threads


def can_save_logits(features: Tensor, vocab_size: int) -> bool:
    """Tells whether `output_cross_entropy_sum` takes these features and is faster than torch's own operations."""
    is_fast = vocab_size >= MIN_VOCAB or can_take_logits(type_of_products(features))
    return features.device.type == "cpu" and is_fast


def output_cross_entropy_sum(features: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """Returns the summed nats of the targets in float32; targets of -1 are padding and add nothing.

    Args:
        features: (N, H) on a CPU; under autocast the products are in its precision.
        weight: (V, H).
        bias: (V,).
        targets: (N,) int64.
    """
    nats: Tensor = _OutputCrossEntropy.apply(features, weight, bias, targets)  # type: ignore[no-untyped-call]
    return nats


class _OutputCrossEntropy(torch.autograd.Function):
    """Finds the gradients of the sum on the way forward; backward only scales them."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
        dtype = type_of_products(features)
        with torch.autocast("cpu", enabled=False):
            x, w = features.to(dtype).contiguous(), weight.to(dtype)
            if can_take_logits(dtype):
                nats, *gradients = _by_kernels(x, w, bias.float(), targets)
            else:
                nats, of_logits = _nats_by_chunks(x, w, bias.to(dtype), targets)
                gradients = [of_logits @ w, of_logits.t() @ x, of_logits.sum(0, dtype=torch.float32)]
            ctx.save_for_backward(*gradients)
        ctx.dtypes = features.dtype, weight.dtype, bias.dtype
        return nats

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        found: tuple[Tensor, Tensor, Tensor] = ctx.saved_tensors
        return (*((each * scale).to(dtype) for each, dtype in zip(found, ctx.dtypes, strict=True)), None)


def _by_kernels(x: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Returns the summed nats and the gradients of features, weight and bias."""
    gradients, dx, dw = x.new_empty(len(x), len(weight)), torch.empty_like(x), torch.empty_like(weight)
    size = max(PIECE_ROWS, PIECE_LOGITS // len(weight))
    parts = [slice(row, row + size) for row in range(0, len(x), size)]
    nats, d_bias = torch.zeros(len(parts)), torch.zeros(len(parts), len(weight))

    def piece(n: int) -> None:
        rows = parts[n]
        logits = torch.mm(x[rows], weight.t(), out=gradients[rows])
        nats[n], d_bias[n] = cross_entropy_(logits, bias, targets[rows])  # the logits are their gradients now
        torch.mm(logits, weight, out=dx[rows])

    run_pieces(piece, len(parts))
    run_all(pieces_of_gradient(gradients, turned([x])[0], dw))
    return nats.sum(), dx, dw, d_bias.sum(0)


def _nats_by_chunks(x: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the summed nats and the (N, V) gradients of the logits."""
    gradients = torch.empty(len(x), len(weight), dtype=x.dtype)
    chunk = max(1, CHUNK_LOGITS // len(weight))
    nats = [
        _chunk_nats(functional.linear(x[n : n + chunk], weight, bias), targets[n : n + chunk], gradients[n : n + chunk])
        for n in range(0, len(x), chunk)
    ]
    return torch.stack(nats).sum(), gradients


def _chunk_nats(logits: Tensor, targets: Tensor, gradients_: Tensor) -> Tensor:
    """Returns the summed nats of (N,) targets under (N, V) logits and writes the gradient of the logits."""
    logits = logits.float()
    is_target, indices = (targets >= 0)[:, None], targets.clamp(min=0)[:, None]  # (N, 1)
    totals = logits.logsumexp(1, keepdim=True)
    nats = torch.where(is_target, totals - logits.gather(1, indices), 0.0)
    shares = logits.sub_(totals).exp_()
    shares.scatter_add_(1, indices, shares.new_full((1, 1), -1.0).expand(len(shares), 1))
    gradients_.copy_(shares.masked_fill_(~is_target, 0.0))
    return nats.sum()
