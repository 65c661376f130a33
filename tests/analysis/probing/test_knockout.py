"""The ratio of what held units cost to what others cost."""

import json
import re

import pytest

from gen.analysis.probing.knockout import ClassCost, Knockout
from gen.cli.screen.probe import knockout_lines
from gen.models.holding import HeldUnit


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
