"""The dependence of every recorded prediction on the tokens just before it.

It is measured as in `gen.analysis.gradient_flow`: by the norm of d loss / d input at each of these tokens. Each target
is a row that reads only these, from the memory that was recorded before them. So a row is as short as can be, and its
loss is that of the recording.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from gen.analysis.gradient_flow import MAX_TOKENS, OnProgress, Rows, norms_by_lag
from gen.analysis.probing.gates import Recording, stretches_within
from gen.data.split import Excerpt
from gen.models.cells import CELLS, Memory
from gen.models.recurrent import RecurrentLM
from gen.models.unrolled import MEMORY_NAMES

NUM_INPUTS = 40  # before each target: lags 0 to 39
NUM_DIGITS = 3
MAX_DECIMALS = 20  # smaller numbers become 0; powers of ten are exact as float64 up to 1e22

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]


class Leaning(NamedTuple):
    """The norms of N targets at the K tokens before each, with three digits relative to the greatest of the target.

    The norm at lag k of target n is numbers[n, k] / 10**decimals[n].
    """

    numbers: Ints  # (N, K) by lag; 0 where a target has no such input
    decimals: Ints  # (N,)
    num_inputs: Ints  # (N,) that a target has, at most K

    def norms(self, target: int) -> list[float]:
        """Returns the norms of a target by lag, as many as it has inputs."""
        scale = 10 ** int(self.decimals[target])
        return [number / scale for number in self.numbers[target, : self.num_inputs[target]].tolist()]


class _Places(NamedTuple):
    """The place of N recorded targets in their documents."""

    starts: Ints  # (N,) the number of the first token of the target's document
    labels: Ints  # (N,) of the documents
    first: Ints  # (N,) the first input that is read: 0 is begin, i the token i - 1 of the document

    @property
    def lengths(self) -> Ints:
        """(N,) the inputs that are read for each target."""
        return np.arange(len(self.starts)) - self.starts - self.first + 1


def leaning(
    model: RecurrentLM, excerpt: Excerpt, recording: Recording, *, on_progress: OnProgress | None = None
) -> Leaning:
    """Measures on which of the tokens just before it each recorded prediction leans.

    Args:
        model: that was recorded.
        excerpt: that it read.
        recording: of the first tokens of the excerpt.
        on_progress: called with the number of targets done and of all targets.
    """
    places, found = _places(excerpt, len(recording.ids)), []
    num_rows, total = max(1, MAX_TOKENS // (NUM_INPUTS + 1)), len(recording.ids)
    for start in range(0, total, num_rows):
        numbers = np.arange(start, min(start + num_rows, total))
        rows, memory = _rows(excerpt, recording, places, numbers), _memory(model, recording, places, numbers)
        found.append(norms_by_lag(model, rows, lags=NUM_INPUTS - 1, memory=memory)[0])
        if on_progress is not None:
            on_progress(start + len(numbers), total)
    return rounded_norms(np.concatenate(found))


def rounded_norms(norms: Doubles) -> Leaning:
    """Returns (N, K) norms with three digits relative to the greatest of each row; NaN stands for no input."""
    exists = ~np.isnan(norms)
    known = np.where(exists, norms, 0)
    greatest = np.maximum(known.max(axis=1), 10.0**-MAX_DECIMALS)
    decimals = np.clip(NUM_DIGITS - 1 - np.floor(np.log10(greatest)), 0, MAX_DECIMALS).astype(np.int64)
    numbers = np.round(known * 10.0 ** decimals[:, None]).astype(np.int64)
    return Leaning(numbers, decimals, exists.sum(axis=1))


def _places(excerpt: Excerpt, num_tokens: int) -> _Places:
    lengths = np.array([stop - start for start, stop in stretches_within(excerpt, num_tokens)], np.int64)
    labels = [stretch.label for stretch, _ in zip(excerpt.stretches, lengths, strict=False)]
    starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
    first = np.maximum(0, np.arange(len(starts)) - starts - NUM_INPUTS + 1)
    first[first == 1] = 0  # the memory after begin is not recorded
    return _Places(starts, np.repeat(np.array(labels, np.int64), lengths), first)


def _rows(excerpt: Excerpt, recording: Recording, places: _Places, numbers: Ints) -> Rows:
    lengths = places.lengths[numbers]
    inputs = places.first[numbers, None] + np.arange(lengths.max())  # (B, T) of the document
    tokens = np.clip(places.starts[numbers, None] + inputs - 1, 0, len(recording.ids) - 1)
    ids = recording.ids.astype(np.int64)
    return Rows(np.where(inputs == 0, excerpt.begin, ids[tokens]), lengths, ids[numbers], places.labels[numbers])


def _memory(model: RecurrentLM, recording: Recording, places: _Places, numbers: Ints) -> Memory:
    """Returns the memory before the first input of rows: that after the token before it, or that of a fresh state."""
    first = places.first[numbers]
    before = np.maximum(places.starts[numbers] + first - 2, 0)
    fresh = model.initial_state(torch.from_numpy(places.labels[numbers]).to(model.device)).memory
    is_fresh = torch.from_numpy(first == 0).to(model.device)[None, :, None]
    names = MEMORY_NAMES[: CELLS[model.config.cell].num_memories]
    recorded = (np.stack([arrays[name][before] for arrays in recording.layers]) for name in names)
    pairs = zip(fresh, recorded, strict=True)
    return tuple(torch.where(is_fresh, start, torch.from_numpy(kept).to(model.device)) for start, kept in pairs)
