"""The stream of tokens that a model writes, drawn as they are pulled.

The prompt runs through the stepper once, for one row, and its state is copied to all rows. Then each token costs one
stepper call and one draw, in constant memory. Where neither a grammar nor a hand on a knob looks at every token, one
call steps and draws for about two milliseconds: in the compiled kernel on a CPU, in blocks of tokens on a CUDA device
(gen.generation.cuda.writer). The tokens are the same. Rows that have ended are dropped; as a stepper's row has the
same bits on a CPU whatever the number of rows, and each row has its own random stream, a sample is the same alone or
among others.

Gradients are off only while the stepper runs: a generator that yields inside `inference_mode` would leave it switched
on in its caller.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import compress
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from gen.codec import BoolArray, Grammar
from gen.config import MAX_SAMPLES, SamplingConfig
from gen.errors import SettingError
from gen.generation.cuda.drawing import DeviceDraw
from gen.generation.cuda.writer import DeviceWriter
from gen.generation.sampling import Sampler, Steering, Writer
from gen.kernels.drawing import NO_END, Drawn, TokenArray
from gen.models import stepper as models
from gen.models.recurrent import State

WRITING_DEVICES = frozenset({"cuda"})  # where launches cost more than the work, and float64 is known (not to MPS)


class Stepper(Protocol):
    """A model that takes one token a row; each row's result is independent of the others."""

    @property
    def vocab_size(self) -> int: ...
    @property
    def device(self) -> torch.device: ...
    def initial_state(self, labels: Tensor) -> State:
        """Returns the state before the first token of rows with these labels, (B,) int64, 0 for none."""
        ...

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Takes (B,) int64 tokens; returns the (B, V) logits of the next, and the next state."""
        ...


class Sampled(NamedTuple):
    """One token of one sample."""

    row: int  # which sample, from 0
    token: int
    surprise_nats: float  # under the stepper's own distribution, before any filter


def generate(
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
) -> Iterator[Sampled]:
    """Returns the tokens of the samples as they are drawn, a token of each row in turn; settings are checked at once.

    Args:
        stepper: the model.
        prompt: ids that every sample goes on from, without begin and end; they are not yielded.
        begin: the id before the first one; never drawn. The id after it is the vocabulary's end.
        end: the id that ends a row, yielded as its last token; None if it must not be drawn.
        length: the most tokens a row gets beyond the prompt, `end` apart; None for no limit.
        sampling: how a token is chosen from the logits; or a function that says it before every token, to steer.
        seed: row r's tokens depend on (seed, r) and the other arguments but num_samples.
        num_samples: B, how many rows.
        label: 0 for none, else 1 + the label's index.
        min_length: a row gets so many tokens before `end` may be drawn.
        new_grammar: makes each row's automaton, which stands after `begin`; it returns None for no grammar.

    Raises SettingError if an argument is out of range or the length is too short to close what the prompt leaves open.
    The iterator raises CheckpointError if the model's logits cannot be drawn from.
    """
    _check_at_least("length", length, 0)
    _check_at_least("min-length", min_length, 0)
    if length is not None and min_length > length:
        raise SettingError(f"--min-length: must be at most --length, {length} ({min_length})")
    _check_at_least("num-samples", num_samples, 1)
    if num_samples > MAX_SAMPLES:
        raise SettingError(f"--num-samples: must be at most {MAX_SAMPLES} ({num_samples})")
    _check_at_least("seed", seed, 0)
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
    return _drawn(stepper, sampler, grammars, [begin, *prompt], end=end, length=length, label=label, count=num_samples)


def _drawn(
    stepper: Stepper,
    sampler: Sampler,
    grammars: list[Grammar],
    opening: list[int],
    *,
    end: int | None,
    length: int | None,
    label: int,
    count: int,
) -> Iterator[Sampled]:
    if length == 0:
        return
    rows, num_drawn = list(range(count)), 0
    logits, state = _primed(stepper, opening, label=label, num_rows=count)
    drawn = sampler.draw(logits, _allowed(grammars, length))
    going_on = _going_on(stepper, sampler, grammars, state, end=end)
    while True:
        turns, staying = _turns(rows, drawn, end)
        for turn in turns:
            yield from turn
        num_drawn += len(drawn.tokens)
        last = drawn.tokens[-1]
        if num_drawn == length or not staying:
            return
        if len(staying) < len(rows):
            rows, last = [rows[place] for place in staying], last[staying]
            sampler.keep(staying)
            going_on.keep(staying)
        drawn = going_on.take(last, None if length is None else length - num_drawn)


def _turns(rows: list[int], drawn: Drawn, end: int | None) -> tuple[Iterator[Iterator[Sampled]], list[int]]:
    """Returns turns of a token of each row, none after its end, and the places of the rows that have not ended."""
    turn_of = partial(map, Sampled, rows)
    turns: Iterator[Iterator[Sampled]] = map(turn_of, drawn.tokens.tolist(), drawn.surprise_nats.tolist())
    has_ended = np.logical_or.accumulate(drawn.tokens == (NO_END if end is None else end), axis=0)  # (N, B)
    if has_ended[:-1].any():
        turns = map(compress, turns, [[True] * len(rows), *(~has_ended[:-1]).tolist()])
    return turns, np.flatnonzero(~has_ended[-1]).tolist()


class _GoingOn(Protocol):
    """What steps and draws after the first token."""

    def take(self, tokens: TokenArray, limit: int | None) -> Drawn:
        """Takes (B,) the last tokens and returns those that follow, at least one and at most `limit` of every row.

        What follows the end of a row means nothing.
        """
        ...

    def keep(self, places: list[int]) -> None:
        """Goes on with the rows at these places; the others have ended."""
        ...


def _going_on(
    stepper: Stepper, sampler: Sampler, grammars: list[Grammar], state: State, *, end: int | None
) -> _GoingOn:
    is_watched = bool(grammars) or sampler.is_steered
    if isinstance(stepper, models.Stepper) and not is_watched:
        writer = _writer(stepper, sampler, state, end=end)
        if writer is not None:
            return _ManyTokens(sampler, writer)
    return _OneToken(stepper, sampler, grammars, state)


def _writer(stepper: models.Stepper, sampler: Sampler, state: State, *, end: int | None) -> Writer | None:
    """Returns what steps and draws many tokens a call on the model's device, if anything does."""
    if stepper.device.type in WRITING_DEVICES:
        draw = DeviceDraw(sampler.config, vocab_size=stepper.vocab_size, banned=sampler.banned, device=stepper.device)
        return DeviceWriter(stepper, draw, state, recent=sampler.recent())
    if sampler.kernel is None:
        return None
    return stepper.writer(sampler.kernel, state, recent=sampler.recent(), end=end)


