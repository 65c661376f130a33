"""Words on other programs that use the processor while a run is training."""

import time
from collections.abc import Callable

from gen.kernels.pool import num_threads, share

SECONDS_BETWEEN_LOOKS = 1.0
LOOKS_TO_BELIEVE = 5  # a change; a shorter one costs little
# Shares of the processor. On two idle cores a small model gets 0.77, since its pieces are short; beside one neighbour
# any model gets 0.6.
BUSY_BELOW, FREE_ABOVE = 0.7, 0.75


class BusyWatch:
    """Tells whether other programs have been using the processor for some seconds.

    Args:
        next_share: returns the share of the processor, 0 to 1, that training got since the last call; None for none.
        clock: returns seconds since any fixed time.
    """

    def __init__(
        self, next_share: Callable[[], float | None] = share, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._next_share, self._clock = next_share, clock
        self._last_look = clock()
        self._num_changed = 0  # looks in a row that contradict what is believed
        self.is_busy = False
        self.words = ""  # on the last look, empty while the processor is free
        next_share()  # what came before is not training

    def look(self) -> bool:
        """Looks, at most once a second; returns whether the processor has become busy or free."""
        if self._clock() - self._last_look < SECONDS_BETWEEN_LOOKS:
            return False
        self._last_look = self._clock()
        got = self._next_share()
        if got is None:
            return False
        has_changed = got > FREE_ABOVE if self.is_busy else got < BUSY_BELOW
        self._num_changed = self._num_changed + 1 if has_changed else 0
        is_believed = self._num_changed == LOOKS_TO_BELIEVE
        if is_believed:
            self.is_busy, self._num_changed = not self.is_busy, 0
        self.words = busy_words(got, num_threads()) if self.is_busy else ""
        return is_believed


def busy_words(got: float, threads: int) -> str:
    """Returns words on a share of the processor, 0 to 1, that training gets of what its threads could use."""
    of = f"{got * threads:.1f} of {threads} threads" if threads > 1 else f"{100 * got:.0f} % of a thread"
    return f"another program is using the processor: {of}"
