"""The number of threads for work that comes in small calls, by the speed that each number has had lately.

Threads that share small pieces wait for each other. Beside another program that uses a core, or on a machine of many
cores, fewer of them can be faster. So now and then a part of the work runs on half or twice as many, and the better
number stays. The results have the same bits for any number.
"""

SECONDS_OF_A_TURN = 0.02  # some turns of other programs on a core
MIN_BETWEEN_TRIALS, MAX_BETWEEN_TRIALS = 8, 64  # turns; doubled by every trial that changes nothing
WEIGHT = 0.5  # of a new turn in the running mean of the rates
WORTH_TWICE = 1.1  # twice the threads are taken if they are so many times as fast


class ThreadChoice:
    """The number of threads of one kind of work.

    Args:
        most: threads; the numbers are it, its half, a quarter... and 1.
    """

    def __init__(self, most: int) -> None:
        self.most = max(1, most)
        self._numbers = [self.most]
        while self._numbers[-1] > 1:
            self._numbers.append(self._numbers[-1] // 2)
        self._worth = [-1.0] * len(self._numbers)  # the rates, greater for fewer threads; -1 for not known
        self._best = self._tried = 0  # indices
        self._num_turns, self._num_between, self._is_down = 0, MIN_BETWEEN_TRIALS, True
        self._amount = self._seconds = 0.0

    @property
    def threads(self) -> int:
        """The number for the next call."""
        return self._numbers[self._tried]

    def add(self, amount: float, seconds: float) -> None:
        """Takes in that a call with `threads` has done an amount of work."""
        self._amount += amount
        self._seconds += seconds
        if self.most > 1 and self._seconds >= SECONDS_OF_A_TURN:
            self._end_turn()

    def _end_turn(self) -> None:
        worth, before = self._amount / self._seconds * WORTH_TWICE**self._tried, self._worth[self._tried]
        self._worth[self._tried] = worth if before < 0 else before + WEIGHT * (worth - before)
        self._amount = self._seconds = 0.0
        was_trial, before_it = self._tried != self._best, self._best
        self._best = max(range(len(self._worth)), key=self._worth.__getitem__)
        self._num_turns += 1
        if self._best != before_it:
            self._num_turns, self._num_between = 0, MIN_BETWEEN_TRIALS
        elif was_trial:
            self._num_between = min(MAX_BETWEEN_TRIALS, 2 * self._num_between)
        self._tried = self._best
        if self._num_turns >= self._num_between:
            self._num_turns = 0
            self._tried += self._direction()

    def _direction(self) -> int:
        """Returns 1 to try half as many threads, or -1 for twice as many: in turn, where there are both."""
        self._is_down = not self._is_down
        is_last = self._best == len(self._numbers) - 1
        return 1 if self._best == 0 or (not self._is_down and not is_last) else -1
