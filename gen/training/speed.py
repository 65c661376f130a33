"""The speed of training on this machine, measured before a run by steps whose work is thrown away."""

import time
from collections.abc import Callable
from dataclasses import replace

import torch

from gen.config import ModelConfig, TrainingConfig
from gen.kernels.library import library
from gen.models.choice import new_model
from gen.training.trainer import Trainer, TrainingBatches

WARM_UP_STEPS = 3  # the first steps also touch new memory and, on a GPU, choose algorithms
MAX_SECONDS = 1.5
MAX_SHARE = 0.01  # of the time of the run


def measured_speed(
    config: ModelConfig,
    training: TrainingConfig,
    *,
    new_batches: Callable[[TrainingConfig], TrainingBatches],
    device: torch.device,
    num_processes: int = 1,
    clock: Callable[[], float] = time.monotonic,
) -> float:
    """Returns the tokens a second at which a new model of this size is trained by all processes together.

    This process takes a few steps with its share of the rows; the sum of the gradients is not counted. A step ends with
    the value of its loss, so a GPU has finished it when the clock is read.

    Args:
        new_batches: returns the batches of a training.
        num_processes: that will share the rows.
    """
    library()  # compiled now, if need be, and not in the time that is measured
    num_rows = max(1, training.batch_size // num_processes)
    own = replace(training, batch_size=num_rows, accumulate=min(num_rows, training.accumulate))
    model = new_model(config, torch.Generator().manual_seed(training.seed)).to(device)
    steps = Trainer(model, new_batches(own), replace(own, steps=None, epochs=None, minutes=None)).run()
    seconds = min(MAX_SECONDS, MAX_SHARE * 60 * (training.minutes or 0.0))
    began = clock()
    next(steps)
    for _ in range(WARM_UP_STEPS - 1):
        if clock() - began < seconds:  # a slow machine is measured by two steps
            next(steps)
    began = clock()
    num_tokens = next(steps).num_tokens
    while clock() - began < seconds:
        num_tokens += next(steps).num_tokens
    return num_processes * num_tokens / max(1e-9, clock() - began)
