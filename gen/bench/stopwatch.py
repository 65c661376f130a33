"""Measures the rates of contenders in turns, so that other load on the machine affects all alike."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch

ROUNDS = 3
WARM_UP_CALLS = 2  # before each measurement, because the contender before it has evicted the caches

Work = Callable[[], float]  # does some work and returns its amount in tokens, operations or bytes


class Contender(NamedTuple):
    """One or several functions that do the same work; the rate of a contender is that of its fastest function."""

    name: str
    works: tuple[Work, ...]


@dataclass(frozen=True, slots=True)
class Stopwatch:
    """Measures contenders.

    Args:
        device: the device that a measurement waits for at its start and at its end.
        seconds: the time of a turn.
        on_turn: called with the name of a contender before its turn.
        now: a clock in seconds, with any beginning.
    """

    device: torch.device
    seconds: float
    on_turn: Callable[[str], None]
    now: Callable[[], float] = time.perf_counter

    def rounds(self, contenders: Sequence[Contender]) -> list[list[float]]:
        """Returns the rates of each contender, one per round."""
        rounds = [[self.turn(contender) for contender in contenders] for _ in range(ROUNDS)]
        return [list(rates) for rates in zip(*rounds, strict=True)]

    def turn(self, contender: Contender) -> float:
        """Returns the amount of work per second of a contender."""
        self.on_turn(contender.name)
        seconds = self.seconds / len(contender.works)
        return max(self._rate(work, seconds) for work in contender.works)

    def _rate(self, work: Work, seconds: float) -> float:
        for _ in range(WARM_UP_CALLS):
            work()
        synchronize(self.device)
        started, amount = self.now(), 0.0
        while True:
            amount += work()
            if self.now() - started >= seconds:
                break
        synchronize(self.device)
        return amount / (self.now() - started)


def synchronize(device: torch.device) -> None:
    """Waits until the device has finished its work."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


@contextmanager
def num_threads(count: int | None) -> Iterator[None]:
    """Sets the number of torch's threads for the body of the `with`; None changes nothing."""
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
