"""The sampling loop: step the network, draw a token, feed it back.

`generate_blocks` returns an iterator, so the caller decides when to stop. A block holds the tokens of one call, as
arrays; `generate` yields the same tokens one by one, at most some three million a second. The prompt runs through the
stepper once, for one row, and the state is copied to all rows. Then each token takes one call of the stepper and one
draw, in constant memory. If there is neither a grammar nor a steering function, which would have to see every token, a
call steps and draws many tokens, for about two milliseconds: in the compiled kernel on a CPU, in a CUDA graph on a GPU.

Rows that have ended are dropped. On a CPU a stepper computes the same bits for a row for any number of rows, and each
row has its own stream of random numbers. So a sample is the same alone or in a batch. On a GPU each row has its own
stream too, another one; the last bits of a product may depend on the number of rows.

`inference_mode`, which turns gradients off, is on only while the stepper runs: a generator that yields inside it would
leave it on in the caller.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import compress
from typing import NamedTuple, Protocol, Required, TypedDict, Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gen.codec import BoolArray, Grammar
from gen.config import MAX_SAMPLES, SamplingConfig
from gen.errors import SettingError
from gen.generation.cuda.writer import new_device_writer
from gen.generation.sampling import Sampler, Steering
from gen.kernels.drawing import Drawn, TokenArray
from gen.kernels.writing import NO_END
from gen.models.recurrent import State
from gen.models.stepper import Stepper, Writer


class Sampled(NamedTuple):
    """One token of one sample."""

    row: int  # number of the sample, from 0
    token: int
    surprise_nats: float  # minus the log of the token's probability before any filter


class SampledBlock(NamedTuple):
    """T tokens of each of B samples, drawn side by side; row i of an array belongs to sample `rows[i]`."""

    rows: NDArray[np.int64]  # (B,) numbers of the samples, ascending
    tokens: NDArray[np.int64]  # (B, T)
    surprise_nats: NDArray[np.float64]  # (B, T)
    is_drawn: BoolArray  # (B, T) False after the end of a sample, where tokens and surprises mean nothing

    def samples(self) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.float64]]]:
        """Yields of each sample its number, its tokens and their surprises."""
        for row, tokens, nats, is_drawn in zip(self.rows.tolist(), *self[1:], strict=True):
            yield row, tokens[is_drawn], nats[is_drawn]


class Arguments(TypedDict, total=False):
    """The arguments of `generate_blocks`, which explains them."""

    prompt: Required[Sequence[int]]
    begin: Required[int]
    end: Required[int | None]
    length: Required[int | None]
    sampling: Required[SamplingConfig | Steering]
    seed: Required[int]
    num_samples: int
    label: int
    min_length: int
    new_grammar: Callable[[], Grammar | None]


def generate(stepper: Stepper, **arguments: Unpack[Arguments]) -> Iterator[Sampled]:
    """Returns an iterator over tokens as they are drawn, one of each row in turn.

    Arguments and errors are those of `generate_blocks`.
    """
    return one_by_one(generate_blocks(stepper, **arguments))


def one_by_one(blocks: Iterable[SampledBlock]) -> Iterator[Sampled]:
    """Yields the tokens of blocks, one of each row in turn, and none after the end of its row."""
    for block in blocks:
        tokens, nats, is_drawn = (array.T for array in block[1:])  # (T, B)
        turn_of = partial(map, Sampled, block.rows.tolist())
        turns: Iterator[Iterator[Sampled]] = map(turn_of, tokens.tolist(), nats.tolist())
        if not is_drawn.all():
            turns = map(compress, turns, is_drawn.tolist())
        for turn in turns:
            yield from turn


def generate_blocks(
    stepper: Stepper,
    *,
    prompt: Sequence[int],
    begin: int,
    end: int | None,
    length: int | None,
    sampling: SamplingConfig | Steering,
    seed: int,
    num_samples: int = 1,
    label: int = 0,
    min_length: int = 0,
    new_grammar: Callable[[], Grammar | None] = lambda: None,
) -> Iterator[SampledBlock]:
    """Returns an iterator over blocks of tokens as they are drawn. Arguments are checked at once.

    A block has the rows that have not ended before it. It has one token of each row if the network can only be stepped,
    or something must see every token; else as many as are drawn in about two milliseconds.

    Args:
        stepper: the network.
        prompt: ids that every sample continues, without begin and end; they are not yielded.
        begin: the id that opens a document, never drawn; begin + 1 is the vocabulary's `end`.
        end: the id that ends a row, its last token; None if it must not be drawn.
        length: the maximum number of tokens of a row after the prompt, `end` not counted; None for no limit.
        sampling: the filters, or a function that returns them before every token.
        seed: row r's tokens depend on (seed, r) and the other arguments, but not on num_samples.
        num_samples: B, the number of rows.
        label: 0 for none, else 1 + the label's index.
        min_length: the minimum number of tokens of a row before `end` is drawn.
        new_grammar: returns a new automaton in its state after `begin`, for each row; None for no grammar.

    Raises SettingError if an argument is out of range or the length is too short to close what the prompt leaves open.
    The iterator raises CheckpointError if the model's logits cannot be drawn from.
    """
    _check_numbers(length=length, min_length=min_length, num_samples=num_samples, seed=seed)
    for token in prompt:
        if not 0 <= token < begin:
            raise SettingError(f"prompt: no id of a symbol ({token})", hint=f"ids are 0 to {begin - 1}")
    grammars = _grammars(new_grammar, prompt, num_samples)
    if grammars and length is not None and grammars[0].tokens_to_close() > length:
        least = grammars[0].tokens_to_close()
        raise SettingError(
            f"--length: too short to close what the prompt leaves open ({length})", hint=f"give at least {least}"
        )
    sampler = Sampler(
        sampling,
        vocab_size=stepper.vocab_size,
        seed=seed,
        num_rows=num_samples,
        banned=(begin, begin + 1) if end is None else (begin,),
        late=() if end is None else (end,),
        num_without_late=min_length,
        prompt=prompt,
    )
    opening = [begin, *prompt]
    return _blocks(stepper, sampler, grammars, opening, end=end, length=length, label=label, num_samples=num_samples)


def _check_numbers(*, length: int | None, min_length: int, num_samples: int, seed: int) -> None:
    """Raises SettingError if one of the numbers is out of range."""
    _check_at_least("length", length, 0)
    _check_at_least("min-length", min_length, 0)
    if length is not None and min_length > length:
        raise SettingError(f"--min-length: must be at most --length, {length} ({min_length})")
    _check_at_least("num-samples", num_samples, 1)
    if num_samples > MAX_SAMPLES:
        raise SettingError(f"--num-samples: must be at most {MAX_SAMPLES} ({num_samples})")
    _check_at_least("seed", seed, 0)


def _blocks(
    stepper: Stepper,
    sampler: Sampler,
    grammars: list[Grammar],
    opening: list[int],
    *,
    end: int | None,
    length: int | None,
    label: int,
    num_samples: int,
) -> Iterator[SampledBlock]:
    """Yields what `generate_blocks` returns.

    Args:
        opening: `begin` and the prompt.
    """
    if length == 0:
        return
    rows, num_drawn = np.arange(num_samples), 0  # the samples that have not ended
    logits, state = _read(stepper, opening, label=label, num_rows=num_samples)
    drawn = sampler.draw(logits, _allowed(grammars, length))
    continuation = _continuation(stepper, sampler, grammars, state, end=end)
    while True:
        is_drawn, unfinished = _before_end(drawn, end)
        block = SampledBlock(rows, drawn.tokens.T, drawn.surprise_nats.T, is_drawn.T)
        rows, last = rows[unfinished], drawn.tokens[-1, unfinished]  # copies: the block's arrays are the caller's
        num_drawn += len(drawn.tokens)
        yield block
        if num_drawn == length or not len(rows):
            return
        if len(unfinished) < len(block.rows):  # drops the rows that have ended
            sampler.keep(unfinished.tolist())
            continuation.keep(unfinished.tolist())
        drawn = continuation.draw(last, None if length is None else length - num_drawn)


def _before_end(drawn: Drawn, end: int | None) -> tuple[BoolArray, NDArray[np.int64]]:
    """Returns (T, B) which tokens do not come after the `end` of their row, and the indices of rows without `end`."""
    has_ended = np.logical_or.accumulate(drawn.tokens == (NO_END if end is None else end), axis=0)  # (T, B)
    is_drawn = np.ones_like(has_ended)
    is_drawn[1:] = ~has_ended[:-1]
    return is_drawn, np.flatnonzero(~has_ended[-1])


class _Continuation(Protocol):
    """The rows after their first token."""

    def draw(self, tokens: TokenArray, limit: int | None) -> Drawn:
        """Feeds back (B,) the last tokens and draws those that follow: 1 to `limit` of every row.

        What follows the end of a row is meaningless.
        """
        ...

    def keep(self, indices: list[int]) -> None:
        """Drops the rows that have ended: all but those at these indices."""
        ...


def _continuation(
    stepper: Stepper, sampler: Sampler, grammars: list[Grammar], state: State, *, end: int | None
) -> _Continuation:
    if not grammars and not sampler.is_steered and (writer := _writer(stepper, sampler, state, end=end)) is not None:
        return _ManyTokens(sampler, writer)
    return _OneToken(stepper, sampler, grammars, state)


def _writer(stepper: Stepper, sampler: Sampler, state: State, *, end: int | None) -> Writer | None:
    """Returns a writer, which steps and draws many tokens per call, for the network's device; None if there is none."""
    recent = sampler.recent()
    writer: Writer | None = new_device_writer(
        stepper, state, sampler.config, seed=sampler.seed, banned=sampler.banned, recent=recent
    )
    if writer is None and sampler.kernel is not None:
        return stepper.writer(sampler.kernel, state, uniforms=sampler.peek, recent=recent, end=end)
    return writer


