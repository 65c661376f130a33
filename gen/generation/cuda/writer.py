"""A writer on the network's own device: blocks of steps and draws, without the host between two tokens.

Token by token a GPU waits for the host: each token costs some thirty launches, a copy of the logits and a draw in
numpy. Here the host hands over the uniform numbers of a block and receives the block's tokens. On CUDA a block becomes
a graph that is replayed (gen.generation.cuda.graph). The first blocks run as plain operations, and so does a rest that
is shorter than a block. The same operations run on any device that has float64, with the same results.

Rows that have ended stay in the batch, ignored, until half of all rows have ended; then the others are copied into a
smaller batch. Another number of rows needs another graph, and a capture costs as much as several blocks: so there are
at most log2(B) graphs, and a GPU takes hardly longer for twice the rows.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gen.config import SamplingConfig
from gen.generation.cuda.drawing import DeviceDraw
from gen.generation.cuda.graph import replayed
from gen.kernels.drawing import Drawn, FloatArray, Recent, TokenArray
from gen.models.recurrent import State
from gen.models.stepper import Stepper

DEVICES = frozenset({"cuda"})  # those on which a launch costs more than its work; MPS has no float64
# Tokens. The copies and waits of a block take some tens of microseconds; shared among 16 tokens they are less than a
# token's own work. Yet a block takes only a few milliseconds, which is how long a user waits for tokens or for Ctrl-C,
# and a row that ends draws at most 15 tokens in vain. Estimates: not yet measured on a GPU.
BLOCK = 16


def new_device_writer(
    stepper: Stepper, state: State, config: SamplingConfig, *, banned: Sequence[int], recent: Recent | None
) -> "DeviceWriter | None":
    """Returns rows that continue from a state by themselves on a CUDA device; None on any other.

    Args:
        stepper: the network.
        state: of the stepper; not modified.
        config: the filters.
        banned: ids that are never drawn.
        recent: the tokens that the repetition penalty has seen; not modified. None without a penalty.
    """
    if stepper.device.type not in DEVICES:
        return None
    draw = DeviceDraw(config, vocab_size=stepper.vocab_size, banned=banned, device=stepper.device)
    return DeviceWriter(stepper, draw, state, recent=recent)


class DeviceWriter:
    """Rows that continue by themselves: a `gen.models.stepper.Writer`.

    Args:
        stepper: the network.
        draw: the filters, on its device.
        state: of the stepper; not modified.
        recent: the tokens that the repetition penalty has seen; not modified. None without a penalty.
    """

    def __init__(self, stepper: Stepper, draw: DeviceDraw, state: State, *, recent: Recent | None) -> None:
        self._stepper, self._draw = stepper, draw
        self.logits = torch.empty(0, stepper.vocab_size)  # that cannot be drawn from, once `write` returns no tokens
        seen = None if recent is None else torch.from_numpy(last_tokens(recent, absent=stepper.vocab_size))
        self._start(state, None if seen is None else seen.to(stepper.device))

    @torch.inference_mode()
    def _start(self, state: State, recent: Tensor | None) -> None:
        num_rows, device = len(state.condition), self._stepper.device
        self._live = np.arange(num_rows)  # indices of the rows that have not ended
        self._fixed = _Fixed(
            torch.zeros(num_rows, dtype=torch.int64, device=device),
            torch.zeros(BLOCK, num_rows, dtype=torch.float64, device=device),
            State(tuple(m.clone(memory_format=torch.contiguous_format) for m in state.memory), state.condition.clone()),
            recent,
        )
        self._block = replayed(partial(_written, self._stepper, self._draw, self._fixed, BLOCK), device)

    def most_tokens(self) -> int:
        """Returns the number of tokens of every row that a call should draw at most."""
        return BLOCK

    @torch.inference_mode()
    def write(self, tokens: TokenArray, uniforms: FloatArray) -> Drawn:
        """Draws one token of every row per uniform number; what follows the end of a row is meaningless.

        Args:
            tokens: (B,) the last token of every row.
            uniforms: (N, B) in [0, 1), N at most BLOCK.

        Returns:
            At most N tokens of every row; none if `logits` cannot be drawn from: then the rows cannot continue.
        """
        self._hand_in(tokens, uniforms)
        count = len(uniforms)
        written = self._block() if count == BLOCK else _written(self._stepper, self._draw, self._fixed, count)
        drawn = Drawn(
            written.tokens.numpy(force=True)[:, self._live], written.surprise_nats.numpy(force=True)[:, self._live]
        )
        num_sound = _num_sound(drawn)
        if num_sound == count:
            self._advance(written)
        elif num_sound:
            return self.write(tokens, uniforms[:num_sound])  # once more, up to the fault: no state has changed yet
        else:
            self.logits = written.logits[torch.from_numpy(self._live).to(written.logits.device)]
        return Drawn(drawn.tokens[:num_sound], drawn.surprise_nats[:num_sound])

    @torch.inference_mode()
    def ban(self, tokens: tuple[int, ...]) -> None:
        """Makes these the only ids that are never drawn."""
        self._draw.ban(tokens)

    @torch.inference_mode()
    def keep(self, rows: Sequence[int]) -> None:
        """Drops the rows that have ended: all but those at these indices."""
        self._live = self._live[list(rows)]
        _, _, state, recent = self._fixed
        if 2 * len(self._live) <= len(state.condition):
            at = torch.from_numpy(self._live).to(self._stepper.device)
            memory = tuple(m[:, at] for m in state.memory)
            self._start(State(memory, state.condition[at]), None if recent is None else recent[at])

    def _hand_in(self, tokens: TokenArray, uniforms: FloatArray) -> None:
        """Copies a block's input into the memory that the block reads; rows that have ended get zeros."""
        num_rows = len(self._fixed.tokens)
        all_tokens, all_uniforms = np.zeros(num_rows, dtype=np.int64), np.zeros((BLOCK, num_rows))
        all_tokens[self._live] = tokens
        all_uniforms[: len(uniforms), self._live] = uniforms
        self._fixed.tokens.copy_(torch.from_numpy(all_tokens))
        self._fixed.uniforms.copy_(torch.from_numpy(all_uniforms))

    def _advance(self, written: "_Written") -> None:
        """Copies the state after a block into the memory that the next block reads."""
        for memory, after in zip(self._fixed.state.memory, written.memory, strict=True):
            memory.copy_(after)
        if self._fixed.recent is not None and written.recent is not None:
            self._fixed.recent.copy_(written.recent)


