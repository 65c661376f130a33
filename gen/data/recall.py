"""The recall task: the first symbol of a sequence must be repeated after a number of tokens of distraction.

Nothing but that symbol says what to answer, so a network needs a memory of as many tokens as the delay (Bengio, Simard
& Frasconi 1994; Hochreiter & Schmidhuber 1997, experiment 2). A sequence is a cue and distractors, drawn from different
symbols. All is generated, and is a function of seed and number.

In training each sequence has a delay of its own, from 1 to the longest. With the longest alone, of 100, an LSTM of 32
units was still at chance after 400 steps of 64 sequences.
"""

import numpy as np
from numpy.typing import NDArray

from gen.data.batches import IGNORED, Batch

NUM_CUES = 4
NUM_DISTRACTORS = 4
NUM_SYMBOLS = NUM_CUES + NUM_DISTRACTORS  # the cues are the first ids
BATCHES_OF_EPOCH = 1000


class RecallBatches:
    """Batches of sequences, each with one target: the cue, after the delay of the sequence.

    Args:
        delay: the longest delay in tokens, N.
        batch_size: the number of sequences, B.
        seed: the source of all randomness.
    """

    def __init__(self, *, delay: int, batch_size: int, seed: int) -> None:
        self._delay, self._batch_size, self._seed = delay, batch_size, seed

    def num_windows(self, epoch: int) -> int:  # noqa: ARG002 - epochs are alike
        """Returns the number of batches in an epoch."""
        return BATCHES_OF_EPOCH

    def batch(self, epoch: int, window: int, *, is_plain: bool = False) -> Batch:  # noqa: ARG002 - there are no variations
        """Returns a batch of (B, N + 1) tokens; every row starts from a fresh state."""
        rng = np.random.default_rng((self._seed, epoch, window))
        inputs = recall_sequences(rng, delay=self._delay, count=self._batch_size)
        targets, rows = np.full_like(inputs, IGNORED), np.arange(self._batch_size)
        targets[rows, rng.integers(1, self._delay + 1, self._batch_size)] = inputs[:, 0]
        no, no_label = np.zeros(self._batch_size, np.bool_), np.zeros(self._batch_size, np.int64)
        return Batch(inputs, targets, ~no, no_label, no, num_targets=self._batch_size)


def recall_sequences(rng: np.random.Generator, *, delay: int, count: int) -> NDArray[np.int64]:
    """Returns (count, delay + 1) tokens: a cue, then distractors. The target after the last token is the cue."""
    tokens = rng.integers(NUM_CUES, NUM_SYMBOLS, (count, delay + 1))
    tokens[:, 0] = rng.integers(0, NUM_CUES, count)
    return tokens