@dataclass(slots=True)
class _OneToken:
    """Steps and draws one token of every row per call, with any stepper and any grammar."""

    stepper: Stepper
    sampler: Sampler
    grammars: list[Grammar]
    state: State

    def draw(self, tokens: TokenArray, limit: int | None) -> Drawn:
        for grammar, token in zip(self.grammars, tokens.tolist(), strict=False):
            grammar.advance(token)
        with torch.inference_mode():
            logits, self.state = self.stepper.step(torch.from_numpy(tokens).to(self.stepper.device), self.state)
        return self.sampler.draw(logits, _allowed(self.grammars, limit))

    def keep(self, indices: list[int]) -> None:
        self.grammars = [self.grammars[index] for index in indices] if self.grammars else []
        self.state = _rows_of(self.state, torch.tensor(indices, device=self.stepper.device))


@dataclass(slots=True)
class _ManyTokens:
    """Steps and draws several tokens of every row per call."""

    sampler: Sampler
    writer: Writer

    def draw(self, tokens: TokenArray, limit: int | None) -> Drawn:
        return self.sampler.write(self.writer, tokens, limit=limit)

    def keep(self, indices: list[int]) -> None:
        self.writer.keep(indices)


def _check_at_least(name: str, value: int | None, least: int) -> None:
    if value is not None and value < least:
        raise SettingError(f"--{name}: must be at least {least} ({value})")


