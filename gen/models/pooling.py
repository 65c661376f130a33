"""One vector out of a sequence of vectors, for a model that answers with one label (many-to-one)."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gen.config import PoolingName


class Pooled(NamedTuple):
    """The outputs of the last layer, of which a pooling makes one vector a row."""

    ys: Tensor  # (T, B, F) outputs, those of the backward direction last
    lengths: Tensor  # (B,) tokens of each row
    num_directions: int

    def padding(self) -> Tensor:
        """Returns (T, B, 1) whether the output is that of padding."""
        t = torch.arange(len(self.ys), device=self.ys.device)[:, None]
        return (t >= self.lengths)[..., None]


class Pooling(nn.Module):
    """Makes one vector of a row's outputs.

    "last" takes the last output of each direction, as Sutskever et al. 2014 do for one: the backward direction ends at
    the first token. "mean" and "max" are taken unit by unit over all tokens (Collobert & Weston 2008). "attention" is a
    mean whose weights are learnt: softmax over the tokens of a score for each (Yang et al. 2016, without their layer).

    Args:
        name: of `POOLINGS`.
        width: F.
    """

    def __init__(self, name: PoolingName, width: int) -> None:
        super().__init__()
        self.name = name
        self.score = nn.Linear(width, 1) if name == "attention" else None

    def forward(self, pooled: Pooled) -> Tensor:
        """Returns (B, F)."""
        if self.score is not None:
            scores = self.score(pooled.ys).float().masked_fill(pooled.padding(), -torch.inf)
            attended: Tensor = (scores.softmax(0).to(pooled.ys.dtype) * pooled.ys).sum(0)
            return attended
        return POOLINGS[self.name](pooled)


def last(pooled: Pooled) -> Tensor:
    """Returns the output of the forward direction at the last token, and of the backward one at the first."""
    ys, lengths, num_directions = pooled
    ends = ys[lengths - 1, torch.arange(ys.shape[1], device=ys.device)]
    if num_directions == 1:
        return ends
    half = ys.shape[2] // 2
    return torch.cat((ends[:, :half], ys[0, :, half:]), 1)


def mean(pooled: Pooled) -> Tensor:
    """Returns the mean over the tokens of each row."""
    total = pooled.ys.float().masked_fill(pooled.padding(), 0.0).sum(0)
    return (total / pooled.lengths[:, None]).to(pooled.ys.dtype)


def most(pooled: Pooled) -> Tensor:
    """Returns the largest value of each unit over the tokens of each row."""
    return pooled.ys.masked_fill(pooled.padding(), -torch.inf).amax(0)


POOLINGS: dict[PoolingName, Callable[[Pooled], Tensor]] = {"last": last, "mean": mean, "max": most}
