"""The choice of a number of threads, on machines whose speeds are made up."""

from collections import Counter
from collections.abc import Callable

import pytest

from gen.kernels.choice import ThreadChoice

SECONDS_OF_A_CALL = 0.002


def chosen(choice: ThreadChoice, rate: Callable[[int], float], num_calls: int = 2000) -> Counter[int]:
    """Returns how often each number was taken on a machine with these tokens a second for a number of threads."""
    numbers: Counter[int] = Counter()
    for _ in range(num_calls):
        numbers[choice.threads] += 1
        choice.add(rate(choice.threads) * SECONDS_OF_A_CALL, SECONDS_OF_A_CALL)
    return numbers


@pytest.mark.parametrize("best", [1, 2, 4, 8, 16])
def test_the_fastest_number_is_found_and_kept(best: int) -> None:
    choice = ThreadChoice(16)

    def rate(number: int) -> float:
        return 1000.0 * min(number / best, best / number)

    chosen(choice, rate)
    assert chosen(choice, rate)[best] > 0.9 * 2000


def test_it_follows_a_neighbour_that_comes_and_goes() -> None:
    choice = ThreadChoice(2)
    assert chosen(choice, lambda n: 30_000.0 if n == 2 else 17_000.0)[2] > 0.9 * 2000
    assert chosen(choice, lambda n: 9_000.0 if n == 2 else 16_000.0)[1] > 0.9 * 2000
    chosen(choice, lambda n: 30_000.0 if n == 2 else 17_000.0, num_calls=800)
    assert chosen(choice, lambda n: 30_000.0 if n == 2 else 17_000.0)[2] > 0.9 * 2000


@pytest.mark.parametrize("most", [1, 2, 3, 6, 64])
def test_every_number_is_between_one_and_the_most(most: int) -> None:
    numbers = chosen(ThreadChoice(most), lambda n: 1.0 / n)
    assert max(numbers) == most
    assert min(numbers) == 1


def test_threads_that_hardly_help_are_not_taken() -> None:
    choice = ThreadChoice(2)
    chosen(choice, lambda n: 1050.0 if n == 2 else 1000.0)
    assert chosen(choice, lambda n: 1050.0 if n == 2 else 1000.0)[1] > 0.9 * 2000


def test_all_threads_are_taken_until_others_have_been_tried() -> None:
    assert chosen(ThreadChoice(2), lambda _: 1.0, num_calls=50) == {2: 50}
