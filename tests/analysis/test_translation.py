"""Errors of a translator, against a naive edit distance and numbers worked out by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gen.analysis.translation import edit_distance, errors, translation

words = st.text("abc", max_size=8)


def naive_distance(first: str, second: str) -> int:
    """The recursion of the definition."""
    if not first or not second:
        return len(first) + len(second)
    return min(
        naive_distance(first[1:], second) + 1,
        naive_distance(first, second[1:]) + 1,
        naive_distance(first[1:], second[1:]) + (first[0] != second[0]),
    )


@given(st.text("abc", max_size=5), st.text("abc", max_size=5))
def test_edit_distance_equals_the_definition(first: str, second: str) -> None:
    assert edit_distance(first, second) == naive_distance(first, second)


@given(words, words, words)
def test_edit_distance_is_a_metric(first: str, second: str, third: str) -> None:
    assert edit_distance(first, second) == edit_distance(second, first)
    assert (edit_distance(first, second) == 0) == (first == second)
    assert edit_distance(first, third) <= edit_distance(first, second) + edit_distance(second, third)


@pytest.mark.parametrize(("first", "second", "distance"), [("kitten", "sitting", 3), ("", "abc", 3), ("ab", "ba", 2)])
def test_edit_distance_of_known_words(first: str, second: str, distance: int) -> None:
    assert edit_distance(first, second) == distance


def test_errors_are_counted_against_the_nearest_reference() -> None:
    assert errors("abc", ["xyzw", "abd", "abc d"]) == (1, 3)


def test_rates_are_those_worked_out_by_hand() -> None:
    answers = ["a b", "c", "d e"]
    references = [["a b", "x"], ["c d"], ["d f"]]

    found = translation(answers, references, nats=6.0, pairs=4, symbols=8, beam=1)

    assert found.exact == pytest.approx(1 / 3)
    assert found.symbol_error_rate == pytest.approx((0 + 2 + 1) / (3 + 3 + 3))
    assert found.word_error_rate == pytest.approx((0 + 1 + 1) / (2 + 2 + 2))
    assert found.nats_per_symbol == pytest.approx(6.0 / 12)
    assert (found.sources, found.pairs, found.symbols) == (3, 4, 8)
