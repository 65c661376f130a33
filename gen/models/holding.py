"""A copy of a language model in which some units are held at a value, whatever is read.

A unit is held with its own gates. In an LSTM its forget gate is kept open and its input gate shut, so that its cell
state stays what it is at the start; the output gate still decides what is shown of it. In a GRU the update gate is kept
shut and in both the GRU and the plain RNN the candidate is made constant. So the copy is an ordinary model, which every
path runs: the equations, fused kernels, packed steppers, int8.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gen.errors import SettingError
from gen.models.cells import GRUGates, LSTMGates, layer_weights
from gen.models.recurrent import RecurrentLM, State

INSIDE = 1 - 2.0**-24  # the greatest float32 below 1: tanh reaches 1 only by rounding
SATURATED = 100.0  # sigma(100) is 1, and sigma(-100) is below any number that float32 adds to a state


class HeldUnit(NamedTuple):
    """A unit and its value: of the cell state `c` of an LSTM, of the output `h` of other cells."""

    layer: int
    unit: int
    value: float


class HeldLM(RecurrentLM):
    """A copy of a model with units that are held.

    Args:
        model: any trained model; it is not modified.
        units: that are held.

    Raises SettingError if there is no such unit, or its cell cannot hold the value or cannot be held.
    """

    def __init__(self, model: RecurrentLM, units: Sequence[HeldUnit]) -> None:
        super().__init__(model.config)
        self.output.weight = nn.Parameter(torch.empty_like(model.output.weight))  # the calibrated output is not tied
        self.to(model.device).load_state_dict(model.state_dict())
        self.units = tuple(units)
        self.requires_grad_(requires_grad=False)
        for held in units:
            check_unit(model, held.layer, held.unit)
            _hold_(self, held)
        self.eval()

    def initial_state(self, labels: Tensor, is_varied: Tensor | None = None) -> State:
        """Returns the state before the first token, in which the held units have their values already."""
        state = super().initial_state(labels, is_varied)
        *others, kept = (m.clone() for m in state.memory)
        for layer, unit, value in self.units:
            kept[layer, :, unit] = value
        return state._replace(memory=(*others, kept))


def check_unit(model: RecurrentLM, layer: int, unit: int) -> None:
    """Raises SettingError if a model has no such unit; layers and units count from 0."""
    layers, units = model.config.num_layers, model.config.hidden_size
    if not (0 <= layer < layers and 0 <= unit < units):
        raise SettingError(
            f"unit {layer}:{unit}: there is none ({layers} layer{'s' if layers > 1 else ''} of {units} units)",
            hint=f"LAYER:UNIT, from 0:0 to {layers - 1}:{units - 1}",
        )


def _hold_(model: RecurrentLM, held: HeldUnit) -> None:
    """Fixes the rows of a unit in each of its gates."""
    weights, size = layer_weights(model.layers[held.layer]), model.config.hidden_size
    for gate, total in _constant_sums(model.config.cell, held).items():
        row = gate * size + held.unit
        weights.w_ih[row], weights.w_hh[row] = 0, 0
        weights.b_ih[row], weights.b_hh[row] = total, 0


def _constant_sums(cell: str, held: HeldUnit) -> dict[int, float]:
    """Returns the sums before sigma or tanh that keep a unit at its value, by the number of the gate.

    A candidate of -1 or 1, which a saturated unit has in float32, is kept at the nearest number inside.
    """
    if cell == "lstm":
        return {LSTMGates._fields.index("i"): -SATURATED, LSTMGates._fields.index("f"): SATURATED}
    if cell not in ("gru", "rnn"):
        raise SettingError(f"--hold: not for this cell ({cell})", hint="lstm, gru and rnn can be held")
    if not -1 <= held.value <= 1:
        raise SettingError(f"--hold: a unit of this cell lies from -1 to 1 ({held.value:g})")
    candidate = math.atanh(max(-INSIDE, min(held.value, INSIDE)))
    if cell == "rnn":
        return {0: candidate}
    return {GRUGates._fields.index("z"): -SATURATED, GRUGates._fields.index("n"): candidate}
