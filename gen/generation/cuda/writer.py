"""Steps and draws blocks of tokens on the model's own device, without a word to the host between two of them.

One token at a time a GPU waits for the host: every one costs some thirty launches, a copy of the logits and a draw in
numpy. Here the host hands in the uniforms of a block and takes back its tokens. On CUDA a block is a graph that is
replayed (gen.generation.cuda.graph), after some blocks that are run as they stand, which is also how the rest of a call
is run that fills no block. Replaying needs CUDA; run as they stand the same operations serve on any device that has
float64, and the results are equal.

Rows that have ended stay where they are, ignored, until half of them have: then the rest is laid out anew. Another
number of rows is another graph, and a capture costs as much as some blocks do. This way there are at most log2(B) of
them, and a GPU takes hardly longer for twice the rows.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gen.generation.cuda.drawing import DeviceDraw
from gen.generation.cuda.graph import replayed
from gen.kernels.drawing import Drawn, FloatArray, Recent, TokenArray
from gen.models.recurrent import State
from gen.models.stepper import Stepper

# Tokens. Copies and waiting, some tens of microseconds a block, are shared by so many tokens that a token's own work
# outweighs them; yet nobody waits longer than a few milliseconds for tokens or for Ctrl-C, and a row that ends draws 15
# tokens in vain at most. Estimates: not yet measured on a GPU.
BLOCK = 16


class DeviceWriter:
    """Rows of a model that go on by themselves: many tokens a call.

    Args:
        stepper: the model.
        draw: how tokens are drawn, on its device.
        state: where the rows stand; not modified.
        recent: what the repetition penalty has seen; not modified. None without a penalty.
    """

    def __init__(self, stepper: Stepper, draw: DeviceDraw, state: State, *, recent: Recent | None) -> None:
        self._stepper, self._draw = stepper, draw
        self.logits = torch.empty(0, stepper.vocab_size)  # that cannot be drawn from, when `write` has said so
        seen = None if recent is None else torch.from_numpy(last_tokens(recent, absent=stepper.vocab_size))
        self._start(state, None if seen is None else seen.to(stepper.device))

    @torch.inference_mode()
    def _start(self, state: State, recent: Tensor | None) -> None:
        num_rows, device = len(state.condition), self._stepper.device
        self._places = np.arange(num_rows)  # of the rows that have not ended
        self._fixed = _Fixed(
            torch.zeros(num_rows, dtype=torch.int64, device=device),
            torch.zeros(BLOCK, num_rows, dtype=torch.float64, device=device),
            State(tuple(m.clone(memory_format=torch.contiguous_format) for m in state.memory), state.condition.clone()),
            recent,
        )
        self._block = replayed(partial(_written, self._stepper, self._draw, self._fixed, BLOCK), device)

    def most_tokens(self) -> int:
        """Returns how many tokens of every row a call should take at most."""
        return BLOCK

    @torch.inference_mode()
    def write(self, tokens: TokenArray, uniforms: FloatArray) -> Drawn:
        """Steps and draws, once for each of the uniforms; what follows the end of a row means nothing.

        Args:
            tokens: (B,) the last token of every row.
            uniforms: (N, B) in [0, 1), N at most `most_tokens`.

        Returns:
            At most N tokens of every row; none if `logits` cannot be drawn from: then the rows cannot go on.
        """
        self._hand_in(tokens, uniforms)
        count = len(uniforms)
        written = self._block() if count == BLOCK else _written(self._stepper, self._draw, self._fixed, count)
        drawn = Drawn(
            written.tokens.numpy(force=True)[:, self._places], written.surprise_nats.numpy(force=True)[:, self._places]
        )
        num_sound = _num_sound(drawn)
        if num_sound == count:
            self._go_on(written)
        elif num_sound:
            return self.write(tokens, uniforms[:num_sound])  # again as far as it goes: nothing has changed yet
        else:
            self.logits = written.logits[torch.from_numpy(self._places).to(written.logits.device)]
        return Drawn(drawn.tokens[:num_sound], drawn.surprise_nats[:num_sound])

    @torch.inference_mode()
    def ban(self, tokens: tuple[int, ...]) -> None:
        """Draws none of these ids from now on, and any other."""
        self._draw.ban(tokens)

    @torch.inference_mode()
    def keep(self, places: list[int]) -> None:
        """Goes on with the rows at these places; the others have ended."""
        self._places = self._places[places]
        _, _, state, recent = self._fixed
        if 2 * len(self._places) <= len(state.condition):
            at = torch.from_numpy(self._places).to(self._stepper.device)
            memory = tuple(m[:, at] for m in state.memory)
            self._start(State(memory, state.condition[at]), None if recent is None else recent[at])

    def _hand_in(self, tokens: TokenArray, uniforms: FloatArray) -> None:
        """Puts a block's input where it is read from; rows that have ended get zeros."""
        num_rows = len(self._fixed.tokens)
        all_tokens, all_uniforms = np.zeros(num_rows, dtype=np.int64), np.zeros((BLOCK, num_rows))
        all_tokens[self._places] = tokens
        all_uniforms[: len(uniforms), self._places] = uniforms
        self._fixed.tokens.copy_(torch.from_numpy(all_tokens))
        self._fixed.uniforms.copy_(torch.from_numpy(all_uniforms))

    def _go_on(self, written: "_Written") -> None:
        """Makes what a block left behind what the next one starts from."""
        for memory, after in zip(self._fixed.state.memory, written.memory, strict=True):
            memory.copy_(after)
        if self._fixed.recent is not None and written.recent is not None:
            self._fixed.recent.copy_(written.recent)


class _Fixed(NamedTuple):
    """What a block reads, always in the same memory."""

    tokens: Tensor  # (B,) the last ones
    uniforms: Tensor  # (BLOCK, B) float64
    state: State
    recent: Tensor | None  # (B, W) the last tokens, the oldest first


class _Written(NamedTuple):
    """What a block returns."""

    tokens: Tensor  # (N, B)
    surprise_nats: Tensor  # (N, B)
    logits: Tensor  # (B, V) that the first token was drawn from
    memory: tuple[Tensor, ...]
    recent: Tensor | None


def last_tokens(recent: Recent, *, absent: int) -> TokenArray:
    """Returns (B, W) the tokens of a ring, the oldest first; `absent` for those that it has not taken yet."""
    window = len(recent.tokens)
    tokens = np.roll(recent.tokens, -recent.num_seen, axis=0)
    tokens[: max(0, window - recent.num_seen)] = absent
    return np.ascontiguousarray(tokens.T)


@torch.inference_mode()
def _written(stepper: Stepper, draw: DeviceDraw, fixed: _Fixed, count: int) -> _Written:
    """Steps and draws so often; what it is given is not modified."""
    _, uniforms, state, recent = fixed
    tokens, surprises = [fixed.tokens], []
    logits, state = stepper.step(tokens[-1], state)
    first_logits = logits
    for place in range(count):
        if place > 0:
            logits, state = stepper.step(tokens[-1], state)
        token, surprise_nats = draw(logits, uniforms[place], recent)
        if recent is not None:
            recent = torch.cat([recent[:, 1:], token[:, None]], dim=1)
        tokens.append(token)
        surprises.append(surprise_nats)
    return _Written(torch.stack(tokens[1:]), torch.stack(surprises), first_logits, state.memory, recent)


def _num_sound(drawn: Drawn) -> int:
    """Returns how many tokens were drawn before a row could not be drawn from."""
    bad = np.flatnonzero(np.isnan(drawn.surprise_nats).any(axis=1))
    return int(bad[0]) if len(bad) else len(drawn.tokens)
