"""The cross entropy of an output layer, without passes over all logits in float32.

For 2,048 tokens and 7,146 symbols the logits take 58 MB in float32, and torch's operations pass over them some ten
times: to widen, normalise and pick, and on the way back. But the gradient of a sum of losses is known on the way
forward: it is softmax, minus 1 at the target, and two more products give the gradients of features and weights. In
bf16 a compiled kernel turns the logits into their gradient in place. In float32 torch's operations do so in chunks of
tokens that stay in the cache.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from gen.kernels.cross_entropy import can_take_logits, cross_entropy_

MIN_VOCAB = 1024  # symbols; with fewer, torch's own operations are as fast as chunks
CHUNK_LOGITS = 1 << 20  # 4 MB in float32


def can_save_logits(features: Tensor, vocab_size: int) -> bool:
    """Tells whether `output_cross_entropy_sum` takes these features and is faster than torch's own operations."""
    is_fast = vocab_size >= MIN_VOCAB or can_take_logits(_type_of_products(features))
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
        dtype = _type_of_products(features)
        with torch.autocast("cpu", enabled=False):
            x, w = features.to(dtype), weight.to(dtype)
            if can_take_logits(dtype):
                gradients = x @ w.t()  # logits, which the kernel turns into their gradients
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
    """Returns the summed nats of (N,) targets under (N, V) logits and writes the gradient of the logits."""
    logits = logits.float()
    is_target, indices = (targets >= 0)[:, None], targets.clamp(min=0)[:, None]  # (N, 1)
    totals = logits.logsumexp(1, keepdim=True)
    nats = torch.where(is_target, totals - logits.gather(1, indices), 0.0)
    shares = logits.sub_(totals).exp_()
    shares.scatter_add_(1, indices, shares.new_full((1, 1), -1.0).expand(len(shares), 1))
    gradients_.copy_(shares.masked_fill_(~is_target, 0.0))
    return nats.sum()
