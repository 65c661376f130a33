"""Each filter alone; their order and composition stand in test_sampling.py."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from gen.generation import filters
from gen.kernels.drawing import FloatArray

LOGITS = np.log(np.array([[0.4, 0.1, 0.3, 0.2], [0.1, 0.1, 0.7, 0.1]]))
ALLOWED = np.array([[False, True, True, True], [True, False, True, False]])
CHAIN: dict[str, Callable[[FloatArray], FloatArray]] = {
    "ban": lambda x: filters.ban(x, (1, 3)),
    "grammar mask": lambda x: filters.grammar_mask(x, ALLOWED),
    "repetition penalty": lambda x: filters.repetition_penalty(x, ALLOWED, 1.5),
    "temperature": lambda x: filters.temperature(x, 0.5),
    "temperature 0": lambda x: filters.temperature(x, 0),
    "top-k": lambda x: filters.top_k(x, 2),
    "top-p": lambda x: filters.top_p(x, 0.6),
    "min-p": lambda x: filters.min_p(x, 0.45),
}
LEFT = {
    "ban": [[0, 2], [0, 2]],
    "grammar mask": [[1, 2, 3], [0, 2]],
    "repetition penalty": [[0, 1, 2, 3], [0, 1, 2, 3]],
    "temperature": [[0, 1, 2, 3], [0, 1, 2, 3]],
    "temperature 0": [[0], [2]],
    "top-k": [[0, 2], [0, 2]],
    "top-p": [[0, 2], [2]],
    "min-p": [[0, 2, 3], [2]],
}


@pytest.mark.parametrize("name", CHAIN)
def test_a_filter_leaves_these_tokens_and_does_not_modify_its_input(name: str) -> None:
    logits = LOGITS.copy()
    found = CHAIN[name](logits)
    assert [np.flatnonzero(np.isfinite(row)).tolist() for row in found] == LEFT[name]
    assert logits.tobytes() == LOGITS.tobytes()


@pytest.mark.parametrize("name", ["ban", "grammar mask", "top-k", "top-p", "min-p"])
def test_what_a_filter_keeps_keeps_its_bits(name: str) -> None:
    found = CHAIN[name](LOGITS)
    assert np.array_equal(found[np.isfinite(found)], LOGITS[np.isfinite(found)])


@pytest.mark.parametrize("name", ["top-k", "top-p", "min-p", "temperature", "temperature 0"])
def test_a_constant_added_to_all_logits_changes_no_shares(name: str) -> None:
    shifted = CHAIN[name](LOGITS - 1000)
    assert np.exp(shifted - shifted.max(1, keepdims=True)) == pytest.approx(
        np.exp(CHAIN[name](LOGITS) - CHAIN[name](LOGITS).max(1, keepdims=True)), abs=1e-9
    )


def test_temperature_divides_distances_from_the_likeliest() -> None:
    assert filters.temperature(np.array([[3.0, 1.0, 0.0]]), 0.5).tolist() == [[0.0, -4.0, -6.0]]


def test_a_penalty_makes_recent_tokens_less_likely_on_both_sides_of_zero() -> None:
    recent = np.array([[True, True, False, False]])
    assert filters.repetition_penalty(np.array([[4.0, -4.0, 3.0, -3.0]]), recent, 2.0).tolist() == [[2, -8, 3, -3]]


@pytest.mark.parametrize(
    "neutral", [lambda x: filters.top_k(x, 99), lambda x: filters.top_p(x, 1), lambda x: filters.min_p(x, 0)]
)
def test_a_filter_at_its_neutral_value_changes_nothing(neutral: Callable[[FloatArray], FloatArray]) -> None:
    logits = np.array([[0.0, -60.0, -math.inf]])
    assert neutral(logits).tolist() == logits.tolist()
