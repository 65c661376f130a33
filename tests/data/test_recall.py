"""The sequences of the recall task."""

import numpy as np

from gen.data.batches import IGNORED
from gen.data.recall import NUM_CUES, NUM_SYMBOLS, RecallBatches, recall_sequences


def test_a_sequence_is_a_cue_and_distractors_that_are_no_cues() -> None:
    tokens = recall_sequences(np.random.default_rng(0), delay=20, count=200)

    assert tokens.shape == (200, 21)
    assert set(tokens[:, 0].tolist()) == set(range(NUM_CUES))
    assert set(tokens[:, 1:].flatten().tolist()) == set(range(NUM_CUES, NUM_SYMBOLS))


def test_the_one_target_of_a_row_is_its_cue_after_any_delay_up_to_the_longest() -> None:
    batch = RecallBatches(delay=6, batch_size=300, seed=0).batch(0, 0)

    rows, delays = np.nonzero(batch.targets != IGNORED)
    assert rows.tolist() == list(range(300))
    assert batch.targets[rows, delays].tolist() == batch.inputs[:, 0].tolist()
    assert set(delays.tolist()) == {1, 2, 3, 4, 5, 6}
    assert batch.num_targets == 300
    assert batch.is_fresh.all()


def test_a_batch_depends_on_seed_and_number_alone() -> None:
    def inputs(seed: int, epoch: int, window: int) -> list[int]:
        batches = RecallBatches(delay=9, batch_size=4, seed=seed)
        found: list[int] = batches.batch(epoch, window).inputs.flatten().tolist()
        return found

    assert inputs(1, 2, 3) == inputs(1, 2, 3)
    assert len({tuple(inputs(*key)) for key in [(1, 2, 3), (0, 2, 3), (1, 0, 3), (1, 2, 0)]}) == 4
