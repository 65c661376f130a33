"""A bag of n-grams: which runs of a few symbols a passage has, whatever their places (Joulin et al. 2017).

Recurrent layers learn slowly which words tell a label, and a bag learns it at once; it knows nothing of their order. So
a classifier may have both (Cheng et al. 2016). Runs of 2 to 5 symbols are hashed into a table of vectors, of which a
passage has the mean. Different n-grams may share a vector (Weinberger et al. 2009), which costs little.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from gen.models.dropout import Draws

ORDERS = (2, 3, 4, 5)  # symbols of an n-gram
WIDTH = 64  # of a vector
NUM_BUCKETS = 1 << 15  # vectors of the table
MULTIPLIERS = (0x2545F4914F6CDD1D, 0x5851F42D4C957F2D)  # odd, of 63 bits: products wrap in int64
SHIFT = 40  # the upper bits of a product depend on all of its factors


class NGrams(nn.Module):
    """Predicts the label of a passage from its n-grams.

    Args:
        num_labels: K.
    """

    def __init__(self, num_labels: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.empty(NUM_BUCKETS, WIDTH))
        self.answer = nn.Linear(WIDTH, num_labels)

    def forward(self, tokens: Tensor, lengths: Tensor, draws: Draws | None = None) -> Tensor:
        """Reads passages.

        Args:
            tokens: (B, T) int64.
            lengths: (B,) tokens of each passage; what follows is padding.
            draws: the random numbers by which n-grams are left out, each for itself; None to read all.

        Returns:
            (B, K) logits.
        """
        buckets, is_whole = hashed(tokens, lengths)
        counts = is_whole.sum(1, keepdim=True).clamp(min=1)
        weights = is_whole.to(self.table.dtype) / counts * _kept(buckets, draws)
        bags = functional.embedding_bag(buckets, self.table, mode="sum", per_sample_weights=weights)
        logits: Tensor = self.answer(bags)
        return logits


def hashed(tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Returns (B, N) the buckets of all n-grams of (B, T) tokens, and whether each lies within its passage."""
    tokens = functional.pad(tokens, (0, 1))  # a lone token has an n-gram too, which is not whole
    buckets, is_whole = [], []
    for order in ORDERS:
        num_starts = max(0, tokens.shape[1] - order + 1)
        found = torch.full_like(tokens[:, :num_starts], order)
        for n in range(order):
            found = (found * MULTIPLIERS[0]) ^ tokens[:, n : n + num_starts]
        buckets.append((found * MULTIPLIERS[1] >> SHIFT) & (NUM_BUCKETS - 1))
        starts = torch.arange(num_starts, device=tokens.device)
        is_whole.append(starts + order <= lengths[:, None])
    return torch.cat(buckets, 1), torch.cat(is_whole, 1)


def _kept(buckets: Tensor, draws: Draws | None) -> Tensor:
    """Returns the factors of n-grams: 0 for those that are left out, so much more for the others; (B, N) or 1."""
    if draws is None or draws.rate == 0.0:
        return torch.ones((), device=buckets.device)
    whole = torch.empty(draws.batch_size, buckets.shape[1], device=buckets.device)
    return whole.bernoulli_(1 - draws.rate, generator=draws.generator)[draws.rows] / (1 - draws.rate)
