import pytest
import torch

from gen.bench.stopwatch import ROUNDS, WARM_UP_CALLS, Contender, Stopwatch, Work, num_threads

CPU = torch.device("cpu")


class FakeTime:
    """A clock that only the works advance."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.turns: list[str] = []
        self.num_calls = 0

    def work(self, *, takes: float, does: float) -> Work:
        def work() -> float:
            self.seconds += takes
            self.num_calls += 1
            return does

        return work

    def stopwatch(self, *, seconds: float) -> Stopwatch:
        return Stopwatch(CPU, seconds, self.turns.append, now=lambda: self.seconds)


def test_a_rate_is_what_was_done_over_the_time_it_took() -> None:
    time = FakeTime()
    contender = Contender("a", (time.work(takes=0.25, does=5.0),))
    assert time.stopwatch(seconds=1.0).turn(contender) == 20.0
    assert time.num_calls == WARM_UP_CALLS + 4


def test_work_longer_than_its_turn_is_done_once() -> None:
    time = FakeTime()
    assert time.stopwatch(seconds=1.0).turn(Contender("a", (time.work(takes=8.0, does=4.0),))) == 0.5
    assert time.num_calls == WARM_UP_CALLS + 1


def test_of_several_works_the_fastest_counts_and_they_share_the_turn() -> None:
    time = FakeTime()
    works = tuple(time.work(takes=takes, does=1.0) for takes in (0.5, 0.125, 0.25))
    assert time.stopwatch(seconds=1.5).turn(Contender("a", works)) == 8.0
    assert time.num_calls == 3 * WARM_UP_CALLS + 1 + 4 + 2


def test_contenders_take_turns() -> None:
    time = FakeTime()
    contenders = [Contender(name, (time.work(takes=1.0, does=2.0),)) for name in "ab"]
    assert time.stopwatch(seconds=1.0).rounds(contenders) == [[2.0] * ROUNDS] * 2
    assert time.turns == ["a", "b"] * ROUNDS


def test_the_number_of_threads_is_restored_also_after_an_error() -> None:
    before = torch.get_num_threads()
    with pytest.raises(KeyboardInterrupt):
        interrupt_with_threads(before + 1)
    assert torch.get_num_threads() == before


def interrupt_with_threads(count: int) -> None:
    with num_threads(count):
        assert torch.get_num_threads() == count
        raise KeyboardInterrupt
