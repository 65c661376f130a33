"""A corpus as the network of a run reads it: what is recorded there, with the features and symbols of the codec."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gen.analysis.evaluate import OnProgress
from gen.analysis.probing.equations import Equation, equations
from gen.analysis.probing.gates import Floats, Recording, record, record_states, step_at, stretches_within
from gen.analysis.probing.knockout import Knockout, knock_out, mean_of
from gen.analysis.probing.leaning import NUM_INPUTS, Leaning, leaning
from gen.analysis.probing.units import Following, find_units
from gen.codec import IdArray, decode
from gen.data.split import Excerpt
from gen.errors import SettingError
from gen.models.cells import CELLS
from gen.models.holding import HeldUnit, check_unit
from gen.runs.run import Run

AROUND = {"text": (30, 15), "music": (4, 3)}  # tokens of a passage before and after one

MAX_STATES = 1 << 26  # numbers that are kept at once to find or to hold units: 256 MiB
MAX_RECORDED = 1 << 23  # numbers of a recording: 2,730 tokens of an LSTM of 512 units, 70 MB as JSON

Unit = tuple[int, int]  # layer and number, from 0


@dataclass(frozen=True, slots=True)
class Probe:
    """A run and a corpus that its network reads."""

    run: Run
    excerpt: Excerpt

    @property
    def num_tokens(self) -> int:
        """The tokens of the corpus, without begin and end."""
        return self.excerpt.stretches.num_tokens

    def window(self, num_tokens: int) -> int:
        """Returns how many of the first tokens are looked at where the states of all units are kept."""
        units = self.run.config.num_layers * self.run.config.hidden_size
        return min(num_tokens, self.num_tokens, max(2, MAX_STATES // units))

    def recorded(self, num_tokens: int) -> int:
        """Returns how many of the first tokens are looked at where all gates and states are recorded."""
        config = self.run.config
        cell = CELLS[config.cell]
        arrays = cell.num_memories + (cell.num_gates if cell.gates else 0)
        numbers = max(arrays * config.num_layers * config.hidden_size, NUM_INPUTS)  # of a token
        return min(num_tokens, max(1, MAX_RECORDED // numbers))

    def part(self, num_tokens: int) -> str:
        """Returns what part of the corpus its first tokens are, such as "the first 500 of 6,030 tokens"."""
        whole = self.num_tokens
        if num_tokens >= whole:
            return f"all {whole:,} tokens" if whole > 1 else "the only token"
        return f"the first {num_tokens:,} of {whole:,} tokens" if num_tokens > 1 else f"the first of {whole:,} tokens"

    def record(self, num_tokens: int) -> Recording:
        """Returns everything at the first tokens. Raises CorpusError."""
        return record(self.run.model, self.excerpt, num_tokens=num_tokens)

    def leaning(self, recording: Recording, *, on_progress: OnProgress | None = None) -> Leaning:
        """Returns on which tokens each prediction of a recording leans; `on_progress` as of `leaning`."""
        return leaning(self.run.model, self.excerpt, recording, on_progress=on_progress)

    def find(self, num_tokens: int) -> dict[str, list[Following]]:
        """Returns for each feature of the first tokens the units that follow it best. Raises CorpusError."""
        states = record_states(self.run.model, self.excerpt, num_tokens=num_tokens)
        return find_units(states, self.features(num_tokens))

    def features(self, num_tokens: int) -> dict[str, Floats]:
        """Returns the (N,) features of the first tokens by name; one that a document lacks is 0 there."""
        documents = [self.run.codec.features(ids) for ids in self.documents(num_tokens)]
        names = dict.fromkeys(name for features in documents for name in features)
        zeros = [np.zeros(len(ids), np.float32) for ids in self.documents(num_tokens)]
        return {
            name: np.concatenate([of.get(name, zero) for of, zero in zip(documents, zeros, strict=True)])
            for name in names
        }

    def knock_out(
        self,
        knocked: Sequence[Unit],
        held: Sequence[HeldUnit],
        num_tokens: int,
        *,
        on_progress: OnProgress | None = None,
    ) -> Knockout:
        """Returns what it costs to hold units.

        Args:
            knocked: these are held at the mean of their state.
            held: these at their values.
            num_tokens: the first tokens that are measured.
            on_progress: called with the number of networks that are done, and of all.

        Raises SettingError if there is no such unit.
        """
        for layer, unit in knocked:
            check_unit(self.run.model, layer, unit)
        size = self.run.config.hidden_size
        states = record_states(self.run.model, self.excerpt, num_tokens=num_tokens)
        units = [*(mean_of(states, *unit, hidden_size=size) for unit in knocked), *held]
        return knock_out(
            self.run.model,
            self.excerpt,
            units,
            states=states,
            classes=self.run.codec.symbol_classes(),
            on_progress=on_progress,
        )

    def equations(self, number: int, unit: Unit) -> list[Equation]:
        """Returns the equations of a unit at a token. Raises SettingError if there is no such unit or token."""
        check_unit(self.run.model, *unit)
        if not 0 <= number < self.num_tokens:
            raise SettingError(f"--step: no such token ({number})", hint=f"tokens are 0 to {self.num_tokens - 1:,}")
        layer, neuron = unit
        return equations(self.run.model, layer, step_at(self.run.model, self.excerpt, number)[layer], neuron)

    def documents(self, num_tokens: int) -> Iterator[IdArray]:
        """Yields the ids of each document among the first tokens; the last may be cut."""
        for start, stop in stretches_within(self.excerpt, num_tokens):
            yield self.excerpt.ids[start:stop]

    def passage(self, number: int) -> tuple[str, str, str]:
        """Returns the text before a token, of the token, and after it; of music the symbols."""
        num_before, num_after = AROUND[self.run.codec.kind]
        ids = np.concatenate(list(self.documents(number + 1 + num_after)))
        parts = ids[max(0, number - num_before) : number], ids[number : number + 1], ids[number + 1 :]
        before, here, after = (self.shown(part.tolist()) for part in parts)
        return before, here, after

    def shown(self, tokens: Sequence[int]) -> str:
        """Returns the text of tokens; of music their symbols."""
        codec = self.run.codec
        if codec.kind == "text":
            found: str = decode(codec, tokens)
            return found
        return " ".join(codec.vocab.symbols[token] for token in tokens)
