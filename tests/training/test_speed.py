"""The speed of training, measured by steps whose work is thrown away."""

import numpy as np
import pytest
import torch

from gen.config import ModelConfig, TrainingConfig
from gen.data.batches import Batches
from gen.data.split import Excerpt
from gen.data.stretches import Stretch, Stretches
from gen.training.speed import measured_speed

CONFIG = TrainingConfig(batch_size=4, bptt=8, minutes=1.0)
CPU = torch.device("cpu")


class Clock:
    """A clock that moves on by 0.11 s whenever it is read."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.11
        return self.now


def new_batches(training: TrainingConfig) -> Batches:
    ids = np.arange(4000, dtype=np.uint8) % 10
    excerpt = Excerpt(ids, Stretches([Stretch(0, 4000, 0, False)]), 10, 11)
    return Batches(excerpt, batch_size=training.batch_size, bptt=training.bptt, reset_rate=0.0, seed=0)


def speed(training: TrainingConfig, *, num_processes: int = 1, clock: Clock | None = None) -> float:
    sizes = ModelConfig(12, hidden_size=8, embedding_size=4)
    return measured_speed(
        sizes, training, new_batches=new_batches, device=CPU, num_processes=num_processes, clock=clock or Clock()
    )


def test_the_speed_is_the_tokens_of_the_steps_by_the_clock() -> None:
    # Of 0.6 s, one look before each step but the first, and one look at the end: 5 steps in 0.77 s.
    assert speed(CONFIG) == pytest.approx(32 * (1 + 5) / 0.77)


def test_a_short_run_or_a_slow_machine_is_measured_by_the_second_step() -> None:
    clock, training = Clock(), TrainingConfig(batch_size=4, bptt=8, minutes=0.001)
    assert speed(training, clock=clock) == pytest.approx(32 / 0.22)
    assert clock.now == pytest.approx(6 * 0.11)  # no further step after the second


def test_processes_count_together_and_each_has_its_share_of_the_rows() -> None:
    alone = speed(CONFIG)
    assert speed(CONFIG, num_processes=2) == pytest.approx(alone)  # half the rows a step, by two
