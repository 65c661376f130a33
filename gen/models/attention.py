"""Attention of a decoder over the outputs of an encoder: at every target token, a weighted mean of the source.

Bahdanau, Cho & Bengio 2015, "Neural Machine Translation by Jointly Learning to Align and Translate", appendix A.1.2.
The query is the decoder's output after it has read the last target token, as in Luong, Pham & Manning 2015, and not its
state before that: so the queries of a whole target are known at once, and the decoder runs in the window kernels.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gen.kernels.pool import run_pieces

CHUNK, GPU_CHUNK = 1 << 18, 1 << 26  # scores times units that are computed at once: 1 MB in float32 on a CPU
ROWS = 16  # of a piece of work on a CPU

_Chunk = tuple[slice, slice]  # of target tokens, and of rows


class Source(NamedTuple):
    """An encoded source, as attention reads it."""

    keys: Tensor  # (S, B, A)
    values: Tensor  # (S, B, F)
    padding: Tensor  # (S, B) bool, true behind the end of a source


class AdditiveAttention(nn.Module):
    """Attends to a source with the scores v^T tanh(W q_t + U k_s).

    Args:
        query_size: the width of q.
        value_size: F, the width of the outputs of the encoder.
        size: A, the width of the layer between.
    """

    def __init__(self, query_size: int, value_size: int, size: int) -> None:
        super().__init__()
        self.query = nn.Linear(query_size, size)
        self.key = nn.Linear(value_size, size, bias=False)
        self.score = nn.Linear(size, 1, bias=False)

    def remember(self, values: Tensor, padding: Tensor) -> Source:
        """Returns an encoded source with its keys, which are computed once.

        Args:
            values: (S, B, F) outputs of the encoder.
            padding: (S, B) bool.
        """
        return Source(self.key(values), values, padding)

    def forward(self, queries: Tensor, source: Source) -> tuple[Tensor, Tensor]:
        """Attends at every target token.

        Args:
            queries: (T, B, H) outputs of the decoder.
            source: encoded.

        Returns:
            (T, B, F) means of the values, and (T, B, S) float32 weights, 0 at padding.
        """
        projected, keys = self.query(queries), source.keys
        scores: Tensor = _AdditiveScores.apply(projected, keys, self.score.weight[0])  # type: ignore[no-untyped-call]
        weights = scores.masked_fill(source.padding, -torch.inf).softmax(1).transpose(1, 2)  # (T, B, S)
        by_row = weights.transpose(0, 1).to(source.values.dtype)  # (B, T, S)
        return (by_row @ source.values.transpose(0, 1)).transpose(0, 1), weights


class _AdditiveScores(torch.autograd.Function):
    """Computes (T, S, B) scores in chunks, and the tanh of each chunk again on the way back.

    So no (T, S, B, A) array is ever held, and on a CPU a chunk stays in the cache. There some rows at a time are a
    piece of work for a thread; the sums do not depend on the number of threads.
    """

    @staticmethod
    def forward(ctx: Any, queries: Tensor, keys: Tensor, vector: Tensor) -> Tensor:
        ctx.save_for_backward(queries, keys, vector)
        with torch.inference_mode(False):  # the threads of the kernels are not in that mode, and write here too
            scores = torch.empty(len(queries), *keys.shape[:2], dtype=_wide(keys.dtype), device=keys.device)

        pieces = _chunks(queries, keys)

        def piece(number: int) -> None:
            for times, rows in pieces[number]:
                scores[times, :, rows] = _tanh(queries, keys, times, rows) @ vector.to(keys.dtype)

        _run(piece, len(pieces), keys.device)
        return scores

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        queries, keys, vector = ctx.saved_tensors
        pieces = _chunks(queries, keys)
        of_queries, of_keys = torch.empty_like(queries), torch.zeros_like(keys, dtype=_wide(keys.dtype))
        of_vector = vector.new_zeros(len(pieces), len(vector))

        def piece(number: int) -> None:
            for times, rows in pieces[number]:
                tanh, grad = _tanh(queries, keys, times, rows), grads[0][times, :, rows].to(keys.dtype)
                of_vector[number] += tanh.flatten(0, 2).t() @ grad.flatten()
                inner = tanh.square_().neg_().add_(1).mul_(grad[..., None])  # (T, S, B, A)
                of_queries[times, rows] = inner.sum(1) * vector.to(keys.dtype)
                of_keys[:, rows] += inner.sum(0)

        _run(piece, len(pieces), keys.device)
        return of_queries, (of_keys * vector).to(keys.dtype), of_vector.sum(0)


def _tanh(queries: Tensor, keys: Tensor, times: slice, rows: slice) -> Tensor:
    """Returns (T, S, B, A) tanh(q_t + k_s) of some target tokens and rows."""
    return (queries[times, None, rows] + keys[:, rows]).tanh_()


def _wide(dtype: torch.dtype) -> torch.dtype:
    """Returns float32, or float64 for products of that."""
    return torch.promote_types(dtype, torch.float32)


def _chunks(queries: Tensor, keys: Tensor) -> list[list[_Chunk]]:
    """Returns pieces of work: some rows each, in chunks of target tokens."""
    is_on_cpu = keys.device.type == "cpu"
    num_rows = ROWS if is_on_cpu else keys.shape[1]
    size = max(1, (CHUNK if is_on_cpu else GPU_CHUNK) // (num_rows * keys.shape[0] * keys.shape[2]))
    times = _slices(len(queries), size)
    return [[(part, rows) for part in times] for rows in _slices(keys.shape[1], num_rows)]


def _slices(count: int, size: int) -> list[slice]:
    return [slice(start, start + size) for start in range(0, count, size)]


def _run(work: Callable[[int], None], count: int, device: torch.device) -> None:
    """Does some pieces of work: on a CPU on the threads of the kernels."""
    if device.type == "cpu":
        run_pieces(work, count)
    else:
        for number in range(count):
            work(number)
