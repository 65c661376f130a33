"""The training loop: truncated back-propagation through time with carried, detached state.

The trainer sets the learning rate and the dropout of each step, and `gen.training.step` takes it. Everything that later
steps depend on is in `state_dict`, so a run that is resumed from there on the same device equals the uninterrupted run
bit for bit. If the loss stops being finite or climbs above chance, the trainer goes back to its last snapshot and
halves the learning rate. Snapshots are taken at fixed steps, so that a resumed run goes back to the same ones.

To read a loss is to wait for the device. On a CPU that is at every step; a GPU is given steps up to the next snapshot
(gen.training.captured).

A batch may be shared by several processes, and each may run its rows in several parts, one after the other. So the run
is the same up to the rounding of sums, and may be resumed with another number of processes or parts.
"""

import math
import operator
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from gen.config import TrainingConfig
from gen.errors import TrainingError
from gen.kernels.pool import one_torch_thread
from gen.models.sequence_model import SequenceModel
from gen.training.allocation import keep_freed_memory
from gen.training.captured import CapturedStep, can_capture
from gen.training.distributed import ALONE, Peers
from gen.training.dropout import choose_dropout
from gen.training.step import DTYPES, OptimizerStep, Pace, TrainingBatch

SNAPSHOT_STEPS = 25
MAX_ROLLBACKS = 10
MIN_CHANGE = 0.05  # of dropout: less is not worth a remark
PLAIN_FROM = 0.8  # share of a run; epochs that begin later are read without variations
LOSS_MEMORY = 0.95  # weight of the past in the running mean that the divergence guard watches


class TrainingBatches(Protocol):
    """The batches of a corpus, by epoch and number, such as `gen.data.batches.Batches`."""

    def num_windows(self, epoch: int) -> int: ...
    def batch(self, epoch: int, window: int, *, is_plain: bool = False) -> TrainingBatch: ...


class Step(NamedTuple):
    """The outcome of an optimiser step, or of a few whose losses were read together."""

    step: int  # the number of steps so far
    loss_nats: float  # mean per target
    num_targets: int
    num_tokens: int  # that were read
    learning_rate: float  # of the last step
    grad_norm: float  # before clipping, the largest
    remark: str | None  # why the trainer rolled back and to which step, or which setting has changed; else None
    is_rolled_back: bool


@dataclass(slots=True)
class TrainingPosition:
    """The progress of a run, apart from tensors: a checkpoint saves it with `Trainer.state_dict`'s tensors."""

    step: int = 0
    epoch: int = 0
    window: int = 0  # the next one, in the epoch
    tokens: int = 0  # that were read, in all epochs
    seconds: float = 0.0
    rate_scale: float = 1.0  # halved at every rollback
    num_rollbacks: int = 0
    running_nats: float | None = None  # running mean of the loss, for the divergence guard
    best_running_nats: float = math.inf
    is_plain: bool = False  # whether the epoch is read without variations
    dropout: float | None = None  # since it was chosen anew; None for that of the model's config


