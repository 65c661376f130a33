"""Draws a token of every row from logits in the compiled kernel (sampler.c).

The kernel has the filters, the order and the ties of `gen.generation.sampling.weigh` and picks as its `pick` does.
"""

import ctypes
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gen.config import SamplingConfig
from gen.kernels.library import built, library
from gen.kernels.pool import num_threads

FloatArray = NDArray[np.float64]
TokenArray = NDArray[np.int64]
MIN_TEMPERATURE = 1e-200  # a lower one draws the same tokens, and the division may overflow


class _Filters(ctypes.Structure):
    _fields_ = (
        ("V", ctypes.c_int64),
        *((name, ctypes.c_double) for name in ("temperature", "top_p", "log_min_p", "penalty")),
        ("top_k", ctypes.c_int64),
        ("num_banned", ctypes.c_int64),
        ("banned", ctypes.c_void_p),
        ("window", ctypes.c_int64),
    )


class _Draw(ctypes.Structure):
    _fields_ = (
        ("filters", ctypes.POINTER(_Filters)),
        ("B", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("logits", "allowed", "uniforms", "recent", "counts")),
        ("num_seen", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("tokens", "surprises", "room")),
        ("status", ctypes.c_int64),
    )


class Recent(NamedTuple):
    """The last tokens of each row, which the repetition penalty applies to."""

    tokens: TokenArray  # (window, B) a ring buffer
    counts: NDArray[np.int16]  # (B, V) occurrences of each id in the ring
    num_seen: int  # tokens of each row that were ever put into the ring

    def of_rows(self, rows: list[int]) -> "Recent":
        """Returns a copy of the rows at these indices."""
        return Recent(np.ascontiguousarray(self.tokens[:, rows]), self.counts[rows], self.num_seen)


class Drawn(NamedTuple):
    """Tokens that were drawn one after the other, and the nats that each cost."""

    tokens: TokenArray  # (N, B)
    surprise_nats: FloatArray  # (N, B) under the model's own distribution, before any filter


def has_draw_kernel() -> bool:
    """Tells whether `DrawKernel` can be made on this machine."""
    return hasattr(library(), "gen_draw_run")


class DrawKernel:
    """The filters, and working memory for draws. Only one thread may use it at a time.

    Args:
        config: the filters; the repetition penalty applies to the tokens in `Recent`.
        vocab_size: V.
        banned: ids that are never drawn.
    """

    def __init__(self, config: SamplingConfig, *, vocab_size: int, banned: tuple[int, ...]) -> None:
        assert [built().gen_draw_size(n) for n in range(2)] == [ctypes.sizeof(_Filters), ctypes.sizeof(_Draw)]
        self._draw = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(("gen_draw_run", built()))
        self._filters = _Filters(
            V=vocab_size,
            temperature=config.temperature and max(config.temperature, MIN_TEMPERATURE),
            top_p=1.0 if config.top_p is None else config.top_p,
            log_min_p=math.log(config.min_p) if config.min_p else -math.inf,
            penalty=config.repetition_penalty,
            top_k=min(vocab_size, config.top_k or vocab_size),
        )
        self.ban(banned)
        self.num_threads = num_threads()
        self._kept = np.empty((self.num_threads, 3, vocab_size))
        self.arguments = _Draw(filters=ctypes.pointer(self._filters), room=self._kept.ctypes.data)

    def ban(self, tokens: tuple[int, ...]) -> None:
        """Makes these the only ids that are never drawn."""
        self._banned = np.array(tokens, dtype=np.int64)
        self._filters.num_banned, self._filters.banned = len(tokens), self._banned.ctypes.data

    def draw(
        self, logits: Tensor, uniforms: FloatArray, *, allowed: NDArray[np.bool_] | None, recent: Recent | None
    ) -> Drawn | None:
        """Draws a token of every row.

        Args:
            logits: (B, V) float32 on the CPU.
            uniforms: (B,) in [0, 1).
            allowed: (B, V) ids that may be drawn; None for all.
            recent: the drawn tokens are added to its arrays; None without a penalty.

        Returns:
            One token of every row, or None if a row has NaN among its logits, or no candidate.
        """
        logits = logits.contiguous()
        num_rows = len(logits)
        uniforms = np.ascontiguousarray(uniforms)
        drawn = self.expect(1, num_rows, recent)
        self.arguments.logits = logits.data_ptr()
        self.arguments.uniforms = uniforms.ctypes.data
        if allowed is not None:
            allowed = np.ascontiguousarray(allowed)
        self.arguments.allowed = None if allowed is None else allowed.ctypes.data
        return None if self._draw(ctypes.addressof(self.arguments)) else drawn

    def expect(self, num_tokens: int, num_rows: int, recent: Recent | None) -> Drawn:
        """Returns the arrays into which the next call of the kernel writes its tokens."""
        drawn = Drawn(np.empty((num_tokens, num_rows), dtype=np.int64), np.empty((num_tokens, num_rows)))
        arguments = self.arguments
        arguments.B, arguments.tokens, arguments.surprises = num_rows, drawn[0].ctypes.data, drawn[1].ctypes.data
        if recent is not None:
            arguments.recent, arguments.counts = recent.tokens.ctypes.data, recent.counts.ctypes.data
            arguments.num_seen, self._filters.window = recent.num_seen, len(recent.tokens)
        return drawn