class _Fixed(NamedTuple):
    """The input of a block, always in the same memory."""

    tokens: Tensor  # (B,) the last ones
    uniforms: Tensor  # (BLOCK, B) float64
    state: State
    recent: Tensor | None  # (B, W) the last tokens, the oldest first


class _Written(NamedTuple):
    """The output of a block."""

    tokens: Tensor  # (N, B)
    surprise_nats: Tensor  # (N, B)
    logits: Tensor  # (B, V) that the first token was drawn from
    memory: tuple[Tensor, ...]
    recent: Tensor | None


def last_tokens(recent: Recent, *, absent: int) -> TokenArray:
    """Returns (B, W) the tokens of a ring buffer, the oldest first, with `absent` in the entries not yet filled."""
    window = len(recent.tokens)
    tokens = np.roll(recent.tokens, -recent.num_seen, axis=0)
    tokens[: max(0, window - recent.num_seen)] = absent
    return np.ascontiguousarray(tokens.T)


@torch.inference_mode()
def _written(stepper: Stepper, draw: DeviceDraw, fixed: _Fixed, count: int) -> _Written:
    """Steps and draws `count` times; does not modify its input."""
    _, uniforms, state, recent = fixed
    tokens, surprises = [fixed.tokens], []
    logits, state = stepper.step(tokens[-1], state)
    first_logits = logits
    for index in range(count):
        if index > 0:
            logits, state = stepper.step(tokens[-1], state)
        token, surprise_nats = draw(logits, uniforms[index], recent)
        if recent is not None:
            recent = torch.cat([recent[:, 1:], token[:, None]], dim=1)
        tokens.append(token)
        surprises.append(surprise_nats)
    return _Written(torch.stack(tokens[1:]), torch.stack(surprises), first_logits, state.memory, recent)


def _num_sound(drawn: Drawn) -> int:
    """Returns the number of tokens that were drawn before a row could not be drawn from."""
    bad = np.flatnonzero(np.isnan(drawn.surprise_nats).any(axis=1))
    return int(bad[0]) if len(bad) else len(drawn.tokens)
