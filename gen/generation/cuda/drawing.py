"""Filters and draw as torch operations, on any device that has float64.

All shapes follow from the settings, and no result is copied to the host: so a CUDA graph can hold a draw. The filters,
their order and their ties are those of `gen.generation.sampling.weigh`, and a token is picked as by its `pick`. On a
CPU the tokens are the same; a GPU adds in another order, so its last bits may differ.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

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
        self._is_banned = torch.zeros(vocab_size, dtype=torch.bool, device=device)  # (V,)
        self.ban(banned)
        self._ranks = torch.arange(vocab_size, device=device)
        self._k = min(vocab_size, config.top_k or vocab_size)
        self._p = 1.0 if config.top_p is None else config.top_p

    def ban(self, tokens: Sequence[int]) -> None:
        """Makes these the only ids that are never drawn; in place, so that captured graphs see the change."""
        self._is_banned.fill_(False)
        self._is_banned[torch.tensor(tokens, dtype=torch.int64, device=self._is_banned.device)] = True

    def __call__(self, logits: Tensor, uniforms: Tensor, recent: Tensor | None) -> tuple[Tensor, Tensor]:
        """Draws a token of each row.

        Args:
            logits: (B, V) float32.
            uniforms: (B,) float64 in [0, 1).
            recent: (B, W) ids that the repetition penalty applies to, V in unused entries; None without a penalty.

        Returns:
            (B,) tokens, and the nats that each costs under the model's own distribution. NaN nats mean that the row
            cannot be drawn from: a logit is NaN or infinite, or no permitted token has any probability.
        """
        raw = logits.double()
        x = raw.masked_fill(self._is_banned, -math.inf)
        if recent is not None:
            x = self._penalised(x, recent)
        top = x.amax(dim=1, keepdim=True)  # (B, 1)
        tokens = self._picked(x, top, uniforms)
        surprise_nats = -raw.log_softmax(dim=1).gather(1, tokens[:, None])[:, 0]  # all NaN if a logit is not finite
        return tokens, surprise_nats + 0.0 * top[:, 0]  # NaN if there is no candidate

    def _picked(self, x: Tensor, top: Tensor, uniforms: Tensor) -> Tensor:
        config = self._config
        if config.temperature == 0:
            return x.argmax(dim=1)  # the first of equals
        x = x - top
        if config.temperature != 1:
            x = x / max(config.temperature, MIN_TEMPERATURE)
        weights = x.exp()
        if self._k < len(self._ranks) or self._p < 1:
            weights = weights.masked_fill(self._unlikely(x), 0.0)
        if config.min_p:
            weights = weights.masked_fill(x < math.log(config.min_p), 0.0)
        return picked(weights, uniforms)

    def _penalised(self, x: Tensor, recent: Tensor) -> Tensor:
        num_rows, vocab_size = x.shape
        is_recent = torch.zeros(num_rows, vocab_size + 1, dtype=torch.bool, device=x.device).scatter_(1, recent, True)
        penalty = self._config.repetition_penalty
        return torch.where(is_recent[:, :vocab_size], torch.where(x > 0, x / penalty, x * penalty), x)

    def _unlikely(self, x: Tensor) -> Tensor:
        """Returns (B, V) the tokens that top-k and then top-p remove; of equals the lowest ids stay (a stable sort)."""
        ordered, ids = torch.sort(x, dim=1, descending=True, stable=True)
        is_out = (self._ranks >= self._k).expand_as(x)  # by rank
        if self._p < 1:
            shares = ordered.exp().masked_fill(is_out, 0.0).cumsum(dim=1)
            count = (shares < self._p * shares[:, -1:]).sum(dim=1, keepdim=True) + 1  # (B, 1)
            is_out = is_out | (self._ranks >= count)
        return torch.zeros_like(is_out).scatter_(1, ids, is_out)


def picked(weights: Tensor, uniforms: Tensor) -> Tensor:
    """Returns (B,) the first token of each row whose cumulative weight exceeds the uniform's share of the total.

    A GPU adds in parallel, so a cumulative sum may fall or miss the total by a last bit. A token of weight 0 is not
    picked all the same; and if no sum exceeds the share, the first token of any weight is picked.

    Args:
        weights: (B, V), not negative, some above 0 in every row; they need not sum to 1.
        uniforms: (B,) in [0, 1).
    """
    cumulative = weights.cumsum(dim=1)  # (B, V)
    is_beyond = cumulative > uniforms[:, None] * cumulative[:, -1:]
    return ((weights > 0) * (1 + is_beyond.long())).argmax(dim=1)  # the first of equals
