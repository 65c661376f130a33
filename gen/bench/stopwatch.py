"""Rates measured turn about, so that whatever else a machine does troubles all alike."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch

ROUNDS = 3
WARM_UP_CALLS = 2  # before each measurement: the contender before it has emptied the caches

Work = Callable[[], float]  # does something once and returns how much: tokens, operations or bytes


class Contender(NamedTuple):
    """What is measured: one work, or several ways to do the same, of which the fastest counts."""

    name: str
    works: tuple[Work, ...]


@dataclass(frozen=True, slots=True)
class Stopwatch:
    """Measures contenders.

    Args:
        device: that is waited for at both ends of a measurement.
        seconds: of a turn.
        on_turn: told what is measured now.
        now: seconds; only differences count.
    """

    device: torch.device
    seconds: float
    on_turn: Callable[[str], None]
    now: Callable[[], float] = time.perf_counter

    def rounds(self, contenders: Sequence[Contender]) -> list[list[float]]:
        """Returns the rates of each contender, one a round."""
        rounds = [[self.turn(contender) for contender in contenders] for _ in range(ROUNDS)]
        return [list(rates) for rates in zip(*rounds, strict=True)]

    def turn(self, contender: Contender) -> float:
        """Returns how much the contender does in a second."""
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
    """Waits until the device has done what it was given."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


@contextmanager
def num_threads(count: int | None) -> Iterator[None]:
    """Lets torch use so many threads; None changes nothing."""
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
