"""One token at a time against whole windows, and a row alone against a row among others."""

import pytest
import torch

from gen.config import CellName, ModelConfig
from gen.models.cells import CELLS
from gen.models.recurrent import RecurrentLM
from gen.models.stepper import Stepper

V, T = 67, 12
SHAPES = [(1, 128, 32, 0, False), (2, 96, 128, 2, True), (3, 24, 7, 0, True), (2, 33, 5, 3, False)]


def new_model(cell: CellName, shape: tuple[int, int, int, int, bool]) -> RecurrentLM:
    num_layers, hidden_size, embedding_size, num_labels, is_tied = shape
    config = ModelConfig(V, cell, hidden_size, num_layers, embedding_size, num_labels=num_labels, is_tied=is_tied)
    return RecurrentLM(config, torch.Generator().manual_seed(0))


def walked(stepper: Stepper, tokens: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    state, outputs = stepper.initial_state(labels), []
    for column in tokens.t():
        logits, state = stepper.step(column, state)
        outputs.append(logits)
    return torch.stack(outputs, dim=1)


@pytest.mark.parametrize("cell", tuple(CELLS))
@pytest.mark.parametrize("shape", SHAPES)
def test_stepping_equals_forward(cell: CellName, shape: tuple[int, int, int, int, bool]) -> None:
    model = new_model(cell, shape)
    tokens = torch.randint(0, V, (5, T))
    labels = torch.arange(5) % (shape[3] + 1)

    with torch.no_grad():
        expected, _ = model(tokens, model.initial_state(labels))

    torch.testing.assert_close(walked(Stepper(model), tokens, labels), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("cell", tuple(CELLS))
@pytest.mark.parametrize("shape", SHAPES)
def test_a_row_has_the_same_bits_alone_and_among_others(cell: CellName, shape: tuple[int, int, int, int, bool]) -> None:
    stepper = Stepper(new_model(cell, shape))
    tokens = torch.randint(0, V, (70, T))
    labels = torch.arange(70) % (shape[3] + 1)

    together = walked(stepper, tokens, labels)

    for rows in (slice(0, 1), slice(41, 42), slice(7, 9), slice(3, 68)):
        assert torch.equal(walked(stepper, tokens[rows], labels[rows]), together[rows])


def test_state_that_was_handed_in_is_not_modified() -> None:
    stepper = Stepper(new_model("lstm", SHAPES[0]))
    state = stepper.initial_state(torch.zeros(2, dtype=torch.long))
    _, state = stepper.step(torch.tensor([1, 2]), state)
    before = tuple(m.clone() for m in state.memory)

    stepper.step(torch.tensor([3, 4]), state)

    assert all(torch.equal(a, b) for a, b in zip(state.memory, before, strict=True))


def test_stepper_does_not_follow_later_training() -> None:
    model = new_model("gru", SHAPES[0])
    stepper = Stepper(model)
    tokens, labels = torch.randint(0, V, (2, T)), torch.zeros(2, dtype=torch.long)
    before = walked(stepper, tokens, labels)

    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)

    assert torch.equal(walked(stepper, tokens, labels), before)
