"""A language model run by the equations of `gen.models.cells`, with every gate and every memory kept.

The equations run token by token, as in `run_layer`. The gates of a token follow from its input and the memory before
it, so those of all tokens are computed at once from the memories that were kept.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gen.kernels.pool import one_torch_thread
from gen.models.cells import CELLS, Memory, layer_memories, layer_weights
from gen.models.recurrent import RecurrentLM, State

MEMORY_NAMES = ("h", "c")


class LayerRun(NamedTuple):
    """One layer over T tokens of B rows."""

    xs: Tensor  # (T, B, E) inputs
    start: Memory  # before the first token, each (B, H)
    memories: Memory  # after every token, each (T, B, H)

    @property
    def before(self) -> Memory:
        """The memory before every token, each (T, B, H)."""
        return tuple(torch.cat([start[None], m[:-1]]) for start, m in zip(self.start, self.memories, strict=True))

    def last(self) -> "LayerRun":
        """Returns the run over the last token alone."""
        return LayerRun(self.xs[-1:], tuple(m[-1] for m in self.before), tuple(m[-1:] for m in self.memories))


@torch.inference_mode()
def run_equations(model: RecurrentLM, tokens: Tensor, state: State) -> list[LayerRun]:
    """Runs a window of (B, T) tokens; returns the run of each layer, from the input up."""
    xs, runs = model.inputs(tokens, state), []
    with one_torch_thread():  # a second one costs more than products of so few rows gain
        for n, layer in enumerate(model.layers):
            start = tuple(m[n] for m in state.memory)
            steps = layer_memories(model.config.cell, xs, start, layer_weights(layer))
            runs.append(LayerRun(xs, start, tuple(torch.stack(parts) for parts in zip(*steps, strict=True))))
            xs = runs[-1].memories[0]
    return runs


@torch.inference_mode()
def named_arrays(model: RecurrentLM, n: int, run: LayerRun) -> dict[str, Tensor]:
    """Returns the gates and the memory of layer n, each (T, B, H), by their names in the equations.

    These are the gates `i f g o` or `r z n`, none where a cell names none, the output `h`, and the cell state `c`.
    """
    gates = CELLS[model.config.cell].gates
    named = {} if gates is None else gates(run.xs, run.before, layer_weights(model.layers[n]))._asdict()
    return named | dict(zip(MEMORY_NAMES, run.memories, strict=False))


@torch.inference_mode()
def logits_of(model: RecurrentLM, runs: Sequence[LayerRun]) -> Tensor:
    """Returns the (T, B, V) logits after every token."""
    logits: Tensor = model.output(model.projected(runs[-1].memories[0]))
    return logits
