"""Draws tokens from logits, and whole stretches of text from a model, in the compiled kernel (sampler.c).

At the rates of the compiled stepper a token takes about as long as ten calls of torch. So where nothing needs to look
at every token, many are stepped and drawn in one call.
"""

import ctypes
import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gen.kernels.library import library
from gen.kernels.stepping import Step, StepKernel

FloatArray = NDArray[np.float64]
TokenArray = NDArray[np.int64]
WORK_A_CALL = 1 << 26  # multiply-adds, 2 ms or less of a core: nobody waits longer for a token, or for Ctrl-C
MAX_TOKENS_A_CALL = 64
NO_END = -1  # of no vocabulary


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
    """What the repetition penalty looks at."""

    tokens: TokenArray  # (window, B) a ring of the last ones
    counts: NDArray[np.int16]  # (B, V) how often each id stands in it
    num_seen: int  # how many the ring has taken

    def of_rows(self, places: list[int]) -> "Recent":
        """Returns a copy of the rows at these places."""
        return Recent(np.ascontiguousarray(self.tokens[:, places]), self.counts[places], self.num_seen)


class Drawn(NamedTuple):
    """Tokens that were drawn one after the other, and what each cost."""

    tokens: TokenArray  # (N, B)
    surprise_nats: FloatArray  # (N, B) under the model's own distribution, before any filter


def has_draw_kernel() -> bool:
    """Tells whether `DrawKernel` can be made on this machine."""
    return hasattr(library(), "gen_draw_run")


class DrawKernel:
    """Filters, and room for draws. Not for several threads at a time.

    Args:
        vocab_size: V.
        temperature: 0 for the likeliest token.
        top_k: None for all.
        top_p: 1 for all.
        min_p: 0 for all.
        penalty: of the tokens in `Recent`; 1 for none.
        banned: ids that are never drawn.
    """

    def __init__(
        self,
        vocab_size: int,
        *,
        temperature: float,
        top_k: int | None,
        top_p: float,
        min_p: float,
        penalty: float,
        banned: tuple[int, ...],
    ) -> None:
        kernels = library()
        assert kernels is not None
        self._draw = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(("gen_draw_run", kernels))
        self._filters = _Filters(
            V=vocab_size,
            temperature=temperature,
            top_p=top_p,
            log_min_p=math.log(min_p) if min_p else -math.inf,
            penalty=penalty,
            top_k=min(vocab_size, top_k or vocab_size),
        )
        self.ban(banned)
        self.num_threads = torch.get_num_threads()
        self._kept = np.empty((self.num_threads, 3, vocab_size))
        self.arguments = _Draw(filters=ctypes.pointer(self._filters), room=self._kept.ctypes.data)

    def ban(self, tokens: tuple[int, ...]) -> None:
        """Draws none of these ids from now on, and any other."""
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
            recent: takes the tokens; None without a penalty.

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
        """Returns where the next call puts its tokens."""
        drawn = Drawn(np.empty((num_tokens, num_rows), dtype=np.int64), np.empty((num_tokens, num_rows)))
        arguments = self.arguments
        arguments.B, arguments.tokens, arguments.surprises = num_rows, drawn[0].ctypes.data, drawn[1].ctypes.data
        if recent is not None:
            arguments.recent, arguments.counts = recent.tokens.ctypes.data, recent.counts.ctypes.data
            arguments.num_seen, self._filters.window = recent.num_seen, len(recent.tokens)
        return drawn


class Writer:
    """Rows of a model that go on by themselves: many tokens a call.

    Args:
        kernel: the model.
        drawer: how tokens are drawn.
        memory: of the kernel, (L, B, H) each; not modified.
        condition: (B, ...) as for the kernel; None for none.
        recent: what the repetition penalty has seen; not modified. None without a penalty.
        end: the id that ends a row; None for none.
    """

    def __init__(
        self,
        kernel: StepKernel,
        drawer: DrawKernel,
        memory: tuple[Tensor, ...],
        condition: Tensor | None,
        *,
        recent: Recent | None,
        end: int | None,
    ) -> None:
        library_of_kernels = library()
        assert library_of_kernels is not None
        # Unlike a single step this takes long enough to let other threads of Python run.
        run = ctypes.CFUNCTYPE(
            ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int
        )
        self._run = run(("gen_sample_run", library_of_kernels))
        self._kernel, self._drawer = kernel, drawer
        self._recent = None if recent is None else recent.of_rows(list(range(memory[0].shape[1])))
        self._end = NO_END if end is None else end
        self._start(tuple(m.clone(memory_format=torch.contiguous_format) for m in memory), condition)

    def _start(self, memory: tuple[Tensor, ...], condition: Tensor | None) -> None:
        kernel, num_rows = self._kernel, memory[0].shape[1]
        self._memories = [memory, tuple(torch.empty_like(m) for m in memory)]  # now, and where the next goes
        self._condition = None if condition is None else condition.contiguous()
        self._bytes = kernel.room_for_bytes(num_rows)
        self.logits = torch.empty(num_rows, kernel.vocab_size)  # that the last token was drawn from
        self._step = Step(
            model=ctypes.pointer(kernel.model),
            B=num_rows,
            condition=None if self._condition is None else self._condition.data_ptr(),
            logits=self.logits.data_ptr(),
            bytes=self._bytes.data_ptr(),
        )

    def most_tokens(self) -> int:
        """Returns how many tokens of every row a call should take at most."""
        work = len(self.logits) * self._kernel.work
        return max(1, min(MAX_TOKENS_A_CALL, WORK_A_CALL // work))

    def write(self, tokens: TokenArray, uniforms: FloatArray) -> Drawn:
        """Steps and draws, once for each of the uniforms; ends early after a token that is the end of a row.

        Args:
            tokens: (B,) the last token of every row.
            uniforms: (N, B) in [0, 1).

        Returns:
            At most N tokens of every row; none if `logits` cannot be drawn from: then the rows cannot go on.
        """
        tokens, uniforms = np.ascontiguousarray(tokens), np.ascontiguousarray(uniforms)
        drawn = self._drawer.expect(len(uniforms), len(tokens), self._recent)
        (now, following), step, arguments = self._memories, self._step, self._drawer.arguments
        step.tokens, step.h, step.c = tokens.ctypes.data, now[0].data_ptr(), now[-1].data_ptr()
        step.next_h, step.next_c = following[0].data_ptr(), following[-1].data_ptr()
        arguments.allowed, arguments.logits, arguments.uniforms = None, step.logits, uniforms.ctypes.data
        count = self._run(
            ctypes.addressof(step),
            ctypes.addressof(arguments),
            len(uniforms),
            self._end,
            min(torch.get_num_threads(), self._drawer.num_threads),
        )
        if count % 2:
            self._memories.reverse()
        if self._recent is not None:
            self._recent = self._recent._replace(num_seen=self._recent.num_seen + count)
        return Drawn(drawn.tokens[:count], drawn.surprise_nats[:count])

    def ban(self, tokens: tuple[int, ...]) -> None:
        """Draws none of these ids from now on, and any other."""
        self._drawer.ban(tokens)

    def keep(self, places: list[int]) -> None:
        """Goes on with the rows at these places; the others have ended."""
        condition = None if self._condition is None else self._condition[places]
        self._recent = None if self._recent is None else self._recent.of_rows(places)
        self._start(tuple(m[:, places].contiguous() for m in self._memories[0]), condition)
