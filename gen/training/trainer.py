"""The training loop: truncated back-propagation through time with carried, detached state.

`Trainer._take_step` is one optimiser step from top to bottom. Everything that later steps depend on is in `state_dict`,
so a run that is resumed from there on the same device equals the uninterrupted run bit for bit. If the loss stops being
finite or climbs above chance, the trainer goes back to its last snapshot and halves the learning rate. Snapshots are
taken at fixed steps, so that a resumed run goes back to the same ones.

A batch may be shared by several processes, and each may run its rows in several parts, one after the other. Rows meet
only in the sum of their gradients. So the run is the same up to the rounding of sums, and may be resumed with another
number of processes or parts.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple, Protocol, cast

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gen.config import TrainingConfig
from gen.errors import TrainingError
from gen.kernels.pool import one_torch_thread
from gen.models.cells import Memory
from gen.models.dropout import Draws
from gen.models.sequence_model import SequenceModel
from gen.training.allocation import keep_freed_memory
from gen.training.distributed import ALONE, Peers
from gen.training.dropout import choose_dropout
from gen.training.optimizer import STATE_NAMES, optimizers

SNAPSHOT_STEPS = 25
MAX_ROLLBACKS = 10
MIN_CHANGE = 0.05  # of dropout: less is not worth a remark
PLAIN_FROM = 0.8  # share of a run; epochs that begin later are read without variations
LOSS_MEMORY = 0.95  # weight of the past in the running mean that the divergence guard watches
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class TrainingBatch(Protocol):
    """Some rows of a corpus side by side, such as `gen.data.batches.Batch`."""

    @property
    def num_targets(self) -> int: ...
    @property
    def num_tokens(self) -> int: ...
    def arrays(self) -> tuple[NDArray[Any], ...]: ...
    def rows(self, rows: slice) -> "TrainingBatch": ...


class TrainingBatches(Protocol):
    """The batches of a corpus, by epoch and number, such as `gen.data.batches.Batches`."""

    def num_windows(self, epoch: int) -> int: ...
    def batch(self, epoch: int, window: int, *, is_plain: bool = False) -> TrainingBatch: ...


class Step(NamedTuple):
    """The outcome of one optimiser step."""

    step: int
    loss_nats: float  # mean per target of the batch
    num_targets: int
    num_tokens: int  # that were read
    learning_rate: float
    grad_norm: float  # before clipping
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
        self._parts = _parts(self._rows.stop - self._rows.start, config.accumulate)  # run one after the other
        self._batches = batches
        self._clock = clock
        self._clock_was = 0.0
        self._parameters = list(model.parameters())
        self._device = model.device
        self._optimizers = optimizers(model, config)
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=config.precision == "fp16")
        self._generator = torch.Generator(self._device).manual_seed(config.seed)
        self._memory = model.initial_memory(self._rows.stop - self._rows.start)  # of this process's rows, carried on
        self._snapshot: dict[str, Tensor] = {}
        self._snapshot_position: TrainingPosition | None = None

    def run(self) -> Iterator[Step]:
        """Takes steps until a limit is reached or the run is stopped, and yields each.

        The time that the caller takes between two steps counts as time of the run.
        """
        self._clock_was = self._clock()
        while self.progress() < 1.0 and not self.was_stopped:
            with self.threads():
                step = self._take_step()
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
        tensors = self._tensors()
        for n, memory in enumerate(self._memory):
            tensors[f"memory.{n}"] = self._peers.gathered(memory, self.config.batch_size)
        return {name: tensor.clone() for name, tensor in tensors.items()}, replace(self.position)

    def load_state_dict(self, tensors: Mapping[str, Tensor], position: TrainingPosition) -> None:
        """Restores what `state_dict` returned. Raises KeyError, RuntimeError or TypeError if the model was another."""
        ours = {}
        for n, memory in enumerate(self._memory):
            whole = tensors[f"memory.{n}"]
            expected = (memory.shape[0], self.config.batch_size, memory.shape[2])
            if whole.shape != expected:
                raise RuntimeError(f"memory is of shape {tuple(whole.shape)}, not {expected}")
            ours[f"memory.{n}"] = whole[:, self._rows]
        self._load({**tensors, **ours}, position)
        self._snapshot_position = None

    def _take_step(self) -> Step:
        """Takes one optimiser step, or goes back to the last snapshot if the loss has diverged."""
        position = self.position
        if self._snapshot_position is None or position.step % SNAPSHOT_STEPS == 0:
            self._take_snapshot()
        rate = self._learning_rate()
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * group["share"]
        batch = self._batches.batch(position.epoch, position.window, is_plain=position.is_plain)
        for parameter in self._parameters:
            parameter.grad = None
        # Sums gradients and loss over all processes; with one process it returns its arguments.
        loss, seconds, self.was_stopped = self._peers.sum_step_(
            self._parameters, self._backward(batch), seconds=self._lap(), is_stopping=self._is_asked_to_stop
        )
        grad_norm = self._update()
        loss_nats = loss.item()
        position.seconds += seconds
        remark = self._guard(loss_nats, grad_norm)
        is_rolled_back = remark is not None
        if not is_rolled_back:
            remark = self._move_on(batch.num_tokens)
        return Step(
            self.position.step,
            loss_nats,
            batch.num_targets,
            batch.num_tokens,
            rate,
            grad_norm,
            remark,
            is_rolled_back,
        )

    def _lap(self) -> float:
        """Returns the seconds since the last call."""
        before, self._clock_was = self._clock_was, self._clock()
        return self._clock_was - before

    def _backward(self, batch: TrainingBatch) -> Tensor:
        """Adds the gradient of this process's rows to `grad` of the weights, and keeps the memory for the next window.

        Returns:
            () the share of the loss: the summed nats of this process's rows, divided by the targets of all rows.
        """
        losses: list[Tensor] = []
        memories: list[Memory] = []
        drawn = self._generator.get_state()
        for part in self._parts:
            self._generator.set_state(drawn)  # every part draws the masks of all rows, and uses those of its own
            rows = slice(self._rows.start + part.start, self._rows.start + part.stop)
            draws = Draws(self._generator, self.config.batch_size, rows, self.dropout())
            loss_sum, memory = self._loss(batch.rows(rows), part, draws)
            loss = loss_sum / max(1, batch.num_targets)
            torch.autograd.backward(self._scaler.scale(loss))  # the scale is 1 except in fp16
            losses.append(loss.detach())
            memories.append(memory)
        if len(self._parts) == 1:
            self._memory = memories[0]
            return losses[0]
        self._memory = tuple(torch.cat(parts, 1) for parts in zip(*memories, strict=True))
        return torch.stack(losses).sum()

    def _loss(self, batch: TrainingBatch, part: slice, draws: Draws) -> tuple[Tensor, Memory]:
        """Returns the summed nats of the rows of `batch`, and their detached memory after the window.

        Args:
            batch: some rows of a batch.
            part: the same rows, counted in the rows of this process.
            draws: the random numbers of the dropout masks.
        """
        tensors = [torch.from_numpy(array).to(self._device) for array in batch.arrays()]
        with self.autocast():
            return self.model.loss(tensors, tuple(carried[:, part] for carried in self._memory), draws)

    def _update(self) -> float:
        """Clips the gradient and changes the weights; returns the norm of the gradient before clipping."""
        for optimizer in self._optimizers:
            self._scaler.unscale_(cast(torch.optim.Optimizer, optimizer))
        grad_norm = nn.utils.clip_grad_norm_(self._parameters, self.config.clip_norm, foreach=True)
        for optimizer in self._optimizers:
            self._scaler.step(cast(torch.optim.Optimizer, optimizer))
        self._scaler.update()
        return float(grad_norm)

    def _guard(self, loss_nats: float, grad_norm: float) -> str | None:
        """Goes back to the snapshot if the loss has diverged; returns a remark on it, or None."""
        position = self.position
        running = loss_nats
        if position.running_nats is not None:
            running = LOSS_MEMORY * position.running_nats + (1 - LOSS_MEMORY) * loss_nats
        # With fp16 the scaler skips steps whose gradient overflows: only the loss tells.
        is_finite = math.isfinite(loss_nats) and (math.isfinite(grad_norm) or self.config.precision == "fp16")
        chance = self.model.chance_nats()
        has_exploded = running > 1.2 * chance and running > 1.5 * position.best_running_nats
        if is_finite and not has_exploded:
            position.running_nats = running
            position.best_running_nats = min(position.best_running_nats, running)
            return None
        return self._roll_back("is not finite" if not is_finite else f"has risen to {running:.2f} nats")

    def _roll_back(self, what: str) -> str:
        """Restores the snapshot and halves the rate; returns a remark that says so. `what` is wrong with the loss."""
        assert self._snapshot_position is not None
        at, num_rollbacks = self.position.step, self.position.num_rollbacks + 1
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
        dtype = DTYPES.get(self.config.precision)
        return torch.autocast(self._device.type, dtype or torch.bfloat16, enabled=dtype is not None)

    def threads(self) -> AbstractContextManager[None]:
        """Returns the context that holds torch to one thread if the kernels run the model on threads of their own."""
        dtype = DTYPES.get(self.config.precision, torch.float32)
        return one_torch_thread() if self.model.has_kernels(dtype) else nullcontext()

    def _take_snapshot(self) -> None:
        """Copies the state for a rollback into the last snapshot's memory: new memory costs more than the copies."""
        kept = self._snapshot
        self._snapshot = {
            name: kept[name].copy_(tensor) if name in kept else tensor.clone()
            for name, tensor in self._tensors().items()
        }
        self._snapshot_position = replace(self.position)

    def _tensors(self) -> dict[str, Tensor]:
        """Returns the tensors of this process's state, not copied."""
        tensors: dict[str, Tensor] = {}
        for name, parameter in self.model.named_parameters():
            tensors[f"model.{name}"] = parameter.detach()
            for optimizer in self._optimizers:
                for key, value in optimizer.state.get(parameter, {}).items():
                    tensors[f"optimizer.{key}.{name}"] = value.detach()
        tensors |= {f"memory.{n}": memory for n, memory in enumerate(self._memory)}
        tensors["generator"] = self._generator.get_state()
        for key, value in self._scaler.state_dict().items():
            tensors[f"scaler.{key}"] = torch.tensor(value, dtype=torch.float64)
        return tensors

    def _load(self, tensors: Mapping[str, Tensor], position: TrainingPosition) -> None:
        names = {parameter: name for name, parameter in self.model.named_parameters()}
        with torch.no_grad():
            for parameter, name in names.items():
                parameter.copy_(tensors[f"model.{name}"])
        for optimizer in self._optimizers:
            optimizer.state.clear()
            for parameter in (p for group in optimizer.param_groups for p in group["params"]):
                for key in STATE_NAMES:
                    if (value := tensors.get(f"optimizer.{key}.{names[parameter]}")) is not None:
                        optimizer.state.setdefault(parameter, {})[key] = value.clone().to(self._device)
        self._memory = tuple(tensors[f"memory.{n}"].clone().to(self._device) for n in range(len(self._memory)))
        self._generator.set_state(tensors["generator"].cpu())
        scaler = {key: tensors[f"scaler.{key}"].item() for key in self._scaler.state_dict()}
        self._scaler.load_state_dict(scaler)
        self.position = replace(position)


def _parts(num_rows: int, num_parts: int) -> list[slice]:
    """Returns rows cut into parts whose sizes differ by one at most."""
    bounds = [num_rows * n // num_parts for n in range(num_parts + 1)]
    return [slice(*pair) for pair in pairwise(bounds)]
