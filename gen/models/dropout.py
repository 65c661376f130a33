"""Locked dropout, with random numbers that do not depend on how a batch is cut into parts."""

from typing import NamedTuple

import torch
from torch import Tensor


class Draws(NamedTuple):
    """The random numbers of dropout masks; a row gets the same mask, whichever rows run beside it."""

    generator: torch.Generator
    batch_size: int  # the rows for which masks are drawn
    rows: slice  # the rows among them that are run
    rate: float  # of the dropout at present: the share of units that are dropped before the output layer


def locked_dropout(x: Tensor, rate: float, draws: Draws | None) -> Tensor:
    """Drops the same units at every token of a window (Gal & Ghahramani 2016), scaled to keep the mean.

    Args:
        x: (T, B, H).
        rate: the share of units that are dropped, from 0 to below 1.
        draws: the random numbers of the (1, B, H) mask; None for no dropout.
    """
    if draws is None or rate == 0.0:
        return x
    whole = torch.empty(1, draws.batch_size, x.shape[-1], device=x.device)
    kept = whole.bernoulli_(1 - rate, generator=draws.generator)[:, draws.rows]
    return x * (kept / (1 - rate)).to(x.dtype)
