"""The cross entropy of an output layer, without passes over all logits in float32.

Of 2,048 tokens and 7,146 symbols the logits are 58 MB in float32, and torch's operations go over them some ten times:
to widen, normalise, pick, and all the way back. But for a sum of losses the gradient of the logits, softmax minus one
at the target, is known at once, and two more products give those of features and weights. In bf16 a compiled kernel
turns the logits into it in place; elsewhere torch's operations do, for some tokens at a time, while these are in the
cache.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from gen.kernels.cross_entropy import can_take_logits, cross_entropy_

MIN_VOCAB = 1024  # below it torch's own operations are as fast as the same by chunks
CHUNK_LOGITS = 1 << 20  # 4 MB in float32


def can_save_logits(features: Tensor, vocab_size: int) -> bool:
    """Tells whether `output_cross_entropy_sum` serves and pays."""
    is_fast = vocab_size >= MIN_VOCAB or can_take_logits(_type_of_products(features))
    return features.device.type == "cpu" and is_fast


def output_cross_entropy_sum(features: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """Returns the summed nats of the targets in float32; targets of -1 are padding and add nothing.

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
        dtype = _type_of_products(features)
        with torch.autocast("cpu", enabled=False):
            x, w = features.to(dtype), weight.to(dtype)
            if can_take_logits(dtype):
                gradients = x @ w.t()  # of the logits, once the kernel has been there
                nats, d_bias = cross_entropy_(gradients, bias.detach().float(), targets)
            else:
                nats, gradients = _nats_by_chunks(x, w, bias.to(dtype), targets)
                d_bias = gradients.sum(0, dtype=torch.float32)
            ctx.save_for_backward(gradients @ w, gradients.t() @ x, d_bias)
        ctx.dtypes = features.dtype, weight.dtype, bias.dtype
        return nats

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        found: tuple[Tensor, Tensor, Tensor] = ctx.saved_tensors
        return (*((each * scale).to(dtype) for each, dtype in zip(found, ctx.dtypes, strict=True)), None)


def _type_of_products(features: Tensor) -> torch.dtype:
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else features.dtype


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
    """Returns the summed nats of (N,) targets under (N, V) logits, and leaves the gradient of these."""
    logits = logits.float()
    is_target, places = (targets >= 0)[:, None], targets.clamp(min=0)[:, None]  # (N, 1)
    totals = logits.logsumexp(1, keepdim=True)
    nats = torch.where(is_target, totals - logits.gather(1, places), 0.0)
    shares = logits.sub_(totals).exp_()
    shares.scatter_add_(1, places, shares.new_full((1, 1), -1.0).expand(len(shares), 1))
    gradients_.copy_(shares.masked_fill_(~is_target, 0.0))
    return nats.sum()
