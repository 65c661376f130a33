"""The surprise of each token of an excerpt: its nats, -log p, in the order of the excerpt's stretches.

They are those of `gen.analysis.evaluate`, so that they add up to its total. The first tokens are kept, as many as are
asked for, and all are counted: memory is bounded for any corpus.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gen.analysis.evaluate import (
    IGNORED,
    Evaluation,
    LanguageModel,
    OnProgress,
    Place,
    placed_predictions,
    summary,
    target_nats,
)
from gen.data.split import Excerpt

Floats = NDArray[np.floating[Any]]


class Costs(NamedTuple):
    """The nats of targets that follow each other in a stretch."""

    place: Place  # of the first
    targets: NDArray[np.int64]  # (T,)
    nats: NDArray[np.float32]  # (T,)


class Surprise(NamedTuple):
    """The nats of the first tokens of an excerpt, and the evaluation of all of them."""

    nats: NDArray[np.float32]  # (N,) the targets of the first stretch, then those of the second, ...
    evaluation: Evaluation


class Passage(NamedTuple):
    """Pieces of a document, such as characters, that follow each other."""

    start: int
    stop: int
    nats: float  # a piece, on average


class Share(NamedTuple):
    """The tokens of one kind."""

    kind: str
    tokens: int
    nats: float  # of all of them


def static_costs(model: LanguageModel, excerpt: Excerpt, *, context: int | None, vocab_size: int) -> Iterator[Costs]:
    """Yields the nats of all targets under a model that does not change; arguments and errors as in `evaluate`."""
    for logits, targets, places in placed_predictions(model, excerpt, context=context, vocab_size=vocab_size):
        found, wanted = target_nats(logits, targets).cpu().numpy(), targets.cpu().numpy()
        for place, row, nats in zip(places, wanted, found, strict=True):
            length = int(np.count_nonzero(row != IGNORED))  # padding is at the end
            yield Costs(place, row[:length], nats[:length])


def collect(
    costs: Iterable[Costs],
    excerpt: Excerpt,
    *,
    units: NDArray[np.integer[Any]],
    unit: str,
    context: int | None,
    max_tokens: int,
    on_progress: OnProgress | None = None,
) -> Surprise:
    """Adds up the nats of all targets of an excerpt, and keeps the first.

    Args:
        costs: of each target once, in any order.
        units, unit, context: as in `evaluate`.
        max_tokens: the most that are kept.
        on_progress: called with the number of targets done and the number of all targets.
    """
    starts = np.concatenate(([0], np.cumsum(excerpt.stretches.target_counts, dtype=np.int64)))
    num_all = int(starts[-1])
    kept = np.zeros(min(max_tokens, num_all), np.float32)
    counts, total = np.zeros(len(units), np.int64), 0.0
    for place, targets, nats in costs:
        total += float(nats.sum(dtype=np.float64))
        counts += np.bincount(targets, minlength=len(units))
        part = kept[starts[place.stretch] + place.target :][: len(nats)]
        part[:] = nats[: len(part)]
        if on_progress is not None:
            on_progress(int(counts.sum()), num_all)
    assert counts.sum() == num_all, "a target was left out or counted twice"
    return Surprise(kept, summary(total, counts, units, unit, context))


def passages(nats: Floats, *, length: int, most: int) -> list[Passage]:
    """Returns the passages with the highest mean, the highest first; no two have a piece in common.

    Args:
        nats: (S,) of pieces; those that are not finite count as 0.
        length: of a passage, in pieces; shorter if there are fewer.
        most: the most passages.
    """
    length = min(length, len(nats))
    if not length:
        return []
    totals = np.concatenate(([0.0], np.cumsum(np.where(np.isfinite(nats), nats, 0.0), dtype=np.float64)))
    means = (totals[length:] - totals[:-length]) / length  # (S - length + 1,) by the passage's start
    found: list[Passage] = []
    while len(found) < most and np.isfinite(means[start := int(means.argmax())]):
        found.append(Passage(start, start + length, float(means[start])))
        means[max(0, start - length + 1) : start + length] = -np.inf
    return found


def shares(tokens: NDArray[np.int64], nats: Floats, kind_of: Callable[[int], str]) -> Sequence[Share]:
    """Returns the tokens of each kind with their nats, the kind with the most nats first.

    Args:
        tokens: (N,) ids.
        nats: (N,) of each.
        kind_of: returns the kind of an id.
    """
    counts, sums = np.bincount(tokens), np.bincount(tokens, weights=nats)
    found: dict[str, Share] = {}
    for token in np.flatnonzero(counts).tolist():
        before = found.get(kind := kind_of(token), Share(kind, 0, 0.0))
        found[kind] = Share(kind, before.tokens + int(counts[token]), before.nats + float(sums[token]))
    return sorted(found.values(), key=lambda share: -share.nats)
