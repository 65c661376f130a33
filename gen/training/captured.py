"""Optimiser steps on a GPU without the host: each is captured once as a CUDA graph, and replayed.

A step of one layer launches some ninety kernels. To launch one costs the host several microseconds, more than most of
them take, so a GPU that is given them one by one waits. A graph launches all at once. It reads and writes the same
memory every time: the arrays of a batch and what the schedule sets travel to fixed tensors in one copy, and what rows
carry stays in place. Losses remain on the device until somebody reads them.

Muon moves its matrices at every PERIOD-th step only, so there are as many graphs, and new ones where the rate of
dropout, which is part of the graph, has changed. The rules of captures are those of torch's notes on CUDA semantics.
On another device the same operations run one by one.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import prod
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gen.config import TrainingConfig
from gen.models.dropout import Draws
from gen.models.sequence_model import SequenceModel
from gen.training.optimizer import PERIOD
from gen.training.step import OptimizerStep, Pace, TrainingBatch, set_pace

NUM_WARM_UPS = 2  # passes before a capture, for libraries that allocate at their first calls
ALIGNMENT = 16  # bytes


def can_capture(model: SequenceModel, config: TrainingConfig, num_processes: int) -> bool:
    """Tells whether steps can be captured: on CUDA, in one piece, and all batches alike.

    In fp16 the gradient's scale depends on whether it overflowed, which the host would have to ask. Models that carry
    nothing from one batch to the next read batches of many lengths.
    """
    is_whole = num_processes == 1 and config.accumulate == 1 and config.precision != "fp16"
    return model.device.type == "cuda" and is_whole and len(model.initial_memory(1)) > 0


class CapturedStep(OptimizerStep):
    """Takes the same steps as its base, as graphs.

    Args:
        model, config: for which `can_capture` holds.
        rows: all of them.
        summed: called with the loss after the step has been given to the device.
    """

    is_waited_for = False

    def __init__(
        self, model: SequenceModel, config: TrainingConfig, rows: slice, summed: Callable[[Tensor], Tensor]
    ) -> None:
        super().__init__(model, config, rows, summed)
        self._runs: dict[tuple[int, float], Callable[[], None]] = {}
        self._kept: tuple[Tensor, ...] = ()  # what the rows carry, where the graphs read and write it
        self._inbox: _Inbox | None = None
        self._outcome = torch.zeros(2, device=model.device)

    def load_(self, tensors: Mapping[str, Tensor]) -> None:
        """See `OptimizerStep.load_`; the optimisers get other tensors, so the graphs are made anew."""
        super().load_(tensors)
        self._runs.clear()

    def take(self, batch: TrainingBatch, pace: Pace) -> Tensor:
        """Changes the weights; see `OptimizerStep.take`. It returns before the device has done it."""
        if self._inbox is None:
            self._inbox = _Inbox(batch, self._model.device)
            self._kept = tuple(memory.clone() for memory in self.memory)
        self._inbox.fill(batch, pace.rate)
        for kept, memory in zip(self._kept, self.memory, strict=True):
            if kept is not memory:
                kept.copy_(memory)
        self.memory = self._kept
        self._run_of(pace)()
        outcome = self._outcome.clone()
        self._summed(outcome[0])
        return outcome

    def _run_of(self, pace: Pace) -> Callable[[], None]:
        """Returns what takes a step at this pace: a graph where the device has graphs."""
        key = (pace.step % PERIOD, pace.dropout)
        if key not in self._runs:
            self._runs = {other: run for other, run in self._runs.items() if other[1] == pace.dropout}
            for optimizer in self.optimizers:
                optimizer.prepare()
            self._runs[key] = self._captured(pace).replay if self._outcome.is_cuda else partial(self._step, pace)
        return self._runs[key]

    def _captured(self, pace: Pace) -> torch.cuda.CUDAGraph:
        """Returns the graph of a step, which has not been taken."""
        cuda: Any = torch.cuda  # whose Stream has no types
        current, stream = torch.cuda.current_stream(self._model.device), cuda.Stream(self._model.device)
        drawn = self.generator.get_state()
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            for _ in range(NUM_WARM_UPS):
                self._gradient(pace.dropout)
        current.wait_stream(stream)
        torch.cuda.synchronize(self._model.device)
        self.generator.set_state(drawn)
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self.generator)
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            self._step(pace)
        return graph

    def _step(self, pace: Pace) -> None:
        """Takes a step from the fixed tensors to the fixed tensors."""
        assert self._inbox is not None
        set_pace(self.optimizers, pace.step, self._inbox.rate)
        loss, memory = self._gradient(pace.dropout)
        grad_norm = nn.utils.clip_grad_norm_(self._parameters, self._config.clip_norm, foreach=True)
        for optimizer in self.optimizers:
            optimizer.step()
        for kept, new in zip(self._kept, memory, strict=True):
            kept.copy_(new)
        self._outcome.copy_(torch.stack((loss, grad_norm)))

    def _gradient(self, dropout: float) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Sets `grad` of the weights; returns the () mean nats of a target, and the memory after the window."""
        assert self._inbox is not None
        for parameter in self._parameters:
            parameter.grad = None
        draws = Draws(self.generator, self._config.batch_size, self._rows, dropout)
        with self.autocast():
            loss_sum, memory = self._model.loss(self._inbox.arrays, self._kept, draws)
        loss = loss_sum / self._inbox.num_targets
        torch.autograd.backward(loss)
        return loss.detach(), memory


