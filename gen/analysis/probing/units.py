"""Units whose state follows a named feature: chosen on one half of the tokens, and scored on the other.

After Karpathy, Johnson and Li 2015 ("Visualizing and Understanding Recurrent Networks"), who found cells that follow
quotes and the length of a line by looking. Here all units are correlated with a feature (Pearson), as they are and
through tanh, which is how an LSTM shows its cell state. For a feature that is 0 or 1 the best units get a logistic
model of one input as well, as Radford et al. 2017 fitted one, and its probability is correlated with the feature.

Among hundreds of units one always follows anything a little. So the same choice is made for labels that are shifted
along the tokens, which keeps their own regularity and breaks their tie to the text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

NUM_UNITS = 3  # that are listed for each feature
NUM_SHIFTS = 9
NUM_PEAKS = 3
PEAK_DISTANCE = 100  # tokens between two peaks of a unit
MAX_ITERATIONS = 25  # of Newton's method
RIDGE = 1e-3  # keeps the logistic model finite where a unit separates the labels without an error

Floats = NDArray[np.float32]
Form = Literal["linear", "tanh", "logistic"]


@dataclass(frozen=True, slots=True)
class Following:
    """A unit that follows a feature.

    Args:
        feature: its name.
        unit: the index among the units.
        form: of the state that is correlated with the feature.
        chosen: the correlation on the half on which the unit was chosen; negative for a unit that falls.
        correlation: the same on the other half.
        shuffled: the median size of that correlation for the best units of shifted labels.
        peaks: the tokens at which the unit fires most, far from one another.
    """

    feature: str
    unit: int
    form: Form
    chosen: float
    correlation: float
    shuffled: float
    peaks: tuple[int, ...]


class _Choice(NamedTuple):
    unit: int
    form: Form
    chosen: float
    correlation: float


class _Halves(NamedTuple):
    """The states of all units on both halves of the tokens in both forms, each (N, U), with mean 0 and length 1."""

    forms: tuple[Form, ...]
    first: tuple[Floats, ...]
    second: tuple[Floats, ...]


def find_units(
    states: Floats, features: Mapping[str, Floats], *, num_units: int = NUM_UNITS
) -> dict[str, list[Following]]:
    """Returns for each feature the units that follow it best, the best first; features by their best correlation.

    Args:
        states: (N, U) of all units.
        features: (N,) by name; those that are constant on one half are left out, so that there may be none.
        num_units: the most units that are listed for each.
    """
    middle = len(states) // 2
    varied = {name: (of[:middle], of[middle:]) for name, of in features.items() if _varies_on_both(of, middle)}
    if not varied:
        return {}
    halves, found = _halves(states, middle), {}
    for name, (first, second) in varied.items():
        shuffled = _shuffled(halves, states, first, second)
        found[name] = [
            Following(name, *choice, shuffled, peaks(states[:, choice.unit] * np.sign(choice.chosen)))
            for choice in _choices(halves, states, first, second, num_units)
        ]
    return dict(sorted(found.items(), key=lambda item: -abs(item[1][0].correlation)))


def peaks(values: Floats) -> tuple[int, ...]:
    """Returns where (N,) values are highest, at places that are at least `PEAK_DISTANCE` apart."""
    left, found = values.astype(np.float64), []
    for _ in range(NUM_PEAKS):
        at = int(np.argmax(left))
        if left[at] == -np.inf:
            break
        found.append(at)
        left[max(0, at - PEAK_DISTANCE) : at + PEAK_DISTANCE] = -np.inf
    return tuple(found)


def _varies_on_both(values: Floats, middle: int) -> bool:
    return middle > 0 and bool(np.ptp(values[:middle]) and np.ptp(values[middle:]))


def _halves(states: Floats, middle: int) -> _Halves:
    first, second = states[:middle], states[middle:]
    return _Halves(
        ("linear", "tanh"),
        (_standardised(first), _standardised(np.tanh(first))),
        (_standardised(second), _standardised(np.tanh(second))),
    )


def _choices(halves: _Halves, states: Floats, first: Floats, second: Floats, num_units: int) -> list[_Choice]:
    """Returns the units that follow a feature best on the first half, each in its best form."""
    labels, others = _standardised(first), _standardised(second)
    by_form = np.stack([labels @ form for form in halves.first])  # (forms, U)
    best_form = np.abs(by_form).argmax(0)
    sizes = np.abs(by_form).max(0)
    found = []
    for unit in np.argsort(-sizes, kind="stable")[:num_units].tolist():
        form = int(best_form[unit])
        choice = _Choice(
            unit, halves.forms[form], float(by_form[form, unit]), float(others @ halves.second[form][:, unit])
        )
        found.append(_as_logistic(choice, states[:, unit], first, second) if _is_binary(first) else choice)
    return sorted(found, key=lambda choice: -abs(choice.chosen))


def _shuffled(halves: _Halves, states: Floats, first: Floats, second: Floats) -> float:
    """Returns the median size of the correlation on the second half of the units chosen for shifted labels."""
    sizes = []
    for shift in range(1, NUM_SHIFTS + 1):
        moved, others = (np.roll(half, len(half) * shift // (NUM_SHIFTS + 1)) for half in (first, second))
        (best,) = _choices(halves, states, moved, others, 1)
        sizes.append(abs(best.correlation))
    return float(np.median(sizes))


def _as_logistic(choice: _Choice, states: Floats, first: Floats, second: Floats) -> _Choice:
    """Returns the choice with a logistic model of its unit if that follows the labels of the first half better."""
    middle = len(first)
    model = fit_logistic(states[:middle], first)
    sign = 1 if choice.chosen >= 0 else -1  # a probability rises with its label even where the state falls
    chosen, correlation = (
        sign * float(_standardised(labels) @ _standardised(model(half)))
        for half, labels in ((states[:middle], first), (states[middle:], second))
    )
    return _Choice(choice.unit, "logistic", chosen, correlation) if abs(chosen) > abs(choice.chosen) else choice


class Logistic(NamedTuple):
    """The model sigma(bias + weight * x)."""

    bias: float
    weight: float

    def __call__(self, values: Floats) -> Floats:
        """Returns the (N,) probabilities of label 1."""
        found: Floats = 1 / (1 + np.exp(-np.clip(self.bias + self.weight * values, -30, 30)))
        return found


def fit_logistic(values: Floats, labels: Floats) -> Logistic:
    """Fits a logistic model of one input by Newton's method.

    Args:
        values: (N,) inputs.
        labels: (N,) of 0 and 1.
    """
    mean, spread = float(values.mean()), float(values.std()) or 1.0
    inputs = np.stack([np.ones(len(values)), (values - mean) / spread])  # (2, N)
    weights = np.zeros(2)
    for _ in range(MAX_ITERATIONS):
        probabilities = 1 / (1 + np.exp(-weights @ inputs))
        slope = inputs @ (labels - probabilities) - RIDGE * weights
        curvature = (inputs * probabilities * (1 - probabilities)) @ inputs.T + RIDGE * np.eye(2)
        change = np.linalg.solve(curvature, slope)
        weights += change
        if np.abs(change).max() < 1e-6:
            break
    return Logistic(float(weights[0] - weights[1] * mean / spread), float(weights[1] / spread))


def _is_binary(values: Floats) -> bool:
    return bool(np.isin(values, (0, 1)).all())


def _standardised(columns: NDArray[Any]) -> Floats:
    """Returns (N,) or (N, U) columns with mean 0 and length 1; one that is constant becomes zeros."""
    centred = columns - columns.mean(0, dtype=np.float64)
    lengths = np.sqrt((centred**2).sum(0))
    found: Floats = np.asarray(centred / np.where(lengths > 1e-9, lengths, 1), np.float32)
    return found


def steadiest(states: Sequence[Floats], *, width: int = 16) -> list[tuple[int, int]]:
    """Returns layer and unit of all units, first those that move far and stay there.

    They are ordered by the spread of tanh of the state, averaged over windows of `width` tokens: constant units and
    those that change with every token come last.

    Args:
        states: for each layer the (N, H) states.
        width: tokens of a window.
    """
    order = []
    for layer, values in enumerate(states):
        sums = np.cumsum(np.tanh(values), axis=0, dtype=np.float64)[:: min(width, len(values))]
        spread = np.diff(sums, axis=0).std(axis=0) if len(sums) > 1 else values.std(axis=0)
        order += [(-float(size), layer, unit) for unit, size in enumerate(spread)]
    return [(layer, unit) for _, layer, unit in sorted(order)]
