"""What tests of live playing share: a clock that runs as fast as it is asked to, and ports that keep what they get."""

from collections import Counter
from collections.abc import Callable, Iterable

import mido

Voice = tuple[int, int]  # channel and pitch


class FakeClock:
    """A clock that stands still but where somebody waits; `meanwhile` is called after every wait."""

    def __init__(self, meanwhile: Callable[[int], None] = lambda _: None) -> None:
        self.seconds = 1000.0
        self.num_waits = 0
        self._meanwhile = meanwhile

    def now(self) -> float:
        return self.seconds

    def wait_until(self, seconds: float) -> None:
        self.seconds = max(self.seconds, seconds)
        self.num_waits += 1
        self._meanwhile(self.num_waits)


class KeepingPort:
    """A port that keeps what it gets, with the time; `before` is called with the number of each message."""

    def __init__(self, clock: FakeClock, before: Callable[[int], None] = lambda _: None) -> None:
        self.got: list[tuple[float, mido.Message]] = []
        self._clock = clock
        self._before = before
        self._num_messages = 0

    def send(self, message: mido.Message) -> None:
        self._num_messages += 1
        self._before(self._num_messages)
        self.got.append((self._clock.now(), message))

    def messages(self, kind: str) -> list[mido.Message]:
        return [message for _, message in self.got if message.type == kind]

    def times(self, kind: str) -> list[float]:
        return [seconds for seconds, message in self.got if message.type == kind]


def unbalanced(messages: Iterable[mido.Message]) -> dict[Voice, int]:
    """Returns the keys with another number of note-ons than of note-offs, and the difference."""
    balance: Counter[Voice] = Counter()
    for message in messages:
        if message.type in ("note_on", "note_off"):
            balance[message.channel, message.note] += 1 if message.type == "note_on" else -1
    return {voice: number for voice, number in balance.items() if number}


def restruck(messages: Iterable[mido.Message]) -> list[Voice]:
    """Returns the keys that were struck while they were down."""
    down: set[Voice] = set()
    twice = []
    for message in messages:
        if message.type == "note_on":
            if (message.channel, message.note) in down:
                twice.append((message.channel, message.note))
            down.add((message.channel, message.note))
        elif message.type == "note_off":
            down.discard((message.channel, message.note))
    return twice
