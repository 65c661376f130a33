"""The contenders of gen: the whole trainer, the stepper and the loop that draws tokens."""

from dataclasses import replace
from itertools import islice

import numpy as np
import torch

from gen.bench.peer import LEARNING_RATE, SEED, randomise_
from gen.bench.plan import Plan
from gen.bench.stopwatch import Work
from gen.config import SamplingConfig, TrainingConfig
from gen.data.batches import Batches
from gen.data.split import Excerpt
from gen.data.stretches import Stretch, Stretches
from gen.generation.generate import generate
from gen.models.recurrent import RecurrentLM
from gen.models.stepper import Stepper
from gen.training.trainer import Trainer

NUM_WINDOWS = 128  # per row and epoch of random ids


def new_model(plan: Plan) -> RecurrentLM:
    """Returns a model of the plan's sizes with random weights, on the plan's device."""
    model = RecurrentLM(plan.model)
    randomise_(model, plan.model)
    return model.to(plan.device)


def train_ours(plan: Plan) -> Work:
    """Returns a function that trains for one step on random ids, including making the batch; it counts tokens."""
    config = replace(plan.training, learning_rate=LEARNING_RATE, seed=SEED, steps=None, epochs=None, minutes=None)
    steps = Trainer(new_model(plan), _batches(plan, config), config).run()
    return lambda: float(next(steps).num_tokens)


def step_ours(stepper: Stepper, num_rows: int) -> Work:
    """Returns a function that advances all rows by one token; it counts the tokens of all rows."""
    tokens = torch.zeros(num_rows, dtype=torch.int64, device=stepper.device)
    state = stepper.initial_state(tokens)

    def step() -> float:
        nonlocal state
        _, state = stepper.step(tokens, state)
        return float(num_rows)

    return step


def draw_ours(plan: Plan, stepper: Stepper, num_rows: int) -> Work:
    """Returns a function that draws a token for every row as `gen sample` does, with the grammar; it counts tokens."""
    drawn = generate(
        stepper,
        prompt=(),
        begin=plan.model.vocab_size - 2 if plan.begin is None else plan.begin,
        end=None,
        length=None,
        sampling=SamplingConfig(),
        seed=SEED,
        num_samples=num_rows,
        new_grammar=plan.new_grammar,
    )
    return lambda: float(sum(1 for _ in islice(drawn, num_rows)))


def _batches(plan: Plan, config: TrainingConfig) -> Batches:
    vocab_size = plan.model.vocab_size
    num_tokens = config.batch_size * config.bptt * NUM_WINDOWS
    ids = np.random.default_rng(SEED).integers(0, vocab_size - 2, num_tokens, dtype=np.min_scalar_type(vocab_size))
    stretches = Stretches([Stretch(0, num_tokens, 0, is_closed=False)])
    return Batches(
        Excerpt(ids, stretches, vocab_size - 2, vocab_size - 1),
        batch_size=config.batch_size,
        bptt=config.bptt,
        reset_rate=config.reset_rate,
        seed=config.seed,
    )
