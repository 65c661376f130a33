"""Writes the targets of sources: a stream that may be drawn at random, the likeliest symbol at every step, or a beam.

The sources are read once; then the decoder advances by one token at a time. `SourceStepper` is the network that
`gen.generation.generate` draws from, so a target has all the filters that a sample has. `greedy` and `beam_search` work
on many sources side by side; sources that are done are dropped.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gen.models.attention import Source
from gen.models.recurrent import State
from gen.models.stepper import Stepper
from gen.models.translator import Encoded, RecurrentTranslator

MAX_ROWS = 256  # sources, or hypotheses, side by side
LENGTH_POWER = 0.6  # of the penalty for length; Wu et al. 2016 found 0.6 to 0.7 best


class Symbols(NamedTuple):
    """The ids that a target may not hold, and the one that ends it."""

    separator: int
    begin: int
    end: int


class SourceStepper(Stepper):
    """A translator that has read one source, as a network that takes one token a row.

    Args:
        model: on any device.
        source: (S,) its ids, with the separator.
        separator: which is never drawn.
    """

    def __init__(self, model: RecurrentTranslator, source: Sequence[int], *, separator: int) -> None:
        self._model, self._separator = model, separator
        self._source = torch.tensor([list(source)], device=model.device)

    @property
    def vocab_size(self) -> int:
        """The number of symbols."""
        return self._model.config.vocab_size

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return self._model.device

    @torch.inference_mode()
    def initial_state(self, labels: Tensor) -> State:
        """Returns the state of rows before their first token; the source is a part of their memory.

        Args:
            labels: (B,); only their number counts.
        """
        length = torch.tensor([self._source.shape[1]], device=self.device)
        read = self._model.encode(self._source, length).rows(torch.zeros_like(labels))
        return State((*read.memory, *(read.source or ())), torch.empty(len(labels), 0, device=self.device))

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Takes (B,) int64 tokens and a state of this stepper; returns (B, V) logits and the next state."""
        num_memories = len(state.memory) - (len(Source._fields) if self._model.attention is not None else 0)
        memory, source = state.memory[:num_memories], state.memory[num_memories:]
        logits, after = self._model.step(tokens, Encoded(memory, Source(*source) if source else None))
        logits[:, self._separator] = -torch.inf
        return logits, State((*after.memory, *source), state.condition)


class Hypothesis(NamedTuple):
    """A target that a search has found."""

    tokens: list[int]  # without `end`
    log_prob: float  # the sum over its tokens and `end`, divided by `length_penalty`


@torch.inference_mode()
def greedy(
    model: RecurrentTranslator, sources: Sequence[Sequence[int]], symbols: Symbols, *, max_length: int
) -> Iterator[list[int]]:
    """Yields the target of each source that takes the likeliest symbol at every step, without `end`.

    Args:
        model: on any device, in eval mode.
        sources: their ids, each with the separator; sources of similar length side by side take less time.
        symbols: of the vocabulary.
        max_length: tokens after which a target ends by itself.
    """
    for start in range(0, len(sources), MAX_ROWS):
        yield from _greedy(model, sources[start : start + MAX_ROWS], symbols, max_length)


def _greedy(
    model: RecurrentTranslator, sources: Sequence[Sequence[int]], symbols: Symbols, max_length: int
) -> list[list[int]]:
    found: list[list[int]] = [[] for _ in sources]
    rows = np.arange(len(sources))  # that have not ended
    encoded = _encoded(model, sources)
    tokens = torch.full((len(rows),), symbols.begin, device=model.device)
    for _ in range(max_length):
        logits, encoded = model.step(tokens, encoded)
        tokens = _without(logits, symbols).argmax(1)
        goes_on = (tokens != symbols.end).nonzero()[:, 0]
        if len(goes_on) < len(rows):
            tokens, encoded, rows = tokens[goes_on], encoded.rows(goes_on), rows[goes_on.cpu().numpy()]
        for row, token in zip(rows.tolist(), tokens.tolist(), strict=True):
            found[row].append(token)
        if not len(rows):
            break
    return found