class _Field(NamedTuple):
    """The place of an array among the bytes of an inbox."""

    start: int
    shape: tuple[int, ...]
    dtype: "np.dtype[Any]"

    def of(self, data: NDArray[np.uint8]) -> NDArray[Any]:
        """Returns the array whose bytes are among these."""
        size = prod(self.shape) * self.dtype.itemsize
        return data[self.start : self.start + size].view(self.dtype).reshape(self.shape)


class _Inbox:
    """The fixed tensors that a step reads, side by side, so that they arrive in one copy.

    Args:
        batch: gives the shapes of its arrays.
        device: of the tensors.
    """

    def __init__(self, batch: TrainingBatch, device: torch.device) -> None:
        self._fields, self._size = _fields([*batch.arrays(), np.zeros(2, np.float32)])
        self._bytes = torch.zeros(self._size, dtype=torch.uint8, device=device)
        *self.arrays, numbers = (self._tensor(field) for field in self._fields)
        self.num_targets, self.rate = numbers.unbind()

    def fill(self, batch: TrainingBatch, rate: float) -> None:
        """Sends a batch and the rate of its step to the device.

        The copy reads pinned memory, which torch's allocator gives to nobody else before the copy is done.
        """
        staged = torch.empty(self._size, dtype=torch.uint8, pin_memory=self._bytes.is_cuda)
        numbers = np.array([max(1, batch.num_targets), rate], np.float32)
        for field, array in zip(self._fields, [*batch.arrays(), numbers], strict=True):
            field.of(staged.numpy())[...] = array
        self._bytes.copy_(staged, non_blocking=True)

    def _tensor(self, field: _Field) -> Tensor:
        """Returns the tensor on the device that shares the bytes of a field."""
        dtype = torch.from_numpy(np.empty(0, field.dtype)).dtype
        size = prod(field.shape) * field.dtype.itemsize
        return self._bytes[field.start : field.start + size].view(dtype).view(field.shape)


def _fields(arrays: Sequence[NDArray[Any]]) -> tuple[list[_Field], int]:
    """Returns the places of arrays side by side, and the bytes of them all."""
    fields, start = [], 0
    for array in arrays:
        fields.append(_Field(start, array.shape, array.dtype))
        start += -(-array.nbytes // ALIGNMENT) * ALIGNMENT
    return fields, start
