"""One optimiser step after another: truncated back-propagation through time with carried, detached state.

Everything that decides what comes next is in `state_dict`, so a run that goes on from there is the same run bit for
bit, on the same device. If the loss stops being finite or climbs above chance, the trainer goes back to its last
snapshot and halves the learning rate; snapshots stand at fixed steps, so that this too is the same after a resume.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gen.config import TrainingConfig
from gen.data.batches import IGNORED, Batch, Batches
from gen.errors import TrainingError
from gen.models.recurrent import RecurrentLM, State, cross_entropy_sum, detached

SNAPSHOT_STEPS = 25
MAX_ROLLBACKS = 10
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


class Trainer:
    """Trains a model on batches until a limit of its config is reached.

    Args:
        model: on its device; trained in place.
        batches: what to read.
        config: rates and limits.
        clock: seconds; only differences count.
    """

    def __init__(
        self,
        model: RecurrentLM,
        batches: Batches,
        config: TrainingConfig,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.model = model
        self.config = config
        self.place = Place()
        self._batches = batches
        self._clock = clock
        self._device = model.embedding.weight.device
        self._optimizer = torch.optim.AdamW(
            _parameter_groups(model, config.weight_decay),
            lr=config.learning_rate,
            betas=(0.9, 0.99),
            fused=self._device.type in ("cpu", "cuda"),
        )
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=config.precision == "fp16")
        self._generator = torch.Generator(self._device).manual_seed(config.seed)
        self._memory = model.initial_state(torch.zeros(config.batch_size, dtype=torch.long, device=self._device)).memory
        self._memory = tuple(m.detach() for m in self._memory)
        self._snapshot: tuple[dict[str, Tensor], Place] | None = None

    def run(self) -> Iterator[Step]:
        """Yields every step until a limit is reached. The time between two steps counts as the run's."""
        before = self._clock()
        while self.progress() < 1.0:
            step = self._advance()
            now = self._clock()
            self.place.seconds, before = self.place.seconds + now - before, now
            yield step

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
        """Returns tensors (copies) and JSON data: with the same batches and config, all that the run needs to go on."""
        return self._tensors(), {name: getattr(self.place, name) for name in Place.__slots__}

    def load_state_dict(self, tensors: Mapping[str, Tensor], place: Mapping[str, Any]) -> None:
        """Takes over what `state_dict` returned. Raises KeyError or RuntimeError if it is another model's."""
        self._load(tensors, Place(**place))

    def _advance(self) -> Step:
        if self._snapshot is None or self.place.step % SNAPSHOT_STEPS == 0:
            self._snapshot = (self._tensors(), _copied(self.place))
        rate = self._learning_rate()
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        batch = self._batches.batch(self.place.epoch, self.place.window)
        loss_sum, num_tokens = self._loss(batch)
        loss = loss_sum / max(1, num_tokens)
        grad_norm = self._update(loss)
        loss_nats = loss.item()
        remark = self._guard(loss_nats, grad_norm)
        if remark is None:
            self._move_on(num_tokens)
        return Step(self.place.step, loss_nats, num_tokens, rate, grad_norm, remark)

    def _loss(self, batch: Batch) -> tuple[Tensor, int]:
        """Returns the summed nats of a batch, and of how many tokens; carries the memory on."""
        inputs, targets, is_fresh, labels = (torch.from_numpy(part).to(self._device) for part in batch)
        start = self.model.initial_state(labels)
        memory = tuple(
            torch.where(is_fresh[None, :, None], fresh, carried)
            for fresh, carried in zip(start.memory, self._memory, strict=True)
        )
        with self.autocast():
            logits, state = self.model(inputs, State(memory, start.condition), self._generator)
        self._memory = detached(state).memory
        return cross_entropy_sum(logits, targets), int((batch.targets != IGNORED).sum())

    def _update(self, loss: Tensor) -> float:
        """Takes one step of the optimiser; returns the norm of the gradient before clipping."""
        self._optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(self._scaler.scale(loss))
        self._scaler.unscale_(self._optimizer)
        grad_norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm, foreach=True)
        self._scaler.step(self._optimizer)
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
        assert self._snapshot is not None
        at, num_rollbacks = self.place.step, self.place.num_rollbacks + 1
        if num_rollbacks > MAX_ROLLBACKS:
            raise TrainingError(
                f"step {at}: the loss {what} after {MAX_ROLLBACKS} rollbacks (--lr {self.config.learning_rate:g})",
                hint="try a lower --lr; the best checkpoint so far is kept",
            )
        tensors, place = self._snapshot
        seconds, rate_scale = self.place.seconds, self.place.rate_scale / 2
        self._load(tensors, place)
        self.place.seconds, self.place.rate_scale, self.place.num_rollbacks = seconds, rate_scale, num_rollbacks
        self._snapshot = (self._tensors(), _copied(self.place))
        rate = self.config.learning_rate * rate_scale
        return f"step {at}: the loss {what}; back to step {place.step} with a rate of {rate:.2g}"

    def _move_on(self, num_tokens: int) -> None:
        place = self.place
        place.step += 1
        place.tokens += num_tokens
        place.window += 1
        if place.window == self._batches.num_windows(place.epoch):
            place.epoch, place.window = place.epoch + 1, 0

    def _learning_rate(self) -> float:
        """Linear warm-up, then half a cosine down to nought (Loshchilov & Hutter 2017)."""
        warm_up = min(1.0, (self.place.step + 1) / max(1, self.config.warmup_steps))
        decay = 0.5 * (1 + math.cos(math.pi * self.progress()))
        return self.config.learning_rate * self.place.rate_scale * warm_up * decay

    def autocast(self) -> torch.autocast:
        """Returns the context in which the model computes in the precision of the config."""
        dtype = DTYPES.get(self.config.precision)
        return torch.autocast(self._device.type, dtype or torch.bfloat16, enabled=dtype is not None)

    def _tensors(self) -> dict[str, Tensor]:
        tensors = {f"model.{name}": p.detach().clone() for name, p in self.model.named_parameters()}
        for name, parameter in self.model.named_parameters():
            for key, value in self._optimizer.state.get(parameter, {}).items():
                tensors[f"optimizer.{key}.{name}"] = value.detach().clone()
        tensors |= {f"memory.{n}": m.clone() for n, m in enumerate(self._memory)}
        tensors["generator"] = self._generator.get_state()
        for key, value in self._scaler.state_dict().items():
            tensors[f"scaler.{key}"] = torch.tensor(value, dtype=torch.float64)
        return tensors

    def _load(self, tensors: Mapping[str, Tensor], place: Place) -> None:
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                parameter.copy_(tensors[f"model.{name}"])
                self._optimizer.state.pop(parameter, None)
                keys = [key for key in ("step", "exp_avg", "exp_avg_sq") if f"optimizer.{key}.{name}" in tensors]
                if keys:
                    state = {key: tensors[f"optimizer.{key}.{name}"].clone().to(self._device) for key in keys}
                    self._optimizer.state[parameter] = state
        memory = tuple(tensors[f"memory.{n}"].clone().to(self._device) for n in range(len(self._memory)))
        if any(new.shape != old.shape for new, old in zip(memory, self._memory, strict=True)):
            raise RuntimeError(f"memory is of shape {tuple(memory[0].shape)}, not {tuple(self._memory[0].shape)}")
        self._memory = memory
        self._generator.set_state(tensors["generator"].cpu())
        scaler = {key: tensors[f"scaler.{key}"].item() for key in self._scaler.state_dict()}
        self._scaler.load_state_dict(scaler)
        self.place = _copied(place)


def _copied(place: Place) -> Place:
    return Place(*(getattr(place, name) for name in Place.__slots__))


def _parameter_groups(model: RecurrentLM, weight_decay: float) -> list[dict[str, Any]]:
    """Decays matrices only: biases and embeddings have no scale to hold down."""
    decayed = [p for n, p in model.named_parameters() if p.dim() > 1 and "embedding" not in n]
    others = [p for n, p in model.named_parameters() if p.dim() <= 1 or "embedding" in n]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
