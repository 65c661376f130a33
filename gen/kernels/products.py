"""Products of matrices as pieces for the threads of the pool: each piece is some rows, computed by torch on one thread.

The bounds of the pieces depend on the shape alone, so the result has the same bits on any number of threads.
"""

from collections.abc import Callable

import torch
from torch import Tensor

MIN_ROWS, MAX_PIECES = 512, 8  # of a product: smaller pieces are slower than the whole

Piece = Callable[[], object]


def pieces_of_product(left: Tensor, right: Tensor, result_: Tensor) -> list[Piece]:
    """Returns functions that write left (M, K) times right (K, N) to (M, N) `result_`, some rows each."""
    size = max(MIN_ROWS, -(-len(left) // MAX_PIECES))
    return [_piece(left[row : row + size], right, result_[row : row + size]) for row in range(0, len(left), size)]


def _piece(left: Tensor, right: Tensor, result_: Tensor) -> Piece:
    if result_.dtype == left.dtype:
        return lambda: torch.mm(left, right, out=result_)
    return lambda: result_.copy_(left @ right)
