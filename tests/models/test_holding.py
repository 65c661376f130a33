"""Units that are held at a value, in every path that runs a model."""

from typing import Any

import pytest
import torch

from gen.config import CELL_NAMES, CellName, ModelConfig
from gen.errors import SettingError
from gen.kernels.stepping import has_step_kernel
from gen.models.cells import layer_weights
from gen.models.holding import HeldLM, HeldUnit
from gen.models.recurrent import RecurrentLM, scale_logits_
from gen.models.stepper import PackedStepper
from gen.models.unrolled import logits_of, named_arrays, run_equations

V, H = 13, 24
VALUES = {"lstm": 3.5, "gru": -0.4, "rnn": 0.7}


def new_model(cell: CellName, **settings: Any) -> RecurrentLM:
    config = ModelConfig(V, cell, hidden_size=H, num_layers=2, embedding_size=7, **settings)
    return RecurrentLM(config, torch.Generator().manual_seed(0)).eval()


def tokens(length: int) -> torch.Tensor:
    return torch.randint(0, V, (3, length), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("cell", CELL_NAMES)
@pytest.mark.parametrize("layer", [0, 1])
def test_a_held_unit_keeps_its_value_and_all_else_goes_on(cell: CellName, layer: int) -> None:
    held = HeldLM(new_model(cell), [HeldUnit(layer, 5, VALUES[cell])])
    runs = run_equations(held, tokens(300), held.initial_state(torch.zeros(3, dtype=torch.long)))
    states = runs[layer].memories[-1]
    assert (states[:, :, 5] - VALUES[cell]).abs().max() < 1e-5
    assert states[:, :, 6].std() > 0.01


@pytest.mark.parametrize("cell", ["gru", "rnn"])
@pytest.mark.parametrize("value", [-1.0, 1.0])
def test_a_unit_is_held_where_it_saturates(cell: CellName, value: float) -> None:
    held = HeldLM(new_model(cell), [HeldUnit(0, 5, value)])
    with torch.no_grad():
        logits, state = held(tokens(300), held.initial_state(torch.zeros(3, dtype=torch.long)))
    assert (state.memory[0][0, :, 5] - value).abs().max() < 1e-6
    assert logits.isfinite().all()


@pytest.mark.parametrize("layer", [0, 1])
def test_an_lstm_shows_of_a_held_cell_what_its_output_gate_lets_through(layer: int) -> None:
    held = HeldLM(new_model("lstm"), [HeldUnit(layer, 5, 2.0)])
    runs = run_equations(held, tokens(50), held.initial_state(torch.zeros(3, dtype=torch.long)))
    arrays = named_arrays(held, layer, runs[layer])
    expected = arrays["o"][:, :, 5] * torch.tanh(torch.tensor(2.0))
    torch.testing.assert_close(arrays["h"][:, :, 5], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("cell", CELL_NAMES)
def test_a_unit_held_at_nought_is_as_if_nobody_read_it(cell: CellName) -> None:
    """What the others read of it are the columns of the weights: without them nothing changes."""
    model = new_model(cell)
    held = HeldLM(model, [HeldUnit(0, 5, 0.0)])
    with torch.no_grad():
        for weight in (layer_weights(model.layers[0]).w_hh, layer_weights(model.layers[1]).w_ih):
            weight[:, 5] = 0
    start = torch.zeros(3, dtype=torch.long)
    expected, _ = model(tokens(60), model.initial_state(start))
    found, _ = held(tokens(60), held.initial_state(start))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("cell", CELL_NAMES)
@pytest.mark.parametrize("is_tied", [False, True])
def test_fused_kernels_and_steppers_hold_as_the_equations_do(cell: CellName, is_tied: bool) -> None:
    model = new_model(cell, is_tied=is_tied)
    scale_logits_(model, 0.9)
    held = HeldLM(model, [HeldUnit(0, 5, VALUES[cell]), HeldUnit(1, 2, 0.25)])
    start = torch.zeros(3, dtype=torch.long)
    window = tokens(300)
    expected = logits_of(held, run_equations(held, window, held.initial_state(start)))
    with torch.no_grad():
        fused, _ = held(window, held.initial_state(start))
    torch.testing.assert_close(fused.transpose(0, 1), expected, rtol=0, atol=2e-5)
    stepper = PackedStepper(held)
    state = stepper.initial_state(start)
    for t, column in enumerate(window.t()):
        logits, state = stepper.step(column, state)
        torch.testing.assert_close(logits, expected[t], rtol=0, atol=2e-5)


@pytest.mark.skipif(not has_step_kernel(), reason="needs the compiled kernels")
@pytest.mark.parametrize("cell", CELL_NAMES)
def test_a_unit_is_held_in_int8_too(cell: CellName) -> None:
    stepper = PackedStepper(HeldLM(new_model(cell), [HeldUnit(0, 5, VALUES[cell])]), "int8")
    state = stepper.initial_state(torch.zeros(3, dtype=torch.long))
    for column in tokens(300).t():
        _, state = stepper.step(column, state)
    assert (state.memory[-1][0, :, 5] - VALUES[cell]).abs().max() < 1e-5


def test_the_model_itself_stays_as_it_was() -> None:
    model = new_model("lstm")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    HeldLM(model, [HeldUnit(0, 5, 1.0)])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("cell", "unit", "complaint"),
    [
        ("lstm", HeldUnit(2, 0, 0.0), r"unit 2:0: there is none \(2 layers of 24 units\)"),
        ("lstm", HeldUnit(0, 24, 0.0), r"unit 0:24: there is none"),
        ("gru", HeldUnit(0, 0, 1.01), r"--hold: a unit of this cell lies from -1 to 1 \(1.01\)"),
    ],
)
def test_what_cannot_be_held_is_a_setting_error(cell: CellName, unit: HeldUnit, complaint: str) -> None:
    with pytest.raises(SettingError, match=complaint):
        HeldLM(new_model(cell), [unit])
