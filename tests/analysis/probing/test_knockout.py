"""The ratio of what held units cost to what others cost."""

import json
import re

import numpy as np
import pytest
import torch

from gen.analysis.probing.gates import record_states
from gen.analysis.probing.knockout import ClassCost, Knockout, knock_out, mean_of
from gen.cli.screen.probe import knockout_lines
from gen.codec import SymbolClasses
from gen.config import ModelConfig
from gen.data.split import Excerpt
from gen.data.stretches import Stretch, Stretches
from gen.models.cells import layer_weights
from gen.models.holding import HeldUnit
from gen.models.recurrent import RecurrentLM


@pytest.mark.parametrize(
    ("added", "others", "ratio", "shown"),
    [
        (0.3, 0.1, 3.0, "3.0"),
        (0.3, 0.0, None, "-"),  # would be infinite
        (0.3, 0.0004, None, "-"),  # would be 750, of a median that is shown as 0.000
        (0.3, -0.1, None, "-"),
        (0.0004, 0.1, None, "-"),
        (-0.3, 0.1, None, "-"),
    ],
)
def test_a_ratio_is_given_only_where_both_costs_can_be_shown(
    added: float, others: float, ratio: float | None, shown: str
) -> None:
    cost = ClassCost("digits", 10, 2.0, added, others, 0.5)
    result = Knockout((HeldUnit(0, 1, 0.5),), (cost,), 50)
    found = json.loads(json.dumps(result.to_json()))["classes"][0]["ratio"]
    assert found == (None if ratio is None else pytest.approx(ratio))
    assert re.split(r" +", list(knockout_lines(result))[-1])[-1] == shown


def test_others_that_are_saturated_do_not_stop_a_knock_out() -> None:
    model = RecurrentLM(ModelConfig(5, "rnn", hidden_size=4, num_layers=1, embedding_size=3), torch.Generator())
    with torch.no_grad():
        layer_weights(model.layers[0]).b_ih[1:] = 50
    excerpt = Excerpt(np.arange(60, dtype=np.uint8) % 3, Stretches([Stretch(0, 60, 0, False)]), 3, 4)
    states = record_states(model.eval(), excerpt, num_tokens=60)
    assert states[:, 1:].min() == 1
    classes = SymbolClasses(("all",), np.zeros(5, np.int64))
    result = knock_out(model, excerpt, [mean_of(states, 0, 0, hidden_size=4)], states=states, classes=classes)
    assert result.num_others == 3
    assert result.classes[0].worst_other == pytest.approx(0, abs=0.01)  # the first token alone finds them at 0
