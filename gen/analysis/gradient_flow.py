"""The gradient of a loss with respect to each earlier input, by lag: how far back a network sees and learns.

The loss of one target depends on every input before it. The norm of its gradient with respect to the input k tokens
back says how much a small change of that input would change the loss (Madsen 2019, "Visualizing memorization in RNNs",
calls it connectivity). Training follows the same gradient, so what lies where it has vanished cannot be learnt
(Hochreiter 1991; Bengio, Simard & Frasconi 1994; `gen.models.cells` says why it vanishes).

Lag 0 is the last input, the token just before the target. An input is the vector that enters the first layer. One
backward pass gives all lags of a target, and many targets run side by side as rows, which do not meet.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional

from gen.analysis.evaluate import check_numbers
from gen.data.split import Excerpt
from gen.data.stretches import Stretch, Stretches
from gen.errors import CorpusError, SettingError
from gen.models.cells import Memory
from gen.models.recurrent import RecurrentLM

MAX_LAGS = 4096
MAX_TOKENS = 1 << 13  # inputs of rows that run side by side: bounds the layers' activations
NUM_TARGETS = 256  # over which a flow is averaged
FULL_LAGS = 200  # up to which it is over as many; above, over fewer, so that no more inputs are read

OnProgress = Callable[[int, int], None]


class Rows(NamedTuple):
    """B targets, each with the inputs before it."""

    inputs: NDArray[np.int64]  # (B, T); padding follows the last input of a row
    lengths: NDArray[np.int64]  # (B,) inputs of each row, at least 1
    targets: NDArray[np.int64]  # (B,)
    labels: NDArray[np.int64]  # (B,) of the documents, 0 for none


class Leanings(NamedTuple):
    """The dependence of one prediction on each of the n inputs before it, the last input first."""

    target: int
    nats: float  # that the target cost
    inputs: NDArray[np.int64]  # (n,) by lag
    gradient: NDArray[np.float64]  # (n,) norms by lag


@dataclass(frozen=True, slots=True)
class GradientFlow:
    """The size of the gradient at each lag, over many targets: arrays of (K + 1,) norms for lags 0 to K."""

    mean: NDArray[np.float64]
    lower_quartile: NDArray[np.float64]
    median: NDArray[np.float64]
    upper_quartile: NDArray[np.float64]
    num_targets: int
    nats: float  # mean loss of the targets

    def to_json(self) -> dict[str, Any]:
        """Returns JSON data; the arrays are lists by lag."""
        return {
            "targets": self.num_targets,
            "nats": self.nats,
            "mean": self.mean.tolist(),
            "lower_quartile": self.lower_quartile.tolist(),
            "median": self.median.tolist(),
            "upper_quartile": self.upper_quartile.tolist(),
        }


def gradient_flow(
    model: RecurrentLM,
    excerpt: Excerpt,
    *,
    lags: int,
    num_targets: int = NUM_TARGETS,
    on_progress: OnProgress | None = None,
) -> GradientFlow:
    """Measures the gradient by lag, over targets that are spread evenly over an excerpt.

    A target is read from a fresh state, with as many tokens before its furthest lag as there are lags, or with what its
    document has. It counts at the lags that its document has; lags that no target has are left out.

    Args:
        model: on any device; the gradient is computed in the precision of its weights.
        excerpt: the part of a corpus.
        lags: the largest lag, K.
        num_targets: the most targets; above `FULL_LAGS` there are fewer.
        on_progress: called with the number of targets done and of all targets.

    Raises CorpusError if there is no target, SettingError if the lags are out of range.
    """
    check_lags(lags)
    count = min(targets_within(lags, num_targets), excerpt.num_targets)
    if not count:
        raise CorpusError("gradient: the corpus has no token to measure on (0)")
    numbers = (2 * np.arange(count) + 1) * excerpt.num_targets // (2 * count)
    return summary(*gradients_at(model, excerpt, numbers, lags=lags, on_progress=on_progress))


def targets_within(lags: int, num_targets: int = NUM_TARGETS) -> int:
    """Returns how many targets read, at these lags, no more inputs than `num_targets` of them at `FULL_LAGS`."""
    return min(num_targets, max(1, num_targets * (2 * FULL_LAGS + 1) // (2 * lags + 1)))


def gradients_at(
    model: RecurrentLM,
    excerpt: Excerpt,
    numbers: NDArray[np.int64],
    *,
    lags: int,
    on_progress: OnProgress | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns (P, lags + 1) norms and (P,) losses in nats of P targets, as `norms_by_lag` does, in bounded memory.

    Args:
        model, excerpt, lags, on_progress: as of `gradient_flow`.
        numbers: (P,) of the targets among those of the excerpt, ascending.
    """
    num_rows, found = max(1, MAX_TOKENS // (2 * lags + 1)), []
    for start in range(0, len(numbers), num_rows):
        rows = rows_at(excerpt, numbers[start : start + num_rows], length=2 * lags + 1)
        found.append(norms_by_lag(model, rows, lags=lags))
        if on_progress is not None:
            on_progress(min(start + num_rows, len(numbers)), len(numbers))
    norms, nats = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return norms, nats


def leanings(model: RecurrentLM, excerpt: Excerpt, number: int, *, lags: int) -> Leanings:
    """Returns how much the prediction of one token depends on each token before it, up to a lag.

    Args:
        model: on any device.
        excerpt: a text or a piece.
        number: of the token, from 0, as in a recording: begin and end of documents are not counted.
        lags: the largest lag.

    Raises SettingError if the number or the lags are out of range.
    """
    check_lags(lags)
    last = excerpt.stretches.num_tokens - 1
    if not 0 <= number <= last:
        raise SettingError(f"--at: must be from 0 to {last}, the last token there ({number})")
    rows = rows_at(excerpt, np.array([_target_of(excerpt.stretches, number)]), length=2 * lags + 1)
    norms, nats = norms_by_lag(model, rows, lags=lags)
    inputs = rows.inputs[0, ::-1][: lags + 1]
    return Leanings(int(rows.targets[0]), float(nats[0]), inputs, norms[0, : len(inputs)])


def _target_of(stretches: Stretches, token: int) -> int:
    """Returns the number of a token among the targets, which the end of each earlier document is too."""
    lengths = stretches.lengths.astype(np.int64)
    earlier = int(np.searchsorted(np.cumsum(lengths), token, side="right"))
    return token + int((stretches.target_counts[:earlier] - lengths[:earlier]).sum())


def check_lags(lags: int) -> None:
    """Raises SettingError unless the largest lag is in range."""
    if not 1 <= lags <= MAX_LAGS:
        raise SettingError(f"--lags: must be from 1 to {MAX_LAGS} ({lags})")


def norms_by_lag(
    model: RecurrentLM, rows: Rows, *, lags: int, memory: Memory | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns (B, lags + 1) norms of the gradients of the targets' losses, and (B,) these losses in nats.

    The norm at lag k is that of the gradient with respect to the input k before the last; NaN where a row has none.

    Args:
        model: on any device.
        rows: the targets.
        lags: the largest lag.
        memory: before the first input of each row, each (L, B, H); None for that of a fresh state.

    Raises NotFiniteError if a loss is NaN.
    """
    tokens, lengths, targets, labels = (torch.from_numpy(array).to(model.device) for array in rows)
    state = model.initial_state(labels)
    x = model.inputs(tokens, state).detach().requires_grad_()  # (T, B, E)
    with torch.backends.cudnn.flags(enabled=False):  # in eval mode cuDNN keeps nothing for a backward pass
        fixed = {name: weights.detach() for name, weights in model.layers.named_parameters()}  # needs no gradient
        outputs, _ = functional_call(model.layers, fixed, (x, state.memory if memory is None else memory))
        last = outputs[lengths - 1, torch.arange(len(lengths), device=model.device)]  # (B, H)
        nats = functional.cross_entropy(model.output(model.projected(last)), targets, reduction="none")
        (gradient,) = torch.autograd.grad(nats.sum(), x)
    # Squares of float32 vanish below 1e-23, where the gradient itself has not yet.
    norms = gradient.double().norm(dim=2).t()  # (B, T)
    costs = nats.detach().double().cpu().numpy()
    check_numbers(costs)
    return _by_lag(norms, lengths, lags).cpu().numpy(), costs


def _by_lag(norms: Tensor, lengths: Tensor, lags: int) -> Tensor:
    """Returns (B, lags + 1) norms, the last input of each row first, for (B, T) norms in the order of the inputs."""
    indices = lengths[:, None] - 1 - torch.arange(lags + 1, device=norms.device)
    return torch.where(indices >= 0, norms.gather(1, indices.clamp_min(0)), torch.nan)


def summary(norms: NDArray[np.float64], nats: NDArray[np.float64]) -> GradientFlow:
    """Returns mean and quartiles of (B, K + 1) norms over the rows that have each lag, up to the last that any has."""
    norms = norms[:, ~np.isnan(norms).all(axis=0)]
    lower, median, upper = np.nanquantile(norms, (0.25, 0.5, 0.75), axis=0)
    return GradientFlow(np.nanmean(norms, axis=0), lower, median, upper, len(norms), float(nats.mean()))


def rows_at(excerpt: Excerpt, numbers: NDArray[np.int64], *, length: int) -> Rows:
    """Returns targets of an excerpt by their numbers, ascending, each with the last `length` inputs before it."""
    found = [(stretch, _tokens(excerpt, stretch, n, length)) for stretch, n in _located(excerpt.stretches, numbers)]
    lengths = np.array([len(tokens) - 1 for _, tokens in found])
    inputs = np.zeros((len(found), lengths.max()), np.int64)
    for row, (_, tokens) in zip(inputs, found, strict=True):
        row[: len(tokens) - 1] = tokens[:-1]
    targets = np.array([tokens[-1] for _, tokens in found], np.int64)
    return Rows(inputs, lengths, targets, np.array([stretch.label for stretch, _ in found], np.int64))


def _located(stretches: Stretches, numbers: NDArray[np.int64]) -> Iterator[tuple[Stretch, int]]:
    """Yields the stretch of each target, and the target's number in it, for ascending numbers in the whole."""
    passed = index = 0  # targets and stretches of earlier chunks
    for columns in stretches.chunks():
        stops = passed + np.cumsum(columns.num_targets)
        here = numbers[(numbers >= passed) & (numbers < stops[-1])]
        for number, at in zip(here.tolist(), np.searchsorted(stops, here, side="right").tolist(), strict=True):
            yield stretches[index + at], number - int(stops[at] - columns.num_targets[at])
        passed, index = int(stops[-1]), index + len(stops)


def _tokens(excerpt: Excerpt, stretch: Stretch, number: int, length: int) -> NDArray[np.int64]:
    """Returns at most `length` inputs before target `number` of a stretch, and the target.

    Target n of a stretch is its id n, or `end`; the input before it is the id before, or `begin`.
    """
    first, stop = max(0, number + 1 - length), stretch.start + number + 1
    opening = [excerpt.begin] if first == 0 else []
    closing = [excerpt.end] if stop > stretch.stop else []
    ids = excerpt.ids[stretch.start + max(first - 1, 0) : min(stop, stretch.stop)]
    return np.concatenate([np.array(opening, np.int64), ids.astype(np.int64), np.array(closing, np.int64)])
