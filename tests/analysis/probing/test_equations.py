"""The equations of a step, computed again from the numbers that are printed."""

import math

import numpy as np
import pytest
import torch

from gen.analysis.probing.equations import equations
from gen.analysis.probing.gates import record, step_at
from gen.config import CELL_NAMES, CellName, ModelConfig
from gen.data.split import Excerpt
from gen.data.stretches import Stretch, Stretches
from gen.models.recurrent import RecurrentLM

FUNCTIONS = {"sigma": lambda x: 1 / (1 + math.exp(-x)), "tanh": math.tanh}
NUM_EQUATIONS = {"lstm": 6, "gru": 4, "rnn": 1}


@pytest.mark.parametrize("cell", CELL_NAMES)
@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("number", [0, 7, 29])
def test_the_printed_numbers_give_the_recorded_values(cell: CellName, layer: int, number: int) -> None:
    config = ModelConfig(12, cell, hidden_size=16, num_layers=2, embedding_size=8)
    model = RecurrentLM(config, torch.Generator().manual_seed(1)).eval()
    excerpt = Excerpt(np.arange(30, dtype=np.uint8) % 10, Stretches([Stretch(0, 30, 0, True)]), 10, 11)
    recorded = record(model, excerpt, num_tokens=30).layers[layer]

    found = equations(model, layer, step_at(model, excerpt, number)[layer], 5)

    assert len(found) == NUM_EQUATIONS[cell]
    for equation in found:
        assert equation.value == pytest.approx(recorded[equation.name][number, 5], abs=1e-6)
        assert eval(equation.numbers, FUNCTIONS) == pytest.approx(equation.value, abs=2e-4)  # noqa: S307 - our own text
