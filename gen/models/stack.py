"""Recurrent layers on top of each other: what every model of this package is built on.

A `Stack` runs in one direction, through compiled kernels, torch's fused modules or the equations of `cells.py`,
whichever serve. A bidirectional network (Schuster & Paliwal 1997) has two stacks. Each of its layers reads the outputs
of both directions of the layer below. The backward direction is a forward one on reversed sequences, so it runs in the
same kernels; sequences are padded at their end, and each is reversed within its own length.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gen.kernels.window import can_run_window, has_window, run_window
from gen.models.cells import CELLS, Memory, layer_weights, new_layer, run_layer
from gen.models.dropout import Draws, locked_dropout

MAX_EMBEDDING_DROPOUT = 0.1  # a higher rate hides too much of the input


class Stack(nn.ModuleList):
    """The recurrent layers of one direction; one module a layer.

    Dropout between layers stays ours that way, and cuDNN's persistent kernel takes single layers only.

    Args:
        cell: of `gen.models.cells.CELLS`.
        input_sizes: the width of each layer's input.
        hidden_size: the units of each layer.
    """

    def __init__(self, cell: str, input_sizes: Sequence[int], hidden_size: int) -> None:
        super().__init__([new_layer(cell, size, hidden_size) for size in input_sizes])
        self.cell, self.input_sizes, self.hidden_size = cell, tuple(input_sizes), hidden_size

    def initial_memory(self, num_rows: int, device: torch.device) -> Memory:
        """Returns zeros: the memory of all layers before the first token, each (L, B, H)."""
        zeros = torch.zeros(len(self), num_rows, self.hidden_size, device=device)
        return (zeros,) * CELLS[self.cell].num_memories

    def forward(self, x: Tensor, memory: Memory, draws: Draws | None = None) -> tuple[Tensor, Memory]:
        """Runs all layers over a window.

        Args:
            x: (T, B, E) inputs.
            memory: before the window, each (L, B, H); not modified.
            draws: the random numbers of the dropout masks; None for no dropout.

        Returns:
            (T, B, H) outputs of the last layer, with dropout, and the float32 memory after the window.
        """
        finals = []
        for n in range(len(self)):
            x = locked_dropout(x, rate_at(n, draws), draws)
            x, last = self.run(n, x, tuple(m[n] for m in memory))
            finals.append(last)
        x = locked_dropout(x, rate_at(len(self), draws), draws)
        return x, tuple(torch.stack(parts).float() for parts in zip(*finals, strict=True))

    def run(self, n: int, x: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """Runs layer n over (T, B, E) inputs; its memory is (B, H) each, before and after."""
        layer = self[n]
        if can_run_window(self.cell, x, self.hidden_size):
            return run_window(self.cell, x, memory, layer_weights(layer))
        if CELLS[self.cell].fused is None:
            return run_layer(self.cell, x, memory, layer_weights(layer))
        starts = tuple(m[None].to(x.dtype) for m in memory)
        x, last = layer(x, starts if len(starts) > 1 else starts[0])
        return x, tuple(m[0] for m in last) if isinstance(last, tuple) else (last[0],)

    def has_kernels(self, dtype: torch.dtype) -> bool:
        """Tells whether all layers run in the compiled kernels where products are of `dtype`."""
        is_on_cpu = next(self.parameters()).device.type == "cpu"
        return is_on_cpu and all(has_window(self.cell, dtype, size, self.hidden_size) for size in set(self.input_sizes))


def run_both_ways(
    ahead: Stack,
    back: Stack | None,
    x: Tensor,
    lengths: Tensor,
    draws: Draws | None = None,
    *,
    layers: range | None = None,
) -> Tensor:
    """Runs whole sequences through layers, in both directions, from a memory of zeros.

    Args:
        ahead: the layers that read from the first token on.
        back: those that read from the last token back; None for one direction.
        x: (T, B, E) inputs.
        lengths: (B,) the number of tokens of each row, at least 1; what follows them is padding.
        draws: the random numbers of the dropout masks; None for no dropout.
        layers: those that are run, one after another; None for all.

    Returns:
        (T, B, H) outputs, or (T, B, 2H): those of `ahead`, then those of `back`. At padding they mean nothing.
    """
    reversal = None if back is None else _reversal(lengths, len(x))
    num_rows, device = x.shape[1], x.device
    memories = [None if stack is None else stack.initial_memory(num_rows, device) for stack in (ahead, back)]
    for n in range(len(ahead)) if layers is None else layers:
        x = locked_dropout(x, rate_at(n, draws), draws)
        outputs = []
        for stack, memory in zip((ahead, back), memories, strict=True):
            if stack is None or memory is None:
                continue
            order = reversal if stack is back else None
            ys, _ = stack.run(n, _reordered(x, order), tuple(m[n] for m in memory))
            outputs.append(_reordered(ys, order))
        x = torch.cat(outputs, 2) if len(outputs) > 1 else outputs[0]
    if layers is not None and layers.stop < len(ahead):
        return x  # the next layer drops units of its inputs
    return locked_dropout(x, rate_at(len(ahead), draws), draws)


def rate_at(n: int, draws: Draws | None) -> float:
    """Returns the rate of dropout before layer n; the embedding, before the first layer, keeps more."""
    if draws is None:
        return 0.0
    return draws.rate if n else min(draws.rate, MAX_EMBEDDING_DROPOUT)


def _reversal(lengths: Tensor, num_tokens: int) -> Tensor:
    """Returns (T * B,) indices that reverse each row of (T, B) within its length, and leave padding where it is."""
    t = torch.arange(num_tokens, device=lengths.device)[:, None]
    rows = torch.arange(len(lengths), device=lengths.device)
    return (torch.where(t < lengths, lengths - 1 - t, t) * len(lengths) + rows).flatten()


def _reordered(x: Tensor, order: Tensor | None) -> Tensor:
    """Returns (T, B, H) values in the order of a `_reversal`; unchanged if it is None."""
    if order is None:
        return x
    found: Tensor = _Reversed.apply(x, order)  # type: ignore[no-untyped-call]
    return found


class _Reversed(torch.autograd.Function):
    """A reversal is its own inverse, so it carries gradients back too: torch would add them one by one."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, order: Tensor) -> Tensor:
        ctx.save_for_backward(order)
        return x.flatten(0, 1).index_select(0, order).view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (order,) = ctx.saved_tensors
        return grads[0].flatten(0, 1).index_select(0, order).view_as(grads[0]), None
