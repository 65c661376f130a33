"""Filters and draw as torch operations, on any device that has float64.

All shapes follow from the settings, and no result is copied to the host: so a CUDA graph can hold a draw. The filters
and their order are those of `gen.generation.sampling.weigh`. Here they look at no more tokens than they must: with
top-k at the k likeliest alone, which torch.topk finds without sorting the others. The candidates are ordered from the
likeliest on if top-k or top-p is set, and a draw adds their weights in that order, not in that of the ids; so the same
uniform number picks another token than on a CPU, with the same probability. Of equal logits at the edge of top-k any
may stay.

Logits are compared in float32, as the model gives them. Weights are float64, of the candidates alone.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from gen.config import SamplingConfig
from gen.kernels.drawing import MIN_TEMPERATURE


class DeviceDraw:
    """The filters on a device; a call draws a token of each row.

    Args:
        config: the filters.
        vocab_size: V.
        banned: ids that are never drawn.
        device: of the logits.
    """

    def __init__(self, config: SamplingConfig, *, vocab_size: int, banned: Sequence[int], device: torch.device) -> None:
        self._config = config
        self._ids = torch.arange(vocab_size, device=device)
        self._bans = torch.zeros(vocab_size, device=device)  # (V,) added to the logits
        self.ban(banned)
        self._k = min(vocab_size, config.top_k or vocab_size)
        self._p = 1.0 if config.top_p is None else config.top_p

    def ban(self, tokens: Sequence[int]) -> None:
        """Makes these the only ids that are never drawn; in place, so that captured graphs see the change."""
        self._bans.zero_()
        self._bans[torch.tensor(tokens, dtype=torch.int64, device=self._bans.device)] = -math.inf

    def __call__(self, logits: Tensor, uniforms: Tensor, recent: Tensor | None) -> tuple[Tensor, Tensor]:
        """Draws a token of each row.

        Args:
            logits: (B, V) float32.
            uniforms: (B,) float64 in [0, 1).
            recent: (B, W) ids that the repetition penalty applies to, V in unused entries; None without a penalty.

        Returns:
            (B,) tokens, and the nats that each costs under the model's own distribution. NaN nats mean that
            the row cannot be drawn from: a logit is NaN or infinite, or no permitted token has any probability.
        """
        weights, ids = self.weighed(logits, recent)
        tokens = ids.gather(1, picked(weights, uniforms)[:, None])[:, 0]
        nats = functional.cross_entropy(logits, tokens, reduction="none")  # NaN if a logit is not finite
        return tokens, torch.add(nats, weights[:, 0], alpha=0.0)  # adds 0, or NaN if there is no candidate

    def weighed(self, logits: Tensor, recent: Tensor | None) -> tuple[Tensor, Tensor]:
        """Applies the filters to (B, V) logits.

        Returns:
            (B, K) float64 weights of the candidates, 1 for the likeliest and 0 for those that a filter removes; all NaN
            in a row without candidates. And the (B, K) ids of the candidates.
        """
        config = self._config
        x = logits + self._bans
        if recent is not None:
            x = self._penalised(x, recent)
        values, ids = self._candidates(x)
        distance = (values - values.amax(dim=1, keepdim=True)).double()
        if config.temperature not in (0, 1):
            distance = distance / max(config.temperature, MIN_TEMPERATURE)
        weights = distance.exp()
        if self._p < 1:
            shares = weights.cumsum(dim=1)
            weights[:, 1:].masked_fill_(shares[:, :-1] >= self._p * shares[:, -1:], 0.0)  # what is before has the share
        if config.min_p:
            weights.masked_fill_(distance < math.log(config.min_p), 0.0)
        return weights, ids

    def _penalised(self, x: Tensor, recent: Tensor) -> Tensor:
        """Divides positive logits of recent tokens by the penalty and multiplies negative ones by it."""
        num_rows, vocab_size = x.shape
        is_recent = torch.zeros(num_rows, vocab_size + 1, dtype=torch.bool, device=x.device).scatter_(1, recent, True)
        penalty = self._config.repetition_penalty
        farther = torch.minimum if penalty >= 1 else torch.maximum  # of the two, the one that the sign asks for
        return torch.where(is_recent[:, :vocab_size], farther(x / penalty, x * penalty), x)

    def _candidates(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns (B, K) logits and their ids: all tokens, or those that top-k leaves, the likeliest first."""
        if self._config.temperature == 0:
            likeliest = x.argmax(dim=1, keepdim=True)  # the first of equals
            return x.gather(1, likeliest), likeliest
        if self._k < x.shape[1]:
            return torch.topk(x, self._k, dim=1)
        if self._p < 1:
            return torch.sort(x, dim=1, descending=True, stable=True)
        return x, self._ids.expand_as(x)


def picked(weights: Tensor, uniforms: Tensor) -> Tensor:
    """Returns (B,) the first token of each row whose cumulative weight exceeds the uniform's share of the total.

    A GPU adds in parallel, so a cumulative sum may fall or miss the total by a last bit. So a token of weight 0 counts
    as a sum of 0, which no share is below, and the total is the greatest sum, which one token at least has.

    Args:
        weights: (B, K), not negative, some above 0 in every row; they need not sum to 1.
        uniforms: (B,) in [0, 1), of at most 53 bits.
    """
    sums = weights.cumsum(dim=1) * (weights > 0)
    is_beyond = sums > uniforms[:, None] * sums.amax(dim=1, keepdim=True)
    return is_beyond.view(torch.uint8).argmax(dim=1)  # the first of equals
