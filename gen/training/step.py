"""One optimiser step from top to bottom: loss, gradient, clipping, and the change of the weights.

A batch may be shared by several processes, and each may run its rows in several parts, one after the other. Rows meet
only in the sum of their gradients.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, Protocol, cast

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gen.config import TrainingConfig
from gen.models.cells import Memory
from gen.models.dropout import Draws
from gen.models.sequence_model import SequenceModel
from gen.training.optimizer import STATE_NAMES, Optimizer, optimizers

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class TrainingBatch(Protocol):
    """Some rows of a corpus side by side, such as `gen.data.batches.Batch`."""

    @property
    def num_targets(self) -> int: ...
    @property
    def num_tokens(self) -> int: ...
    def arrays(self) -> tuple[NDArray[Any], ...]: ...
    def rows(self, rows: slice) -> "TrainingBatch": ...


class Pace(NamedTuple):
    """The part of the schedule that a step follows."""

    step: int  # the number of steps before it
    rate: float  # of learning
    dropout: float


class OptimizerStep:
    """Takes steps on the rows of this process, and keeps what they carry from one batch to the next.

    Args:
        model: on its device; trained in place.
        config: the precision, the rows of a batch and the parts that they are run in.
        rows: those of each batch that this process runs.
        summed: called once a step with the loss, before the weights change: adds it, and the gradients, over all
            processes, and returns the sum.
    """

    is_waited_for = True  # whether a step is over when `take` returns

    def __init__(
        self, model: SequenceModel, config: TrainingConfig, rows: slice, summed: Callable[[Tensor], Tensor]
    ) -> None:
        self.optimizers: list[Optimizer] = optimizers(model, config)
        self.scaler = torch.amp.GradScaler(model.device.type, enabled=config.precision == "fp16")
        self.generator = torch.Generator(model.device).manual_seed(config.seed)
        self.memory = model.initial_memory(rows.stop - rows.start)  # carried on
        self._model, self._config, self._rows, self._summed = model, config, rows, summed
        self._parameters = list(model.parameters())
        self._parts = _parts(rows.stop - rows.start, config.accumulate)

    def take(self, batch: TrainingBatch, pace: Pace) -> Tensor:
        """Changes the weights.

        Returns:
            (2,) the mean nats of a target, and the norm of the gradient before it was clipped; on the model's device,
            which may still be at work.
        """
        set_pace(self.optimizers, pace.step, pace.rate)
        for parameter in self._parameters:
            parameter.grad = None
        loss = self._summed(self._backward(batch, pace.dropout))
        return torch.stack((loss, self._update()))

    def autocast(self) -> torch.autocast:
        """Returns the context in which the model computes in the precision of the config."""
        dtype = DTYPES.get(self._config.precision)
        return torch.autocast(self._model.device.type, dtype or torch.bfloat16, enabled=dtype is not None)

    def tensors(self) -> dict[str, Tensor]:
        """Returns the tensors that later steps depend on, not copied."""
        tensors: dict[str, Tensor] = {}
        for name, parameter in self._model.named_parameters():
            tensors[f"model.{name}"] = parameter.detach()
            for optimizer in self.optimizers:
                for key, value in optimizer.state.get(parameter, {}).items():
                    tensors[f"optimizer.{key}.{name}"] = value.detach()
        tensors |= {f"memory.{n}": memory for n, memory in enumerate(self.memory)}
        tensors["generator"] = self.generator.get_state()
        for key, value in self.scaler.state_dict().items():
            tensors[f"scaler.{key}"] = torch.tensor(value, dtype=torch.float64)
        return tensors

    def load_(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes over the values of `tensors`, copied."""
        names = {parameter: name for name, parameter in self._model.named_parameters()}
        with torch.no_grad():
            for parameter, name in names.items():
                parameter.copy_(tensors[f"model.{name}"])
        device = self._model.device
        for optimizer in self.optimizers:
            optimizer.state.clear()
            for parameter in (p for group in optimizer.param_groups for p in group["params"]):
                for key in STATE_NAMES:
                    if (value := tensors.get(f"optimizer.{key}.{names[parameter]}")) is not None:
                        optimizer.state.setdefault(parameter, {})[key] = value.clone().to(device)
        self.memory = tuple(tensors[f"memory.{n}"].clone().to(device) for n in range(len(self.memory)))
        self.generator.set_state(tensors["generator"].cpu())
        self.scaler.load_state_dict({key: tensors[f"scaler.{key}"].item() for key in self.scaler.state_dict()})

    def _backward(self, batch: TrainingBatch, dropout: float) -> Tensor:
        """Adds the gradient of this process's rows to `grad` of the weights, and keeps the memory for the next window.

        Returns:
            () the share of the loss: the summed nats of this process's rows, divided by the targets of all rows.
        """
        losses: list[Tensor] = []
        memories: list[Memory] = []
        drawn = self.generator.get_state()
        for part in self._parts:
            self.generator.set_state(drawn)  # every part draws the masks of all rows, and uses those of its own
            rows = slice(self._rows.start + part.start, self._rows.start + part.stop)
            draws = Draws(self.generator, self._config.batch_size, rows, dropout)
            loss_sum, memory = self._loss(batch.rows(rows), part, draws)
            loss = loss_sum / max(1, batch.num_targets)
            torch.autograd.backward(self.scaler.scale(loss))  # the scale is 1 except in fp16
            losses.append(loss.detach())
            memories.append(memory)
        if len(self._parts) == 1:
            self.memory = memories[0]
            return losses[0]
        self.memory = tuple(torch.cat(parts, 1) for parts in zip(*memories, strict=True))
        return torch.stack(losses).sum()

    def _loss(self, batch: TrainingBatch, part: slice, draws: Draws) -> tuple[Tensor, Memory]:
        """Returns the summed nats of the rows of `batch`, and their detached memory after the window.

        Args:
            batch: some rows of a batch.
            part: the same rows, counted in the rows of this process.
            draws: the random numbers of the dropout masks.
        """
        tensors = [torch.from_numpy(array).to(self._model.device) for array in batch.arrays()]
        with self.autocast():
            return self._model.loss(tensors, tuple(carried[:, part] for carried in self.memory), draws)

    def _update(self) -> Tensor:
        """Clips the gradient and changes the weights; returns the () norm of the gradient before clipping."""
        for optimizer in self.optimizers:
            self.scaler.unscale_(cast(torch.optim.Optimizer, optimizer))
        grad_norm = nn.utils.clip_grad_norm_(self._parameters, self._config.clip_norm, foreach=True)
        for optimizer in self.optimizers:
            self.scaler.step(cast(torch.optim.Optimizer, optimizer))
        self.scaler.update()
        return grad_norm


def set_pace(of: Sequence[Optimizer], step: int, rate: float | Tensor) -> None:
    """Tells optimisers the number of steps before the next one, and its rate: a number, or () on their device."""
    for optimizer in of:
        for group in optimizer.param_groups:
            group["lr"] = rate * group["share"]
            group["step"] = step


def _parts(num_rows: int, num_parts: int) -> list[slice]:
    """Returns rows cut into parts whose sizes differ by one at most."""
    bounds = [num_rows * n // num_parts for n in range(num_parts + 1)]
    return [slice(*pair) for pair in pairwise(bounds)]
