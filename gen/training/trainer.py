"""One optimiser step after another: truncated back-propagation through time with carried, detached state.

Everything that decides what comes next is in `state_dict`, so a run that goes on from there is the same run bit for
bit, on the same device. If the loss stops being finite or climbs above chance, the trainer goes back to its last
snapshot and halves the learning rate; snapshots stand at fixed steps, so that this too is the same after a resume.

A batch may be run by several processes, and by each of them in several parts, one after the other: rows never meet but
in the gradient, which is summed. So it is the same run, up to the rounding of sums, and a run that was begun one way
may go on another way.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from gen.config import TrainingConfig
from gen.data.batches import Batch, Batches
from gen.errors import TrainingError
from gen.models.recurrent import Draws, RecurrentLM, State, detached
from gen.training.allocation import keep_freed_memory
from gen.training.distributed import ALONE, Peers
from gen.training.optimizer import STATE_NAMES, optimizers

SNAPSHOT_STEPS = 25
MAX_ROLLBACKS = 10
PLAIN_FROM = 0.8  # of a run: epochs that begin later are read as the corpus is
LOSS_MEMORY = 0.95  # of the running mean that the divergence guard watches
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Step(NamedTuple):
    """What one optimiser step did."""

    step: int
    loss_nats: float  # mean per token of this step's batch
    num_tokens: int
    learning_rate: float
    grad_norm: float  # before clipping
    remark: str | None  # what went wrong and was mended, in words


@dataclass(slots=True)
class Place:
    """Where a run stands: the integers and floats that a checkpoint keeps."""

    step: int = 0
    epoch: int = 0
    window: int = 0
    tokens: int = 0
    seconds: float = 0.0
    rate_scale: float = 1.0  # halved at every rollback
    num_rollbacks: int = 0
    running_nats: float | None = None
    best_running_nats: float = math.inf
    is_plain: bool = False  # whether the epoch is read without variations


class Trainer:
    """Trains a model on batches until a limit of its config is reached.

    Args:
        model: on its device; trained in place.
        batches: what to read.
        config: rates and limits.
        clock: seconds; only differences count, and of several processes' clocks only that of the first.
        peers: the processes that train this model; the model of each is at the same weights.
    """

    def __init__(
        self,
        model: RecurrentLM,
        batches: Batches,
        config: TrainingConfig,
        *,
        clock: Callable[[], float] = time.monotonic,
        peers: Peers = ALONE,
    ) -> None:
        keep_freed_memory()
        self.model = model
        self.config = config
        self.place = Place()
        self.was_stopped = False
        self.is_asked_to_stop = False
        self._peers = peers
        self._rows = peers.rows(config.batch_size)  # of a batch, that are run here
        self._parts = _parts(self._rows.stop - self._rows.start, config.accumulate)
        self._batches = batches
        self._clock = clock
        self._clock_was = 0.0
        self._parameters = list(model.parameters())
        self._device = model.embedding.weight.device
        self._optimizers = optimizers(model, config)
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=config.precision == "fp16")
        self._generator = torch.Generator(self._device).manual_seed(config.seed)
        no_labels = torch.zeros(self._rows.stop - self._rows.start, dtype=torch.long, device=self._device)
        self._memory = detached(model.initial_state(no_labels)).memory  # of the rows that are run here
        self._snapshot: dict[str, Tensor] = {}
        self._snapshot_place: Place | None = None

    def run(self) -> Iterator[Step]:
        """Yields every step until a limit is reached or the run is stopped. The time between two steps counts too."""
        self._clock_was = self._clock()
        while self.progress() < 1.0 and not self.was_stopped:
            yield self._advance()

    def stop(self) -> None:
        """Ends the run, of all processes, after the step that is under way; may be called from a signal handler."""
        self.is_asked_to_stop = True

    def progress(self) -> float:
        """Returns how much of the run is done, 0 to 1, by the limit that is nearest; 0 when there is none."""
        place, config = self.place, self.config
        shares = [0.0]
        if config.steps is not None:
            shares.append(place.step / config.steps if config.steps else 1.0)
        if config.epochs is not None:
            shares.append(self.epochs() / config.epochs if config.epochs else 1.0)
        if config.minutes is not None:
            shares.append(place.seconds / (60 * config.minutes) if config.minutes else 1.0)
        return min(1.0, max(shares))

    def epochs(self) -> float:
        """Returns how many times the corpus was read."""
        return self.place.epoch + self.place.window / self._batches.num_windows(self.place.epoch)

    def state_dict(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Returns tensors (copies) and JSON data: with the same batches and config, all that the run needs to go on.

        Of several processes all call it, and get the same.
        """
        tensors = self._tensors()
        for n, memory in enumerate(self._memory):
            tensors[f"memory.{n}"] = self._peers.gathered(memory, self.config.batch_size)
        return {name: tensor.clone() for name, tensor in tensors.items()}, asdict(self.place)

    def load_state_dict(self, tensors: Mapping[str, Tensor], place: Mapping[str, Any]) -> None:
        """Takes over what `state_dict` returned. Raises KeyError or RuntimeError if it is another model's."""
        ours = {}
        for n, memory in enumerate(self._memory):
            whole = tensors[f"memory.{n}"]
            expected = (memory.shape[0], self.config.batch_size, memory.shape[2])
            if whole.shape != expected:
                raise RuntimeError(f"memory is of shape {tuple(whole.shape)}, not {expected}")
            ours[f"memory.{n}"] = whole[:, self._rows]
        self._load({**tensors, **ours}, Place(**place))
        self._snapshot_place = None

    def _advance(self) -> Step:
        if self._snapshot_place is None or self.place.step % SNAPSHOT_STEPS == 0:
            self._take_snapshot()
        rate = self._learning_rate()
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * group["share"]
        batch = self._batches.batch(self.place.epoch, self.place.window, is_plain=self.place.is_plain)
        for parameter in self._parameters:
            parameter.grad = None
        loss = self._backward(batch)
        if self._peers.size > 1:
            loss_nats, seconds, num_askers = self._add_up(loss)
            grad_norm = self._update()
        else:
            grad_norm = self._update()
            loss_nats, seconds, num_askers = loss.item(), self._lap(), self.is_asked_to_stop
        self.place.seconds += seconds
        self.was_stopped = num_askers > 0
        remark = self._guard(loss_nats, grad_norm)
        if remark is None:
            self._move_on(batch.num_targets)
        return Step(self.place.step, loss_nats, batch.num_targets, rate, grad_norm, remark)

    def _add_up(self, loss: Tensor) -> list[float]:
        """Adds up the gradients of all processes, and the loss, the first one's seconds, and how many ask to stop."""
        seconds = self._lap() if self._peers.is_first else 0.0
        return self._peers.sum_gradients_(self._parameters, loss, seconds, float(self.is_asked_to_stop))

    def _lap(self) -> float:
        """Returns the seconds since it was last called."""
        before, self._clock_was = self._clock_was, self._clock()
        return self._clock_was - before

    def _backward(self, batch: Batch) -> Tensor:
        """Leaves this process's share of the gradient with the weights; carries the memory on.

        Returns:
            () the share of the loss: the nats of this process's rows by the tokens of all.
        """
        losses, memories = [], []
        drawn = self._generator.get_state()
        for part in self._parts:
            self._generator.set_state(drawn)  # every part draws the masks of all rows, and takes its own
            rows = slice(self._rows.start + part.start, self._rows.start + part.stop)
            loss_sum, memory = self._loss(batch.rows(rows), part, Draws(self._generator, self.config.batch_size, rows))
            loss = loss_sum / max(1, batch.num_targets)
            torch.autograd.backward(self._scaler.scale(loss))
            losses.append(loss.detach())
            memories.append(memory)
        if len(self._parts) == 1:
            self._memory = memories[0]
            return losses[0]
        self._memory = tuple(torch.cat(parts, 1) for parts in zip(*memories, strict=True))
        return torch.stack(losses).sum()

    def _loss(self, batch: Batch, part: slice, draws: Draws) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Returns the summed nats of some rows, and their next memory."""
        inputs, targets, is_fresh, labels, is_varied = (
            torch.from_numpy(array).to(self._device) for array in batch[:-1]
        )
        start = self.model.initial_state(labels, is_varied)
        memory = tuple(
            torch.where(is_fresh[None, :, None], fresh, carried[:, part])
            for fresh, carried in zip(start.memory, self._memory, strict=True)
        )
        with self.autocast():
            nats, state = self.model.summed_nats(inputs, targets, State(memory, start.condition), draws)
        return nats, detached(state).memory

    def _update(self) -> float:
        """Takes one step of the optimiser; returns the norm of the gradient before clipping."""
        for optimizer in self._optimizers:
            self._scaler.unscale_(cast(torch.optim.Optimizer, optimizer))
        grad_norm = nn.utils.clip_grad_norm_(self._parameters, self.config.clip_norm, foreach=True)
        for optimizer in self._optimizers:
            self._scaler.step(cast(torch.optim.Optimizer, optimizer))
        self._scaler.update()
        return float(grad_norm)

    def _guard(self, loss_nats: float, grad_norm: float) -> str | None:
        """Goes back to the snapshot if the run has diverged; returns what it did, or None."""
        place = self.place
        running = loss_nats
        if place.running_nats is not None:
            running = LOSS_MEMORY * place.running_nats + (1 - LOSS_MEMORY) * loss_nats
        # With fp16 the scaler skips steps whose gradient overflows: only the loss tells.
        is_finite = math.isfinite(loss_nats) and (math.isfinite(grad_norm) or self.config.precision == "fp16")
        chance = math.log(self.model.config.vocab_size)
        has_exploded = running > 1.2 * chance and running > 1.5 * place.best_running_nats
        if is_finite and not has_exploded:
            place.running_nats = running
            place.best_running_nats = min(place.best_running_nats, running)
            return None
        return self._roll_back("is not finite" if not is_finite else f"has risen to {running:.2f} nats")

    def _roll_back(self, what: str) -> str:
        assert self._snapshot_place is not None
        at, num_rollbacks = self.place.step, self.place.num_rollbacks + 1
        with self._peers.together():
            if num_rollbacks > MAX_ROLLBACKS:
                raise TrainingError(
                    f"step {at}: the loss {what} after {MAX_ROLLBACKS} rollbacks (--lr {self.config.learning_rate:g})",
                    hint="try a lower --lr; the best checkpoint so far is kept",
                )
        place = self._snapshot_place
        seconds, rate_scale = self.place.seconds, self.place.rate_scale / 2
        self._load(self._snapshot, replace(place, seconds=seconds, rate_scale=rate_scale, num_rollbacks=num_rollbacks))
        self._snapshot_place = replace(self.place)
        rate = self.config.learning_rate * rate_scale
        return f"step {at}: the loss {what}; back to step {place.step} with a rate of {rate:.2g}"

    def _move_on(self, num_tokens: int) -> None:
        place = self.place
        place.step += 1
        place.tokens += num_tokens
        place.window += 1
        if place.window == self._batches.num_windows(place.epoch):
            place.epoch, place.window = place.epoch + 1, 0
            place.is_plain = self.progress() >= PLAIN_FROM

    def _learning_rate(self) -> float:
        """Linear warm-up, then half a cosine down to nought (Loshchilov & Hutter 2017)."""
        warm_up = min(1.0, (self.place.step + 1) / max(1, self.config.warmup_steps))
        decay = 0.5 * (1 + math.cos(math.pi * self.progress()))
        return self.config.learning_rate * self.place.rate_scale * warm_up * decay

    def autocast(self) -> torch.autocast:
        """Returns the context in which the model computes in the precision of the config."""
        dtype = DTYPES.get(self.config.precision)
        return torch.autocast(self._device.type, dtype or torch.bfloat16, enabled=dtype is not None)

    def _take_snapshot(self) -> None:
        """Keeps what a rollback needs, in the last snapshot's memory: fresh memory costs more than the copies."""
        kept = self._snapshot
        self._snapshot = {
            name: kept[name].copy_(tensor) if name in kept else tensor.clone()
            for name, tensor in self._tensors().items()
        }
        self._snapshot_place = replace(self.place)

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

    def _load(self, tensors: Mapping[str, Tensor], place: Place) -> None:
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
        self.place = replace(place)


def _parts(num_rows: int, num_parts: int) -> list[slice]:
    """Cuts rows into parts of the same size, or nearly."""
    bounds = [num_rows * n // num_parts for n in range(num_parts + 1)]
    return [slice(*pair) for pair in pairwise(bounds)]
