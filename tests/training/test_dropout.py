"""The rate of dropout: more readings and more weights want more of it, and it never jumps."""

import itertools

import pytest

from gen.training.dropout import MAX_DROPOUT, choose_dropout

READINGS = [1.02**n for n in range(350)]  # to a thousand
WIDE = 1_390_000  # weights: 512 units, 78 symbols


def test_it_rises_with_readings_from_none_to_the_most_without_jumps() -> None:
    rates = [choose_dropout(readings, WIDE, is_varied=False) for readings in READINGS]

    assert rates == sorted(rates)
    assert (rates[0], rates[-1]) == (0.0, MAX_DROPOUT)
    assert max(after - before for before, after in itertools.pairwise(rates)) <= 0.02


def test_a_larger_model_gets_more_and_a_varied_corpus_less() -> None:
    rate = choose_dropout(12, WIDE, is_varied=False)

    assert choose_dropout(12, 2 * WIDE, is_varied=False) > rate > choose_dropout(12, WIDE // 2, is_varied=False)
    assert choose_dropout(12, WIDE, is_varied=True) < rate


@pytest.mark.parametrize(
    ("readings", "num_weights", "low", "high"),
    [(8.6, WIDE, 0.1, 0.2), (8, 420_000, 0.0, 0.05), (30, 420_000, 0.3, 0.5), (24, 420_000, 0.2, 0.4)],
)
def test_it_is_near_the_best_rate_that_was_measured(readings: float, num_weights: int, low: float, high: float) -> None:
    assert low <= choose_dropout(readings, num_weights, is_varied=False) <= high