class Trainer:
    """Trains a model on batches until a limit of the config is reached: steps, epochs or minutes.

    Args:
        model: on its device; trained in place.
        batches: the order in which the corpus is read.
        config: rates and limits.
        clock: returns seconds since any fixed time.
        peers: the processes that train this model, each with a trainer of its own and the same weights.
    """

    def __init__(
        self,
        model: SequenceModel,
        batches: TrainingBatches,
        config: TrainingConfig,
        *,
        clock: Callable[[], float] = time.monotonic,
        peers: Peers = ALONE,
    ) -> None:
        keep_freed_memory()
        self.model = model
        self.config = config
        self.position = TrainingPosition()
        self.was_stopped = False
        self._is_asked_to_stop = False
        self._peers = peers
        self._rows = peers.rows(config.batch_size)  # the rows of each batch that this process runs
        self._batches = batches
        self._clock = clock
        self._clock_was = 0.0
        self._parameters = list(model.parameters())
        kind = CapturedStep if can_capture(model, config, peers.size) else OptimizerStep
        self._step = kind(model, config, self._rows, self._summed)
        self._snapshot: dict[str, Tensor] = {}
        self._snapshot_position: TrainingPosition | None = None

    def run(self) -> Iterator[Step]:
        """Takes steps until a limit is reached or the run is stopped, and yields each; on a GPU some at a time.

        The time that the caller takes between two steps counts as time of the run.
        """
        self._clock_was = self._clock()
        while self.progress() < 1.0 and not self.was_stopped:
            with self.threads():
                step = self._take_burst()
            yield step

    def stop(self) -> None:
        """Ends the run after the step that is under way; may be called from a signal handler, of any process."""
        self._is_asked_to_stop = True

    def is_stopping(self) -> bool:
        """Returns whether the run was asked to stop."""
        return self._peers.any(self._is_asked_to_stop)

    def progress(self) -> float:
        """Returns the share of the run that is done, 0 to 1, by the nearest limit; 0 without a limit."""
        position, config = self.position, self.config
        shares = [0.0]
        if config.steps is not None:
            shares.append(position.step / config.steps if config.steps else 1.0)
        if config.epochs is not None:
            shares.append(self.epochs() / config.epochs if config.epochs else 1.0)
        if config.minutes is not None:
            shares.append(position.seconds / (60 * config.minutes) if config.minutes else 1.0)
        return min(1.0, max(shares))

    def epochs(self) -> float:
        """Returns the number of times that the corpus was read, with the part of the present epoch."""
        return self.position.epoch + self.position.window / self._batches.num_windows(self.position.epoch)

    def dropout(self) -> float:
        """Returns the present rate of dropout."""
        return self.model.config.dropout if self.position.dropout is None else self.position.dropout

    def state_dict(self) -> tuple[dict[str, Tensor], TrainingPosition]:
        """Returns copies of all tensors, and the position: with the same batches and config, the whole state."""
        tensors = self._step.tensors()
        for n, memory in enumerate(self._step.memory):
            tensors[f"memory.{n}"] = self._peers.gathered(memory, self.config.batch_size)
        return {name: tensor.clone() for name, tensor in tensors.items()}, replace(self.position)

    def load_state_dict(self, tensors: Mapping[str, Tensor], position: TrainingPosition) -> None:
        """Restores what `state_dict` returned. Raises KeyError, RuntimeError or TypeError if the model was another."""
        ours = {}
        for n, memory in enumerate(self._step.memory):
            whole = tensors[f"memory.{n}"]
            expected = (memory.shape[0], self.config.batch_size, memory.shape[2])
            if whole.shape != expected:
                raise RuntimeError(f"memory is of shape {tuple(whole.shape)}, not {expected}")
            ours[f"memory.{n}"] = whole[:, self._rows]
        self._load({**tensors, **ours}, position)
        self._snapshot_position = None

    def _take_burst(self) -> Step:
        """Takes steps up to one whose loss is read, or goes back to the last snapshot if the loss has diverged."""
        position, first = self.position, self.position.step
        if self._snapshot_position is None or first % SNAPSHOT_STEPS == 0:
            self._take_snapshot()
        outcomes: list[Tensor] = []
        num_targets: list[int] = []
        num_tokens, rate, remark, is_over = 0, 0.0, None, False
        while not is_over:
            rate = self._learning_rate()
            batch = self._batches.batch(position.epoch, position.window, is_plain=position.is_plain)
            outcomes.append(self._step.take(batch, Pace(position.step, rate, self.dropout())))
            num_targets.append(batch.num_targets)
            num_tokens += batch.num_tokens
            remark = self._move_on(batch.num_tokens)
            is_regular = position.step % SNAPSHOT_STEPS == 0 or self.progress() >= 1
            is_over = self._step.is_waited_for or is_regular or remark is not None
        losses, norms = zip(*torch.stack(outcomes).tolist(), strict=True)  # waits for the device
        trouble = self._guard(first, losses, norms)
        return Step(
            self.position.step,
            math.fsum(map(operator.mul, losses, num_targets)) / max(1, sum(num_targets)),
            sum(num_targets),
            num_tokens,
            rate,
            max(norms),
            trouble or remark,
            trouble is not None,
        )

    def _summed(self, loss: Tensor) -> Tensor:
        """Adds the gradients and the loss over all processes, and the time since the last call; returns the sum."""
        loss, seconds, self.was_stopped = self._peers.sum_step_(
            self._parameters, loss, seconds=self._lap(), is_stopping=self._is_asked_to_stop
        )
        self.position.seconds += seconds
        return loss

    def _lap(self) -> float:
        """Returns the seconds since the last call."""
        before, self._clock_was = self._clock_was, self._clock()
        return self._clock_was - before

    def _guard(self, first: int, losses: Sequence[float], norms: Sequence[float]) -> str | None:
        """Goes back to the snapshot if the loss has diverged; returns a remark on it, or None.

        Args:
            first: the number of steps before them.
            losses, norms: of steps one after another.
        """
        position, chance = self.position, self.model.chance_nats()
        for step, (loss, norm) in enumerate(zip(losses, norms, strict=True), first):
            before = position.running_nats
            running = loss if before is None else LOSS_MEMORY * before + (1 - LOSS_MEMORY) * loss
            # With fp16 the scaler skips steps whose gradient overflows: only the loss tells.
            if not math.isfinite(loss) or not (math.isfinite(norm) or self.config.precision == "fp16"):
                return self._roll_back(step, "is not finite")
            if running > 1.2 * chance and running > 1.5 * position.best_running_nats:
                return self._roll_back(step, f"has risen to {running:.2f} nats")
            position.running_nats = running
            position.best_running_nats = min(position.best_running_nats, running)
        return None

    def _roll_back(self, at: int, what: str) -> str:
        """Restores the snapshot and halves the rate; returns a remark that says so. `what` is wrong at a step."""
        assert self._snapshot_position is not None
        num_rollbacks = self.position.num_rollbacks + 1
        if num_rollbacks > MAX_ROLLBACKS:
            error = TrainingError(
                f"step {at}: the loss {what} after {MAX_ROLLBACKS} rollbacks (--lr {self.config.learning_rate:g})",
                hint="try a lower --lr; the best checkpoint so far is kept",
            )
            raise self._peers.told_once(error)
        rate_scale = self.position.rate_scale / 2
        position = replace(
            self._snapshot_position, seconds=self.position.seconds, rate_scale=rate_scale, num_rollbacks=num_rollbacks
        )
        self._load(self._snapshot, position)
        self._snapshot_position = replace(self.position)
        rate = self.config.learning_rate * rate_scale
        return f"step {at}: the loss {what}; back to step {position.step} with a rate of {rate:.2g}"

    def _move_on(self, num_tokens: int) -> str | None:
        """Moves the position to the next window, of the next epoch if this one ends; returns a remark, or None."""
        position = self.position
        position.step += 1
        position.tokens += num_tokens
        position.window += 1
        if position.window == self._batches.num_windows(position.epoch):
            position.epoch, position.window = position.epoch + 1, 0
            position.is_plain = self.progress() >= PLAIN_FROM
            return self._follow_speed() if self.config.follows_speed else None
        return None

    def _follow_speed(self) -> str | None:
        """Chooses the dropout anew if the corpus will be read more or less often than expected; returns a remark."""
        progress = self.progress()
        if self.config.minutes is None or not 0.0 < progress < 1.0:
            return None
        readings = self.epochs() / progress
        rate = choose_dropout(readings, self.model.num_parameters(), is_varied=self.config.augment)
        if abs(rate - self.dropout()) < MIN_CHANGE:
            return None
        self.position.dropout = rate
        return f"the corpus will be read about {readings:.1f} times in all; dropout is now {rate:g}"

    def _learning_rate(self) -> float:
        """Returns the rate of this step: linear warm-up, then half a cosine to zero (Loshchilov & Hutter 2017)."""
        warm_up = min(1.0, (self.position.step + 1) / max(1, self.config.warmup_steps))
        decay = 0.5 * (1 + math.cos(math.pi * self.progress()))
        return self.config.learning_rate * self.position.rate_scale * warm_up * decay

    def autocast(self) -> torch.autocast:
        """Returns the context in which the model computes in the precision of the config."""
        return self._step.autocast()

    def threads(self) -> AbstractContextManager[None]:
        """Returns the context that holds torch to one thread if the kernels run the model on threads of their own."""
        dtype = DTYPES.get(self.config.precision, torch.float32)
        return one_torch_thread() if self.model.has_kernels(dtype) else nullcontext()

    def _take_snapshot(self) -> None:
        """Copies the state for a rollback into the last snapshot's memory: new memory costs more than the copies."""
        kept = self._snapshot
        self._snapshot = {
            name: kept[name].copy_(tensor) if name in kept else tensor.clone()
            for name, tensor in self._step.tensors().items()
        }
        self._snapshot_position = replace(self.position)

    def _load(self, tensors: Mapping[str, Tensor], position: TrainingPosition) -> None:
        self._step.load_(tensors)
        self.position = replace(position)
