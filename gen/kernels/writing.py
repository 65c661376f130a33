"""Steps a model and draws, many tokens in one call of the compiled kernel (gen_sample_run in sampler.c).

At the rates of the compiled stepper a token takes about as long as ten calls of torch. So where nothing needs to look
at every token, many are stepped and drawn in one call.
"""

import ctypes
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from gen.kernels.choice import ThreadChoice
from gen.kernels.drawing import DrawKernel, Drawn, FloatArray, Recent, TokenArray
from gen.kernels.library import built
from gen.kernels.pool import num_threads
from gen.kernels.stepping import Step, StepKernel

WORK_A_CALL = 1 << 26  # multiply-adds, 2 ms or less of a core: nobody waits longer for a token, or for Ctrl-C
MAX_TOKENS_A_CALL = 64
NO_END = -1  # of no vocabulary


class KernelWriter:
    """Rows of a model that continue by themselves: many tokens a call.

    Args:
        kernel: the model.
        drawer: the filters.
        memory: of the kernel, (L, B, H) each; not modified.
        condition: (B, ...) as for the kernel; None for none.
        uniforms: returns the next (N, B) random numbers in [0, 1), which the draws of a call then consume.
        recent: the tokens that the repetition penalty has seen; not modified. None without a penalty.
        end: the id that ends a row; None for none.
    """

    def __init__(
        self,
        kernel: StepKernel,
        drawer: DrawKernel,
        memory: tuple[Tensor, ...],
        condition: Tensor | None,
        *,
        uniforms: Callable[[int], FloatArray],
        recent: Recent | None,
        end: int | None,
    ) -> None:
        # CFUNCTYPE releases the interpreter's lock: unlike a single step, a call is long enough for it.
        run = ctypes.CFUNCTYPE(
            ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int
        )
        self._run = run(("gen_sample_run", built()))
        self._kernel, self._drawer, self._uniforms = kernel, drawer, uniforms
        self._recent = None if recent is None else recent.of_rows(list(range(memory[0].shape[1])))
        self._end = NO_END if end is None else end
        self._choice = ThreadChoice(min(num_threads(), drawer.num_threads))
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
        """Returns the number of tokens of every row that a call should draw at most."""
        work = len(self.logits) * self._kernel.work
        return max(1, min(MAX_TOKENS_A_CALL, WORK_A_CALL // work))

    def write(self, tokens: TokenArray, count: int) -> Drawn:
        """Draws `count` tokens of every row; stops early once a row has drawn `end`.

        Args:
            tokens: (B,) the last token of every row.
            count: at least 1.

        Returns:
            At most `count` tokens of every row; none if `logits` cannot be drawn from: then the rows cannot continue.
        """
        tokens, uniforms = np.ascontiguousarray(tokens), np.ascontiguousarray(self._uniforms(count))
        drawn = self._drawer.expect(len(uniforms), len(tokens), self._recent)
        (now, following), step, arguments = self._memories, self._step, self._drawer.arguments
        step.tokens, step.h, step.c = tokens.ctypes.data, now[0].data_ptr(), now[-1].data_ptr()
        step.next_h, step.next_c = following[0].data_ptr(), following[-1].data_ptr()
        arguments.allowed, arguments.logits, arguments.uniforms = None, step.logits, uniforms.ctypes.data
        started = time.perf_counter()
        num_drawn = self._run(
            ctypes.addressof(step), ctypes.addressof(arguments), len(uniforms), self._end, self._choice.threads
        )
        self._choice.add(num_drawn * len(tokens), time.perf_counter() - started)
        if num_drawn % 2:
            self._memories.reverse()
        if self._recent is not None:
            self._recent = self._recent._replace(num_seen=self._recent.num_seen + num_drawn)
        return Drawn(drawn.tokens[:num_drawn], drawn.surprise_nats[:num_drawn])

    def ban(self, tokens: tuple[int, ...]) -> None:
        """Makes these the only ids that are never drawn."""
        self._drawer.ban(tokens)

    def keep(self, rows: Sequence[int]) -> None:
        """Drops the rows that have ended: all but those at these indices."""
        kept = list(rows)
        condition = None if self._condition is None else self._condition[kept]
        self._recent = None if self._recent is None else self._recent.of_rows(kept)
        self._start(tuple(m[:, kept].contiguous() for m in self._memories[0]), condition)
