"""The equations of one unit at one token, with the numbers that they had there.

Each line is an equation in symbols and the same in numbers, as in `gen.models.cells`. The sum of a gate has two parts,
that of the input x and that of the last output h, each with its bias.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch

from gen.errors import SettingError
from gen.models.cells import layer_weights
from gen.models.recurrent import RecurrentLM
from gen.models.unrolled import LayerRun, named_arrays

_SIGMOIDS = {
    "lstm": (("i", "sigma"), ("f", "sigma"), ("g", "tanh"), ("o", "sigma")),
    "gru": (("r", "sigma"), ("z", "sigma")),
    "rnn": (("h", "tanh"),),
}


class Equation(NamedTuple):
    """An equation of one unit."""

    name: str  # of what it gives, such as "f"
    symbols: str  # its right side in symbols
    numbers: str  # and in numbers
    value: float


@torch.inference_mode()
def equations(model: RecurrentLM, layer: int, run: LayerRun, unit: int) -> list[Equation]:
    """Returns the equations of a unit, in the order in which they are computed.

    Args:
        model: of any cell of torch's.
        layer: its number, from 0.
        run: of that layer over one token, T and B being 1.
        unit: its number, from 0.

    Raises SettingError for another cell.
    """
    cell = model.config.cell
    if cell not in _SIGMOIDS:
        raise SettingError(f"--step: not for this cell ({cell})")
    weights, size = layer_weights(model.layers[layer]), model.config.hidden_size
    of_input = weights.input_sums(run.xs[0, 0]).view(-1, size)[:, unit].tolist()
    of_output = weights.recurrent_sums(run.before[0][0, 0]).view(-1, size)[:, unit].tolist()
    values = {name: array[0, 0, unit].item() for name, array in named_arrays(model, layer, run).items()}
    before = [m[0, 0, unit].item() for m in run.before]
    found = [
        _gate(name, function, of_input[n], of_output[n], values[name])
        for n, (name, function) in enumerate(_SIGMOIDS[cell])
    ]
    if cell == "lstm":
        found += _lstm(values, c=before[1])
    elif cell == "gru":
        found += _gru(values, of_input[2], of_output[2], h=before[0])
    return found


def _gate(name: str, function: str, of_input: float, of_output: float, value: float) -> Equation:
    return Equation(
        name, f"{function}(W_{name} x + U_{name} h')", f"{function}({_number(of_input)} + {_number(of_output)})", value
    )


def _lstm(values: dict[str, float], *, c: float) -> Iterator[Equation]:
    f, i, g, o = (_number(values[name]) for name in "figo")
    yield Equation("c", "f * c' + i * g", f"{f} * {_number(c)} + {i} * {g}", values["c"])
    yield Equation("h", "o * tanh(c)", f"{o} * tanh({_number(values['c'])})", values["h"])


def _gru(values: dict[str, float], of_input: float, of_output: float, *, h: float) -> Iterator[Equation]:
    r, z, n = (_number(values[name]) for name in "rzn")
    sums = f"tanh({_number(of_input)} + {r} * {_number(of_output)})"
    yield Equation("n", "tanh(W_n x + r * (U_n h'))", sums, values["n"])
    yield Equation("h", "(1 - z) * n + z * h'", f"(1 - {z}) * {n} + {z} * {_number(h)}", values["h"])


def _number(value: float) -> str:
    """Returns a number with four decimals; one below zero in brackets."""
    return f"({value:.4f})" if value < 0 else f"{value:.4f}"
