import pytest

from gen.music.pedal import pedal_spans
from gen.music.score import PedalSpan


@pytest.mark.parametrize(
    ("changes", "spans"),
    [
        ([(0, 127), (5, 127), (9, 0), (12, 0)], (PedalSpan(0, 9),)),
        ([(0, 64), (5, 63)], (PedalSpan(0, 5),)),
        ([(0, 127), (5, 0), (5, 127), (8, 0)], (PedalSpan(0, 5), PedalSpan(5, 3))),
        ([(3, 127), (3, 0)], ()),
        ([(3, 127)], (PedalSpan(3, 97),)),
        ([(200, 127)], ()),
    ],
)
def test_the_pedal_is_down_from_64_on(changes: list[tuple[int, int]], spans: tuple[PedalSpan, ...]) -> None:
    assert pedal_spans(changes, end_ticks=100) == spans
