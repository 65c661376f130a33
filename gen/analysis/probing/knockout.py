"""The cost of holding units at a value, by class of symbol, beside units drawn at random that are as active.

A correlation does not show that a network uses a unit. So its state is held (`gen.models.holding`), at its mean for a
knock-out, and the bits that the symbols of each class then cost are compared with those of the whole network. Any unit
costs something: so as many others of like activity are held at their means, one after the other.

All models read the same windows of tokens, each from a fresh state, side by side as rows in the fused kernels.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from gen.analysis.evaluate import IGNORED, OnProgress, predictions
from gen.analysis.probing.gates import Floats, stretches_within
from gen.codec import SymbolClasses
from gen.data.split import Excerpt
from gen.data.stretches import Stretch, Stretches
from gen.models.holding import HeldLM, HeldUnit
from gen.models.recurrent import RecurrentLM

WINDOW = 256  # tokens that are read from a fresh state
NUM_OTHERS = 50
NUM_ALIKE = 100  # units whose activity is nearest, of which the others are drawn
SEED = 0
MIN_BITS = 5e-4  # the least cost that has a ratio: what three decimals show

Doubles = NDArray[np.float64]


class ClassCost(NamedTuple):
    """The cost of the symbols of a class, in bits a symbol."""

    name: str
    number: int  # of them
    bits: float  # of the whole network
    added: float  # by holding the units
    others: float  # added by holding others of like activity, the median
    worst_other: float

    @property
    def ratio(self) -> float | None:
        """The cost of the units by that of the others; None where either is below `MIN_BITS`."""
        return self.added / self.others if min(self.added, self.others) >= MIN_BITS else None


@dataclass(frozen=True, slots=True)
class Knockout:
    """The units that were held, and what that cost; classes that do not occur are left out.

    Args:
        units: with their values.
        classes: the class that pays most first.
        num_others: how many other units were held, one after the other.
    """

    units: tuple[HeldUnit, ...]
    classes: tuple[ClassCost, ...]
    num_others: int

    def to_json(self) -> dict[str, Any]:
        """Returns JSON data."""
        return {
            "units": [held._asdict() for held in self.units],
            "others": self.num_others,
            "classes": [cost._asdict() | {"ratio": cost.ratio} for cost in self.classes],
        }


def knock_out(
    model: RecurrentLM,
    excerpt: Excerpt,
    units: Sequence[HeldUnit],
    *,
    states: Floats,
    classes: SymbolClasses,
    on_progress: OnProgress | None = None,
) -> Knockout:
    """Measures what holding units costs.

    Args:
        model: the whole network.
        excerpt: what it reads.
        units: that are held, all at once.
        states: (N, L * H) of all units at the first N tokens of the excerpt; these tokens are measured.
        classes: of the symbols.
        on_progress: called with the number of models that have been measured, and of all.
    """
    part = beginning(excerpt, len(states))
    others = list(_others(model, units, states))
    total = len(others) + 2

    def measured(number: int, held: RecurrentLM) -> Doubles:
        found = class_nats(held, part, classes)[0]
        if on_progress is not None:
            on_progress(number + 1, total)
        return found

    nats, counts = class_nats(model, part, classes)
    added = measured(1, HeldLM(model, units)) - nats
    by_others = np.array([measured(number, HeldLM(model, other)) - nats for number, other in enumerate(others, 2)])
    by_others = by_others if others else np.zeros((1, len(nats)))
    scale = 1 / math.log(2) / np.maximum(counts, 1)
    columns = (nats * scale, added * scale, np.median(by_others, axis=0) * scale, by_others.max(axis=0) * scale)
    costs = [
        ClassCost(classes.names[k], int(counts[k]), *(float(column[k]) for column in columns))
        for k in np.flatnonzero(counts).tolist()
    ]
    return Knockout(tuple(units), tuple(sorted(costs, key=lambda cost: -cost.added)), len(others))


def class_nats(model: RecurrentLM, excerpt: Excerpt, classes: SymbolClasses) -> tuple[Doubles, NDArray[np.int64]]:
    """Returns (K,) the summed nats of the targets of each class, and how many they are."""
    of, num_classes = torch.from_numpy(classes.of), len(classes.names)
    nats, counts = np.zeros(num_classes), np.zeros(num_classes, np.int64)
    for logits, targets in predictions(model, excerpt, context=WINDOW, vocab_size=len(of)):
        costs = functional.cross_entropy(
            logits.float().transpose(1, 2), targets, ignore_index=IGNORED, reduction="none"
        )
        kept = (targets != IGNORED).cpu()
        kinds = of[targets.cpu()[kept]].numpy()
        nats += np.bincount(kinds, weights=costs.cpu()[kept].double().numpy(), minlength=num_classes)
        counts += np.bincount(kinds, minlength=num_classes)
    return nats, counts


def beginning(excerpt: Excerpt, num_tokens: int) -> Excerpt:
    """Returns the first tokens of an excerpt."""
    parts = zip(excerpt.stretches, stretches_within(excerpt, num_tokens), strict=False)
    kept = [Stretch(start, stop, whole.label, whole.is_closed and stop == whole.stop) for whole, (start, stop) in parts]
    return Excerpt(excerpt.ids, Stretches(kept), excerpt.begin, excerpt.end)


def mean_of(states: Floats, layer: int, unit: int, *, hidden_size: int) -> HeldUnit:
    """Returns a unit at the mean of its (N, L * H) states: a knock-out."""
    return HeldUnit(layer, unit, float(states[:, layer * hidden_size + unit].mean(dtype=np.float64)))


def _others(model: RecurrentLM, units: Sequence[HeldUnit], states: Floats) -> Iterator[list[HeldUnit]]:
    """Yields as many units of like activity, each at its mean, as often as they are drawn.

    The activity of a unit is the standard deviation of its state.
    """
    size = model.config.hidden_size
    generator = torch.Generator().manual_seed(SEED)
    activity = np.log(np.maximum(states.std(axis=0, dtype=np.float64), 1e-9))
    held = [layer * size + unit for layer, unit, _ in units]
    drawn = []
    for unit in held:
        order = np.argsort(np.abs(activity - activity[unit]), kind="stable")
        alike = order[~np.isin(order, held)][:NUM_ALIKE]
        drawn.append(alike[torch.randperm(len(alike), generator=generator).numpy()][:NUM_OTHERS])
    for chosen in zip(*(row.tolist() for row in drawn), strict=True):
        yield [mean_of(states, *divmod(unit, size), hidden_size=size) for unit in chosen]