@dataclass(slots=True)
class _ManyTokens:
    """Some tokens at a time."""

    sampler: Sampler
    writer: Writer

    def take(self, tokens: TokenArray, limit: int | None) -> Drawn:
        return self.sampler.write(self.writer, tokens, limit=limit)

    def keep(self, places: list[int]) -> None:
        self.writer.keep(places)


@dataclass(slots=True)
class _OneToken:
    """One at a time, for any stepper and any grammar."""

    stepper: Stepper
    sampler: Sampler
    grammars: list[Grammar]
    state: State

    def take(self, tokens: TokenArray, limit: int | None) -> Drawn:
        for grammar, token in zip(self.grammars, tokens.tolist(), strict=False):
            grammar.advance(token)
        logits, self.state = _stepped(self.stepper, tokens, self.state)
        return self.sampler.draw(logits, _allowed(self.grammars, limit))

    def keep(self, places: list[int]) -> None:
        self.grammars = [self.grammars[place] for place in places] if self.grammars else []
        self.state = _selected(self.state, torch.tensor(places, device=self.stepper.device))


def _check_at_least(name: str, value: int | None, least: int) -> None:
    if value is not None and value < least:
        raise SettingError(f"--{name}: must be at least {least} ({value})")


def _grammars(new_grammar: Callable[[], Grammar | None], prompt: Sequence[int], count: int) -> list[Grammar]:
    """Returns an automaton a row that has taken the prompt; none at all when there is no grammar."""
    grammars = [grammar for grammar in (new_grammar() for _ in range(count)) if grammar is not None]
    for grammar in grammars:
        for token in prompt:
            grammar.advance(token)
    return grammars


def _allowed(grammars: list[Grammar], budget: int | None) -> BoolArray | None:
    """Returns (B, V) what each row's grammar allows; None when there is no grammar."""
    if not grammars:
        return None
    if len(grammars) == 1:
        return grammars[0].allowed(budget)[None]
    return np.stack([grammar.allowed(budget) for grammar in grammars])


def _primed(stepper: Stepper, opening: list[int], *, label: int, num_rows: int) -> tuple[Tensor, State]:
    """Returns the (B, V) logits and the state of equal rows after begin and the prompt."""
    with torch.inference_mode():
        state = stepper.initial_state(torch.tensor([label], device=stepper.device))
        for token in opening[:-1]:
            _, state = stepper.step(torch.tensor([token], device=stepper.device), state)
        logits, state = stepper.step(torch.tensor(opening[-1:], device=stepper.device), state)
        all_first = torch.zeros(num_rows, dtype=torch.int64, device=stepper.device)
        return logits[all_first], _selected(state, all_first)


def _stepped(stepper: Stepper, tokens: TokenArray, state: State) -> tuple[Tensor, State]:
    with torch.inference_mode():
        return stepper.step(torch.from_numpy(tokens).to(stepper.device), state)


@torch.inference_mode()
def _selected(state: State, places: Tensor) -> State:
    """Returns the state of the rows that stand at these places."""
    return State(tuple(memory[:, places] for memory in state.memory), state.condition[places])
