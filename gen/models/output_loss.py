"""The cross entropy of an output layer over a large alphabet, without logits that fill the memory.

Of 2,048 tokens and 7,146 symbols the logits are 58 MB in float32, and torch's operations go over them some ten times:
to widen, normalise, pick, and all the way back. Here some tokens at a time go from their features to the gradient of
their logits while these are in the cache, since for a sum of losses that gradient, softmax minus one at the target, is
known at once. It is kept in the precision of the products, and two more of these give the gradients of features and
weights.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

LEAST_VOCAB = 1024  # below it torch's own operations are as fast
CHUNK_LOGITS = 1 << 20  # 4 MB in float32


def can_save_logits(features: Tensor, vocab_size: int) -> bool:
    """Tells whether `output_cross_entropy_sum` serves and pays."""
    return features.device.type == "cpu" and vocab_size >= LEAST_VOCAB


def output_cross_entropy_sum(features: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """Returns the summed nats of the targets in float32; targets of -1 count nothing.

    Args:
        features: (N, H) on a CPU; the products are in the precision of autocast if that is on.
        weight: (V, H).
        bias: (V,).
        targets: (N,) int64.
    """
    nats: Tensor = _OutputCrossEntropy.apply(features, weight, bias, targets)  # type: ignore[no-untyped-call]
    return nats


class _OutputCrossEntropy(torch.autograd.Function):
    """The gradients are those of the sum, found on the way forward; backward scales them."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else features.dtype
        with torch.autocast("cpu", enabled=False):
            x, w, b = features.to(dtype), weight.to(dtype), bias.to(dtype)
            gradients = torch.empty(len(x), len(w), dtype=dtype)  # of the logits
            chunk = max(1, CHUNK_LOGITS // len(w))
            nats = [
                _chunk_nats(functional.linear(x[n : n + chunk], w, b), targets[n : n + chunk], gradients[n : n + chunk])
                for n in range(0, len(x), chunk)
            ]
            ctx.save_for_backward(gradients @ w, gradients.t() @ x, gradients.sum(0, dtype=torch.float32))
        ctx.dtypes = features.dtype, weight.dtype, bias.dtype
        return torch.stack(nats).sum()

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        found: tuple[Tensor, Tensor, Tensor] = ctx.saved_tensors
        return (*((each * scale).to(dtype) for each, dtype in zip(found, ctx.dtypes, strict=True)), None)


def _chunk_nats(logits: Tensor, targets: Tensor, gradients_: Tensor) -> Tensor:
    """Returns the summed nats of (N,) targets under (N, V) logits, and leaves the gradient of these."""
    logits = logits.float()
    is_target, places = (targets >= 0)[:, None], targets.clamp(min=0)[:, None]  # (N, 1)
    totals = logits.logsumexp(1, keepdim=True)
    nats = torch.where(is_target, totals - logits.gather(1, places), 0.0)
    shares = logits.sub_(totals).exp_()
    shares.scatter_add_(1, places, shares.new_full((1, 1), -1.0).expand(len(shares), 1))
    gradients_.copy_(shares.masked_fill_(~is_target, 0.0))
    return nats.sum()