@torch.inference_mode()
def beam_search(
    model: RecurrentTranslator, sources: Sequence[Sequence[int]], symbols: Symbols, *, beam: int, max_length: int
) -> Iterator[Hypothesis]:
    """Yields the best target of each source that a beam search finds.

    At every step the `beam` likeliest beginnings of targets are kept. The search of a source ends when none of them can
    become better than the best target that has ended. The measure, with its penalty for length, is that of Wu et al.
    2016, "Google's Neural Machine Translation System", equation 14, without coverage.

    Args:
        model, sources, symbols, max_length: as in `greedy`.
        beam: K, at least 1.
    """
    size = max(1, MAX_ROWS // beam)
    for start in range(0, len(sources), size):
        yield from _Search(model, sources[start : start + size], symbols, beam, max_length).run()


def length_penalty(length: int) -> float:
    """Returns the divisor of the logarithm of the probability of a target of so many tokens, with `end`."""
    return float(((5 + length) / 6) ** LENGTH_POWER)


class _Search:
    """A beam search for several sources side by side. N sources have N * K rows, the hypotheses of one together."""

    def __init__(
        self,
        model: RecurrentTranslator,
        sources: Sequence[Sequence[int]],
        symbols: Symbols,
        beam: int,
        max_length: int,
    ) -> None:
        self._model, self._symbols, self._beam, self._max_length = model, symbols, beam, max_length
        self._sources = list(range(len(sources)))  # that are not done
        self._best: list[Hypothesis | None] = [None] * len(sources)
        self._encoded = _encoded(model, sources).rows(self._indices(len(sources)))
        self._tokens = torch.full((len(sources) * beam,), symbols.begin, device=model.device)
        self._written = self._tokens.new_empty((len(sources), beam, 0))
        self._sums = torch.full((len(sources), beam), -torch.inf, dtype=torch.float64, device=model.device)
        self._sums[:, 0] = 0.0  # the others are copies at first

    def run(self) -> list[Hypothesis]:
        """Returns the best hypothesis of each source."""
        for length in range(1, self._max_length + 1):
            self._advance(length)
            if not self._sources:
                break
        for row, source in enumerate(self._sources):  # none has ended better: the likeliest is cut
            if self._best[source] is None:
                log_prob = self._sums[row, 0].item() / length_penalty(self._max_length)
                self._best[source] = Hypothesis(self._written[row, 0].tolist(), log_prob)
        return [best for best in self._best if best is not None]

    def _advance(self, length: int) -> None:
        """Adds a token to all hypotheses, and drops the sources that are done."""
        logits, self._encoded = self._model.step(self._tokens, self._encoded)
        log_probs = _without(logits, self._symbols).double().log_softmax(1)
        num, beam, vocab = len(self._sources), self._beam, log_probs.shape[1]
        every = (self._sums[:, :, None] + log_probs.view(num, beam, vocab)).flatten(1)  # (N, K * V)
        sums, at = every.topk(min(2 * beam, every.shape[1]))  # at most K of them end, so K are left
        parents, tokens = at // vocab, at % vocab
        has_ended = tokens == self._symbols.end
        self._compare(sums, parents, has_ended, length)
        order = has_ended.long().argsort(dim=1, stable=True)[:, :beam]  # those that go on, the likeliest first
        kept = torch.where(has_ended, -torch.inf, sums).gather(1, order)
        parents, tokens = parents.gather(1, order), tokens.gather(1, order)
        before = self._written.gather(1, parents[:, :, None].expand(-1, -1, self._written.shape[2]))
        self._written, self._sums = torch.cat((before, tokens[:, :, None]), 2), kept
        self._keep(parents, tokens)

    def _compare(self, sums: Tensor, parents: Tensor, has_ended: Tensor, length: int) -> None:
        """Compares the hypotheses that have ended, among the K likeliest, with the best of their sources."""
        among = has_ended[:, : self._beam] & sums[:, : self._beam].isfinite()
        for row, column in among.nonzero().tolist():
            source = self._sources[row]
            log_prob, best = sums[row, column].item() / length_penalty(length), self._best[source]
            if best is None or log_prob > best.log_prob:
                self._best[source] = Hypothesis(self._written[row, parents[row, column]].tolist(), log_prob)

    def _keep(self, parents: Tensor, tokens: Tensor) -> None:
        """Keeps the rows of the sources that are not done, in the order of their hypotheses."""
        highest = (self._sums[:, 0] / length_penalty(self._max_length)).tolist()
        left = [row for row, source in enumerate(self._sources) if not self._is_done(source, highest[row])]
        rows = torch.tensor(left, dtype=torch.long, device=self._tokens.device)
        self._sources = [self._sources[row] for row in left]
        self._encoded = self._encoded.rows((rows[:, None] * self._beam + parents[rows]).flatten())
        self._tokens, self._written, self._sums = tokens[rows].flatten(), self._written[rows], self._sums[rows]

    def _is_done(self, source: int, highest: float) -> bool:
        """Returns whether a source is done; highest: that no hypothesis which goes on can exceed."""
        best = self._best[source]
        return best is not None and best.log_prob >= highest

    def _indices(self, num_sources: int) -> Tensor:
        return torch.arange(num_sources, device=self._model.device).repeat_interleave(self._beam)


def _encoded(model: RecurrentTranslator, sources: Sequence[Sequence[int]]) -> Encoded:
    """Reads sources side by side."""
    lengths = [len(source) for source in sources]
    padded = np.zeros((len(sources), max(lengths)), np.int64)
    for row, source in enumerate(sources):
        padded[row, : len(source)] = source
    device = model.device
    return model.encode(torch.from_numpy(padded).to(device), torch.tensor(lengths, device=device))


def _without(logits: Tensor, symbols: Symbols) -> Tensor:
    """Removes the symbols that no target holds, in place."""
    logits[:, [symbols.separator, symbols.begin]] = -torch.inf
    return logits
