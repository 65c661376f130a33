"""The gates and states of a model at the tokens of a corpus.

Arrays are named as in `gen.models.unrolled`. The state of a unit is its cell state `c` where there is one, else its
output `h`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from gen.analysis.evaluate import check_numbers
from gen.codec import IdArray
from gen.data.split import Excerpt
from gen.data.stretches import Stretch
from gen.errors import CorpusError
from gen.models.cells import CELLS
from gen.models.recurrent import RecurrentLM, State
from gen.models.unrolled import LayerRun, logits_of, named_arrays, run_equations

LEAD = 256  # tokens that a piece of a long document reads before those that are kept
PIECE = 512  # tokens of a piece that are kept
MAX_VALUES = 1 << 25  # of the memories of pieces that run side by side: 128 MiB

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Recording:
    """The arrays of a model at N tokens.

    Args:
        ids: (N,) the tokens, without begin and end.
        nats: (N,) the cost of each under the model.
        layers: for each layer its arrays by name, each (N, H).
    """

    ids: IdArray
    nats: Floats
    layers: Sequence[Mapping[str, Floats]]

    def first(self, num_tokens: int) -> "Recording":
        """Returns the first tokens of the recording, as views of its arrays."""
        layers = [{name: values[:num_tokens] for name, values in arrays.items()} for arrays in self.layers]
        return Recording(self.ids[:num_tokens], self.nats[:num_tokens], layers)

    def state(self, layer: int) -> Floats:
        """Returns the (N, H) states of the units of a layer."""
        arrays = self.layers[layer]
        return arrays.get("c", arrays["h"])


def record(model: RecurrentLM, excerpt: Excerpt, *, num_tokens: int) -> Recording:
    """Records everything at the first tokens of an excerpt, each document from a fresh state.

    Args:
        model: on any device.
        excerpt: what is read.
        num_tokens: the most tokens that are recorded; memory grows with them.

    Raises CorpusError if there is no token, NotFiniteError if one costs NaN.
    """
    parts = [_recorded(model, excerpt, piece) for piece in _pieces(excerpt, num_tokens, length=num_tokens)]
    layers = zip(*(part.layers for part in parts), strict=True)
    return Recording(
        np.concatenate([part.ids for part in parts]),
        np.concatenate([part.nats for part in parts]),
        [{name: np.concatenate([arrays[name] for arrays in layer]) for name in layer[0]} for layer in layers],
    )


def record_states(model: RecurrentLM, excerpt: Excerpt, *, num_tokens: int) -> Floats:
    """Returns (N, L * H) the states of all units at the first tokens of an excerpt, layer after layer.

    Long documents are cut into pieces that run side by side. Each reads up to `LEAD` tokens before its own, from a
    fresh state. Raises CorpusError if there is no token, NotFiniteError if a state is NaN.
    """
    config = model.config
    values = (LEAD + PIECE) * config.hidden_size * config.num_layers * CELLS[config.cell].num_memories
    num_rows = max(1, MAX_VALUES // values)
    pieces = _pieces(excerpt, num_tokens, length=PIECE)
    batches = (pieces[start : start + num_rows] for start in range(0, len(pieces), num_rows))
    return np.concatenate([states for batch in batches for states in _states(model, excerpt, batch)])


def step_at(model: RecurrentLM, excerpt: Excerpt, number: int) -> list[LayerRun]:
    """Returns the run of each layer over one token: that of a number, from 0, among the recorded tokens."""
    piece = _pieces(excerpt, number + 1, length=number + 1)[-1]
    return [run.last() for run in run_equations(model, *_window(model, excerpt, [piece]))]


def stretches_within(excerpt: Excerpt, num_tokens: int) -> Iterator[tuple[int, int]]:
    """Yields start and stop of each document, or part of one, among the first tokens of an excerpt."""
    for stretch in excerpt.stretches:
        if num_tokens <= 0:
            return
        stop = min(stretch.stop, stretch.start + num_tokens)
        num_tokens -= stop - stretch.start
        yield stretch.start, stop


class _Piece(NamedTuple):
    """Tokens of a document: ids[start:stop] are kept, those from `first` on are read, begin before the document's."""

    stretch: Stretch
    first: int
    start: int
    stop: int

    @property
    def lead(self) -> int:
        """The number of inputs before those that are kept, at least 1."""
        return self.start - self.first + (self.first == self.stretch.start)


def _pieces(excerpt: Excerpt, num_tokens: int, *, length: int) -> list[_Piece]:
    """Returns the pieces of the first tokens of an excerpt, in order."""
    found = [
        _Piece(stretch, max(stretch.start, at - LEAD), at, min(at + length, stop))
        for stretch, (start, stop) in zip(excerpt.stretches, stretches_within(excerpt, num_tokens), strict=False)
        for at in range(start, stop, length)
    ]
    if not found:
        raise CorpusError("corpus: there is no token in it to look at (0)")
    return found


def _window(model: RecurrentLM, excerpt: Excerpt, pieces: Sequence[_Piece]) -> tuple[Tensor, State]:
    """Returns the (B, T) inputs of pieces, padded at their end, and the state before them."""
    rows = []
    for piece in pieces:
        opening = [excerpt.begin] if piece.first == piece.stretch.start else []
        rows.append(torch.tensor([*opening, *excerpt.ids[piece.first : piece.stop].tolist()]))
    labels = torch.tensor([piece.stretch.label for piece in pieces], device=model.device)
    tokens = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=excerpt.begin)
    return tokens.to(model.device), model.initial_state(labels)


@torch.inference_mode()
def _recorded(model: RecurrentLM, excerpt: Excerpt, piece: _Piece) -> Recording:
    tokens, state = _window(model, excerpt, [piece])
    runs = run_equations(model, tokens, state)
    logits = logits_of(model, runs)[piece.lead - 1 : -1, 0].float()  # before each token that is kept
    kept = slice(piece.lead, None)
    nats = _numpy(functional.cross_entropy(logits, tokens[0, kept], reduction="none"))
    check_numbers(nats)
    return Recording(
        excerpt.ids[piece.start : piece.stop],
        nats,
        [{name: _numpy(a[kept, 0]) for name, a in named_arrays(model, n, run).items()} for n, run in enumerate(runs)],
    )


def _states(model: RecurrentLM, excerpt: Excerpt, pieces: Sequence[_Piece]) -> list[Floats]:
    """Returns for each piece the (N, L * H) states of the tokens that it keeps."""
    runs = run_equations(model, *_window(model, excerpt, pieces))
    states = _numpy(torch.cat([run.memories[-1] for run in runs], dim=-1))
    check_numbers(states)
    return [states[piece.lead : piece.lead + piece.stop - piece.start, row] for row, piece in enumerate(pieces)]


def _numpy(values: Tensor) -> Floats:
    found: Floats = values.float().cpu().numpy()
    return found
