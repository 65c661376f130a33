"""The loss of a model on a corpus, usually on a part that it was not trained on.

Carried: each stretch is one pass from a fresh state, so the context of a token is everything before it in the stretch.
Windows of N: the targets of each stretch are tiled in windows of N tokens, each from a fresh state; the first input of
a window is the token before it. Both count the same targets: the ids of a stretch, and `end` if it ends its document.

Passes run side by side as rows, the longest first, so that the rows that have ended are always the last, and are cut
off. Padding adds nothing, and a result depends on the rows beside it only through the rounding of float32. Long
passes run in chunks of time with carried state, so memory is bounded for any stretches and any vocabulary.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from gen.data.mapped import let_go
from gen.data.split import Excerpt
from gen.data.stretches import Stretch, Stretches
from gen.errors import CorpusError, NotFiniteError, SettingError
from gen.models.recurrent import State

MAX_TOKENS = 1 << 15  # of a chunk, all rows together: bounds the layers' activations
MAX_LOGITS = 1 << 24  # of a chunk: 64 MiB in float32
MAX_ROWS = 512
MAX_UNKNOWN = 10  # symbols left out that a report names
MIN_CHUNK = 64  # tokens a row: below it the kernels' fixed cost shows
IGNORED = -1  # the target at padding

OnProgress = Callable[[int, int], None]


class LanguageModel(Protocol):
    """A model to evaluate: an nn.Module with the interface of `RecurrentLM`."""

    def initial_state(self, labels: Tensor) -> State: ...
    def __call__(self, tokens: Tensor, state: State) -> tuple[Tensor, State]: ...
    def parameters(self) -> Iterator[nn.Parameter]: ...
    def modules(self) -> Iterator[nn.Module]: ...
    def eval(self) -> Any: ...


class HasModes(Protocol):
    """The part of an nn.Module that switches between training and evaluation."""

    def modules(self) -> Iterator[nn.Module]: ...
    def eval(self) -> Any: ...


class Place(NamedTuple):
    """The place of a target in an excerpt."""

    stretch: int  # index of its stretch
    target: int  # its number in the stretch, from 0


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The loss of a model on a corpus, per token and per unit."""

    nats_per_token: float
    bits_per_token: float
    bits_per_unit: float | None  # None if the targets complete no unit
    unit: str
    tokens: int
    units: int
    context: int | None  # tokens of a window; None for carried state
    unknown: Mapping[str, int] | None = None  # symbols that the model lacks, left out; None where they are an error

    def to_json(self) -> dict[str, Any]:
        """Returns JSON data; a context of None is "carry". Of symbols left out it names the commonest."""
        return {
            "nats_per_token": self.nats_per_token,
            "bits_per_token": self.bits_per_token,
            "bits_per_unit": self.bits_per_unit,
            "unit": self.unit,
            "tokens": self.tokens,
            "units": self.units,
            "context": "carry" if self.context is None else self.context,
            **self._unknown_to_json(),
        }

    def _unknown_to_json(self) -> dict[str, Any]:
        """Returns how many unknown symbols were left out, and the commonest of them; {} where they are an error."""
        if self.unknown is None:
            return {}
        most = dict(Counter(self.unknown).most_common(MAX_UNKNOWN))
        return {"unknown": sum(self.unknown.values()), "unknown_symbols": most}


def evaluate(
    model: LanguageModel,
    excerpt: Excerpt,
    *,
    units: NDArray[np.integer[Any]],
    unit: str,
    context: int | None,
    on_progress: OnProgress | None = None,
) -> Evaluation:
    """Measures the loss of a model on an excerpt of a corpus. The model runs in eval mode; its modes are then restored.

    Args:
        model: a model on any device; it runs in the precision of its weights.
        excerpt: the part of the corpus.
        units: (V,) the number of units that each id completes, `Codec.units()`.
        unit: the name of the unit, `Codec.unit`.
        context: None for carried state, N >= 1 for windows of N tokens from a fresh state.
        on_progress: called after each chunk with the number of targets done and the number of all targets.

    Raises CorpusError if there is no target, SettingError if the context is out of range, NotFiniteError if a logit is
    NaN or infinite.
    """
    nats, num_all = 0.0, excerpt.num_targets
    counts = np.zeros(len(units), dtype=np.int64)  # (V,) how often each id was a target
    for logits, targets in predictions(model, excerpt, context=context, vocab_size=len(units)):
        nats += summed_nats(logits, targets)
        counts += count_targets(targets, len(units))
        if on_progress is not None:
            on_progress(int(counts.sum()), num_all)
    assert counts.sum() == num_all, "a target was left out or counted twice"
    return summary(nats, counts, units, unit, context)


