"""Cells that are trained alike on the recall task, with the gradient by lag before training and after it."""

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from gen.analysis.gradient_flow import GradientFlow, OnProgress, Rows, check_lags, norms_by_lag, summary
from gen.config import CellName, ModelConfig, TrainingConfig
from gen.data.recall import NUM_SYMBOLS, RecallBatches, recall_sequences
from gen.errors import SettingError
from gen.models.recurrent import RecurrentLM
from gen.models.sequence_model import open_gates_
from gen.training.trainer import Trainer

HIDDEN_SIZE, EMBEDDING_SIZE = 32, 16
STEPS, BATCH_SIZE, LEARNING_RATE = 400, 64, 0.01
NUM_MEASURED = 256  # sequences
MAX_FORGET_BIAS = 100.0


@dataclass(frozen=True, slots=True)
class Recall:
    """A cell on the recall task, measured at the longest delay."""

    before: GradientFlow  # training
    after: GradientFlow
    share_recalled: float  # of sequences whose cue is found likeliest, after training
    max_grad_norm: float  # of the steps of training, before clipping

    def to_json(self) -> dict[str, Any]:
        """Returns JSON data."""
        return {
            "recalled": self.share_recalled,
            "largest_grad_norm": self.max_grad_norm,
            "before": self.before.to_json(),
            "after": self.after.to_json(),
        }


def train_on_recall(
    cell: CellName,
    *,
    delay: int,
    clip_norm: float = 1.0,
    forget_bias: float = 1.0,
    seed: int = 0,
    steps: int = STEPS,
    on_progress: OnProgress | None = None,
) -> Recall:
    """Trains a network of one layer on the recall task, and measures its gradient by lag.

    Args:
        cell: of the layer.
        delay: tokens over which the cue must be remembered, and the largest lag.
        clip_norm: the norm to which the gradient of a step is cut; infinite for no clipping.
        forget_bias: the bias of an LSTM's forget gate before training.
        seed: of weights and sequences.
        steps: of training.
        on_progress: called with the number of steps done and of all steps.

    Raises SettingError if a setting is out of range.
    """
    check_lags(delay)
    check_forget_bias(forget_bias)
    model = _new_model(cell, forget_bias=forget_bias, seed=seed)
    before = _measured(model, delay, seed)[0]
    config = TrainingConfig(
        batch_size=BATCH_SIZE, bptt=delay + 1, learning_rate=LEARNING_RATE, clip_norm=clip_norm, seed=seed, steps=steps
    )
    max_grad_norm = 0.0
    for step in Trainer(model, RecallBatches(delay=delay, batch_size=BATCH_SIZE, seed=seed), config).run():
        max_grad_norm = max(max_grad_norm, step.grad_norm)
        if on_progress is not None:
            on_progress(step.step, steps)
    return Recall(before, *_measured(model, delay, seed), max_grad_norm)


def check_forget_bias(forget_bias: float) -> None:
    """Raises SettingError unless the bias is in range."""
    if not abs(forget_bias) <= MAX_FORGET_BIAS:  # neither is NaN
        raise SettingError(f"--forget-bias: must be from {-MAX_FORGET_BIAS:g} to {MAX_FORGET_BIAS:g} ({forget_bias:g})")


def _new_model(cell: CellName, *, forget_bias: float, seed: int) -> RecurrentLM:
    config = ModelConfig(NUM_SYMBOLS, cell, HIDDEN_SIZE, num_layers=1, embedding_size=EMBEDDING_SIZE)
    model = RecurrentLM(config, torch.Generator().manual_seed(seed))
    open_gates_(model, bias=forget_bias)
    return model


def _measured(model: RecurrentLM, delay: int, seed: int) -> tuple[GradientFlow, float]:
    """Returns the gradient by lag, and the share of sequences whose cue is recalled, at the longest delay.

    It is computed in float64, because the gradient of a plain RNN vanishes from float32 altogether.
    """
    model = copy.deepcopy(model).double()
    rng = np.random.default_rng((seed, delay))
    tokens = recall_sequences(rng, delay=delay, count=NUM_MEASURED)
    rows = Rows(tokens, np.full(NUM_MEASURED, delay + 1), tokens[:, 0], np.zeros(NUM_MEASURED, np.int64))
    with torch.no_grad():
        logits, _ = model(torch.from_numpy(tokens), model.initial_state(torch.from_numpy(rows.labels)))
    is_recalled = logits[:, -1].argmax(1).numpy() == rows.targets
    return summary(*norms_by_lag(model, rows, lags=delay)), float(is_recalled.mean())
