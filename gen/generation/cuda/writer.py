"""A writer on the network's own device: blocks of steps and draws, without the host between two tokens.

Token by token a GPU waits for the host: each token costs some thirty launches, a copy of the logits and a draw in
numpy. Here a block draws its random numbers on the device (gen.generation.cuda.streams), and one copy brings tokens and
surprises to the host. On CUDA a block becomes a graph that is replayed (gen.generation.cuda.graph). The first blocks
run as plain operations, and so does a rest that is shorter than a block. The same operations run on any device that has
float64, with the same results.

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
from gen.generation.cuda.streams import stream_keys, stream_uniforms
from gen.kernels.drawing import Drawn, Recent, TokenArray
from gen.models.recurrent import State
from gen.models.stepper import Stepper

DEVICES = frozenset({"cuda"})  # those on which a launch costs more than its work; MPS has no float64
# Tokens. The copies and waits of a block take some tens of microseconds; shared among 16 tokens they are less than a
# token's own work. Yet a block takes only a few milliseconds, which is how long a user waits for tokens or for Ctrl-C,
# and a row that ends draws at most 15 tokens in vain. Estimates: not yet measured on a GPU.
BLOCK = 16


def new_device_writer(
    stepper: Stepper, state: State, config: SamplingConfig, *, seed: int, banned: Sequence[int], recent: Recent | None
) -> "DeviceWriter | None":
    """Returns rows that continue from a state by themselves on a CUDA device; None on any other.

    Args:
        stepper: the network.
        state: of the stepper; not modified.
        config: the filters.
        seed: with the number of a row it decides what the row draws.
        banned: ids that are never drawn.
        recent: the tokens that the repetition penalty has seen; not modified. None without a penalty.
    """
    if stepper.device.type not in DEVICES:
        return None
    draw = DeviceDraw(config, vocab_size=stepper.vocab_size, banned=banned, device=stepper.device)
    return DeviceWriter(stepper, draw, state, seed=seed, recent=recent)


class DeviceWriter:
    """Rows that continue by themselves: a `gen.models.stepper.Writer`.

    Args:
        stepper: the network.
        draw: the filters, on its device.
        state: of the stepper; not modified.
        seed: with the number of a row it decides what the row draws.
        recent: the tokens that the repetition penalty has seen; not modified. None without a penalty.
    """

    def __init__(self, stepper: Stepper, draw: DeviceDraw, state: State, *, seed: int, recent: Recent | None) -> None:
        self._stepper, self._draw = stepper, draw
        self._num_drawn = 0  # tokens of each row
        self.logits = torch.empty(0, stepper.vocab_size)  # that cannot be drawn from, once `write` returns no tokens
        seen = None if recent is None else torch.from_numpy(last_tokens(recent, absent=stepper.vocab_size))
        keys = stream_keys(seed, len(state.condition)).to(stepper.device)
        self._start(state, keys, None if seen is None else seen.to(stepper.device))

    @torch.inference_mode()
    def _start(self, state: State, keys: Tensor, recent: Tensor | None) -> None:
        num_rows, device = len(state.condition), self._stepper.device
        self._live = np.arange(num_rows)  # indices of the rows that have not ended
        self._fixed = _Fixed(
            torch.zeros(num_rows, dtype=torch.int64, device=device),
            keys,
            torch.tensor(self._num_drawn, device=device),
            State(tuple(m.clone(memory_format=torch.contiguous_format) for m in state.memory), state.condition.clone()),
            recent,
        )
        self._block = replayed(partial(_written, self._stepper, self._draw, self._fixed, BLOCK), device)

    def most_tokens(self) -> int:
        """Returns the number of tokens of every row that a call should draw at most."""
        return BLOCK

    @torch.inference_mode()
    def write(self, tokens: TokenArray, count: int) -> Drawn:
        """Draws `count` tokens of every row; what follows the end of a row is meaningless.

        Args:
            tokens: (B,) the last token of every row.
            count: at most BLOCK.

        Returns:
            At most `count` tokens of every row; none if `logits` cannot be drawn from: then the rows cannot continue.
        """
        self._hand_in(tokens)
        written = self._block() if count == BLOCK else _written(self._stepper, self._draw, self._fixed, count)
        drawn = self._received(written)
        num_sound = _num_sound(drawn)
        if num_sound == count:
            self._advance(written, count)
        elif num_sound:
            return self.write(tokens, num_sound)  # once more, up to the fault: no state has changed yet
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
        _, keys, _, state, recent = self._fixed
        if 2 * len(self._live) <= len(state.condition):
            at = torch.from_numpy(self._live).to(self._stepper.device)
            memory = tuple(m[:, at] for m in state.memory)
            self._start(State(memory, state.condition[at]), keys[at], None if recent is None else recent[at])

    def _hand_in(self, tokens: TokenArray) -> None:
        """Copies the last tokens into the memory that the block reads; rows that have ended get zeros."""
        all_tokens = np.zeros(len(self._fixed.tokens), dtype=np.int64)
        all_tokens[self._live] = tokens
        self._fixed.tokens.copy_(torch.from_numpy(all_tokens))

    def _received(self, written: "_Written") -> Drawn:
        """Returns what a block has drawn, without the rows that have ended before it."""
        words = written.words.numpy(force=True)
        if len(self._live) < words.shape[2]:
            words = words[:, :, self._live]
        return Drawn(words[0].astype(np.int64), words[1].view(np.float32).astype(np.float64))

    def _advance(self, written: "_Written", count: int) -> None:
        """Copies the state after a block into the memory that the next block reads."""
        self._num_drawn += count
        self._fixed.position.fill_(self._num_drawn)
        for memory, after in zip(self._fixed.state.memory, written.memory, strict=True):
            memory.copy_(after)
        if self._fixed.recent is not None and written.recent is not None:
            self._fixed.recent.copy_(written.recent)


class _Fixed(NamedTuple):
    """The input of a block, always in the same memory."""

    tokens: Tensor  # (B,) the last ones
    keys: Tensor  # (B,) of the rows' random streams
    position: Tensor  # () in these streams
    state: State
    recent: Tensor | None  # (B, W) the last tokens, the oldest first


class _Written(NamedTuple):
    """The output of a block."""

    words: Tensor  # (2, N, B) int32: the tokens, and the bits of the float32 nats that each costs
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
    _, keys, position, state, recent = fixed
    uniforms = stream_uniforms(keys, position, count)
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
    words = torch.stack([torch.stack(tokens[1:]).int(), torch.stack(surprises).float().view(torch.int32)])
    return _Written(words, first_logits, state.memory, recent)


def _num_sound(drawn: Drawn) -> int:
    """Returns the number of tokens that were drawn before a row could not be drawn from."""
    bad = np.flatnonzero(np.isnan(drawn.surprise_nats).any(axis=1))
    return int(bad[0]) if len(bad) else len(drawn.tokens)