def _grammars(new_grammar: Callable[[], Grammar | None], prompt: Sequence[int], count: int) -> list[Grammar]:
    """Returns an automaton for each row, in its state after the prompt; an empty list if there is no grammar."""
    grammars = [grammar for grammar in (new_grammar() for _ in range(count)) if grammar is not None]
    for grammar in grammars:
        for token in prompt:
            grammar.advance(token)
    return grammars


def _allowed(grammars: list[Grammar], budget: int | None) -> BoolArray | None:
    """Returns (B, V) the ids that each row's grammar allows next; None if there is no grammar."""
    if not grammars:
        return None
    if len(grammars) == 1:
        return grammars[0].allowed(budget)[None]
    return np.stack([grammar.allowed(budget) for grammar in grammars])


def _read(stepper: Stepper, opening: list[int], *, label: int, num_rows: int) -> tuple[Tensor, State]:
    """Reads `begin` and the prompt once; returns (B, V) logits of the next token and the state, copied to all rows."""
    with torch.inference_mode():
        state = stepper.initial_state(torch.tensor([label], device=stepper.device))
        for token in opening[:-1]:
            _, state = stepper.step(torch.tensor([token], device=stepper.device), state)
        logits, state = stepper.step(torch.tensor(opening[-1:], device=stepper.device), state)
        all_first = torch.zeros(num_rows, dtype=torch.int64, device=stepper.device)
        return logits[all_first], _rows_of(state, all_first)


@torch.inference_mode()
def _rows_of(state: State, indices: Tensor) -> State:
    """Returns the state of the rows at these indices."""
    return State(tuple(memory[:, indices] for memory in state.memory), state.condition[indices])