def summary(
    nats: float, counts: NDArray[np.int64], units: NDArray[np.integer[Any]], unit: str, context: int | None
) -> Evaluation:
    """Divides summed nats by tokens and by units; counts: (V,) how often each id was a target.

    Raises NotFiniteError if the nats are NaN.
    """
    check_numbers(nats)
    num_tokens, num_units = int(counts.sum()), int(counts @ units)
    bits = nats / math.log(2)
    return Evaluation(
        nats_per_token=nats / num_tokens,
        bits_per_token=bits / num_tokens,
        bits_per_unit=bits / num_units if num_units else None,
        unit=unit,
        tokens=num_tokens,
        units=num_units,
        context=context,
    )


def predictions(
    model: LanguageModel, excerpt: Excerpt, *, context: int | None, vocab_size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields (B, T, V) logits and their (B, T) targets, IGNORED where padded; arguments and errors as in `evaluate`."""
    check_measurable(excerpt, context)
    for logits, targets, _ in placed_predictions(model, excerpt, context=context, vocab_size=vocab_size):
        yield logits, targets


def check_measurable(excerpt: Excerpt, context: int | None) -> None:
    """Raises CorpusError if an excerpt has no target, SettingError if the context is out of range."""
    if context is not None and context < 1:
        raise SettingError(f"--context: must be at least 1 ({context})")
    if not excerpt.num_targets:
        raise CorpusError("evaluation: the corpus has no token to measure on (0)")


def check_numbers(values: NDArray[np.floating[Any]] | float) -> None:
    """Raises NotFiniteError if one of the nats, or of the states, that a model has computed is NaN.

    Nats are NaN exactly where the logits are not finite; a probability of 0 among others costs infinite nats.
    """
    if np.isnan(values).any():
        raise NotFiniteError(math.nan)


def nats_by_stretch(model: LanguageModel, excerpt: Excerpt, *, vocab_size: int) -> NDArray[np.float64]:
    """Returns (S,) the summed nats of each stretch, with carried state; 0 for one without targets."""
    nats = np.zeros(len(excerpt.stretches))
    for logits, targets, places in placed_predictions(model, excerpt, context=None, vocab_size=vocab_size):
        nats[[place.stretch for place in places]] += target_nats(logits, targets).double().sum(1).cpu().numpy()
    return nats


def placed_predictions(
    model: LanguageModel, excerpt: Excerpt, *, context: int | None, vocab_size: int
) -> Iterator[tuple[Tensor, Tensor, list[Place]]]:
    """Yields what `predictions` does, and the place of each row's first target."""
    with evaluating(model), torch.no_grad():
        for passes in _batches(excerpt.stretches, context, vocab_size=vocab_size):
            yield from _chunks(model, excerpt, passes, vocab_size=vocab_size)
            let_go(excerpt.ids)


def target_nats(logits: Tensor, targets: Tensor) -> Tensor:
    """Returns (B, T) the nats of targets under (B, T, V) logits in float32; 0 where padded."""
    return functional.cross_entropy(logits.float().transpose(1, 2), targets, ignore_index=IGNORED, reduction="none")


def summed_nats(logits: Tensor, targets: Tensor) -> float:
    """Returns the summed nats of (B, T) targets under (B, T, V) logits: float32 per token, summed in float64."""
    flat = logits.transpose(0, 1).reshape(-1, logits.shape[-1])  # time-major, as the model's memory is: no copy
    nats = functional.cross_entropy(flat.float(), targets.t().reshape(-1), ignore_index=IGNORED, reduction="none")
    return nats.double().sum().item()


def count_targets(targets: Tensor, vocab_size: int) -> NDArray[np.int64]:
    """Returns (V,) how often each id stands among (B, T) targets."""
    return np.bincount(targets[targets != IGNORED].cpu().numpy(), minlength=vocab_size)


class _Pass(NamedTuple):
    """A row of an evaluation: the targets first, ..., last - 1 of a stretch, predicted from a fresh state on."""

    stretch: Stretch
    first: int
    last: int
    which: int  # index of the stretch in the excerpt

    @property
    def length(self) -> int:
        return self.last - self.first


def read_window(excerpt: Excerpt, stretch: Stretch, start: int, stop: int) -> NDArray[np.int64]:
    """Returns the tokens from which the targets start, ..., stop - 1 of a stretch are predicted, and these targets.

    All but the last token are the inputs; all but the first are the targets. Target n of a stretch is its id n, or
    `end`; the input before it is the id before, or `begin`.
    """
    found = excerpt.ids[stretch.start + max(start - 1, 0) : min(stretch.start + stop, stretch.stop)].astype(np.int64)
    opening = [excerpt.begin] if start == 0 else []
    closing = [excerpt.end] if stretch.start + stop > stretch.stop else []
    return np.concatenate([np.array(opening, np.int64), found, np.array(closing, np.int64)])


def num_targets(stretch: Stretch) -> int:
    """Returns the number of targets of a stretch: its ids, and `end` if it is closed."""
    return int(stretch.stop - stretch.start) + bool(stretch.is_closed)


def _batches(stretches: Stretches, context: int | None, *, vocab_size: int) -> Iterator[list[_Pass]]:
    """Yields passes that run side by side, the longest first."""
    tokens = _chunk_tokens(vocab_size)
    if context is None:
        order = np.argsort(-stretches.target_counts, kind="stable")
        ordered = zip(order.tolist(), stretches.take(order), strict=True)
        passes = (_Pass(stretch, 0, num_targets(stretch), index) for index, stretch in ordered)
        num_rows = tokens // MIN_CHUNK
    else:
        passes = (
            _Pass(stretch, first, min(first + context, num_targets(stretch)), index)
            for index, stretch in enumerate(stretches)
            for first in range(0, num_targets(stretch), context)
        )
        num_rows = tokens // min(context, MIN_CHUNK)
    passes = (run for run in passes if run.length)
    num_rows = min(max(num_rows, 1), MAX_ROWS)
    while batch := list(islice(passes, num_rows)):
        yield sorted(batch, key=lambda run: run.length, reverse=True)


def _chunk_tokens(vocab_size: int) -> int:
    return max(1, min(MAX_TOKENS, MAX_LOGITS // vocab_size))


def _chunks(
    model: LanguageModel, excerpt: Excerpt, passes: list[_Pass], *, vocab_size: int
) -> Iterator[tuple[Tensor, Tensor, list[Place]]]:
    """Runs passes side by side, chunk by chunk; yields what `placed_predictions` says.

    Args:
        passes: the rows, the longest first.
    """
    device = next(model.parameters()).device
    state = model.initial_state(torch.tensor([run.stretch.label for run in passes], device=device))
    done = 0
    while passes:
        length = min(max(passes[-1].length - done, MIN_CHUNK), max(1, _chunk_tokens(vocab_size) // len(passes)))
        length = min(length, passes[0].length - done)  # T of this chunk
        inputs = np.zeros((len(passes), length), dtype=np.int64)  # (B, T)
        targets = np.full_like(inputs, IGNORED)
        for row, run in enumerate(passes):
            start = run.first + done
            tokens = read_window(excerpt, run.stretch, start, min(start + length, run.last))
            inputs[row, : len(tokens) - 1] = tokens[:-1]
            targets[row, : len(tokens) - 1] = tokens[1:]
        logits, state = model(torch.from_numpy(inputs).to(device), state)  # (B, T, V)
        yield logits, torch.from_numpy(targets).to(device), [Place(run.which, run.first + done) for run in passes]
        done += length
        num_left = sum(run.length > done for run in passes)
        passes = passes[:num_left]
        memory = tuple(m[:, :num_left].contiguous() for m in state.memory)
        state = State(memory, state.condition[:num_left])


@contextmanager
def evaluating(model: HasModes) -> Iterator[None]:
    """Switches a model to eval mode, and each of its modules back to the mode that it had."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
