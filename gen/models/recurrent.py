"""The language model: embedding, a stack of fused recurrent layers, output layer.

A label goes in once and a whole sequence comes out (one-to-many). The label sets the initial memory and is also added
to every input: truncated back-propagation sends a label that is given only at the start no gradient after the first
window, and it would be forgotten. Another vector that is added marks rows that are varied, for example transposed to
another key. The module keeps no state: `forward` takes a `State` and returns the next one.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from gen.config import ModelConfig
from gen.kernels.pool import one_torch_thread
from gen.kernels.window import can_run_window, has_window, run_window
from gen.models.cells import CELLS, layer_weights, new_layer, run_layer
from gen.models.output_loss import can_save_logits, output_cross_entropy_sum

MAX_EMBEDDING_DROPOUT = 0.1  # a higher rate hides too much of the input


class State(NamedTuple):
    """The state of B sequences between two windows."""

    memory: tuple[Tensor, ...]  # LSTM (h, c), GRU and RNN (h,); each (L, B, H)
    condition: Tensor  # (B, E) vector added to every input: the label, and whether the row is varied


class RecurrentLM(nn.Module):
    """A stack of recurrent layers that predicts the next token.

    Args:
        config: the sizes.
        generator: draws the initial weights; None for weights that will be loaded.
    """

    def __init__(self, config: ModelConfig, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.embedding_size)
        sizes = [config.embedding_size] + [config.hidden_size] * config.num_layers
        # One module a layer: dropout between layers stays ours, and cuDNN's persistent kernel takes single layers only.
        self.layers = nn.ModuleList([new_layer(config.cell, *sizes[n : n + 2]) for n in range(config.num_layers)])
        is_projected = config.is_tied and config.hidden_size != config.embedding_size
        self.projection = nn.Linear(config.hidden_size, config.embedding_size) if is_projected else None
        self.output = nn.Linear(config.embedding_size if config.is_tied else config.hidden_size, config.vocab_size)
        if config.is_tied:
            self.output.weight = self.embedding.weight
        if config.num_labels:
            self.label_embedding = nn.Embedding(config.num_labels + 1, config.embedding_size)  # row 0: no label
            memory_size = CELLS[config.cell].num_memories * config.num_layers * config.hidden_size
            self.label_memory = nn.Linear(config.embedding_size, memory_size)
        if config.has_variations:
            self.variation_embedding = nn.Parameter(torch.zeros(1, config.embedding_size))
        if generator is not None:
            initialise_(self, generator)

    def initial_state(self, labels: Tensor, is_varied: Tensor | None = None) -> State:
        """Returns the state before the first token.

        Args:
            labels: (B,) int64, 0 for no label, else 1 + the label's index.
            is_varied: (B,) bool, true for varied rows, which differ from the corpus; None if no row is varied.
        """
        state = self._labelled_state(labels)
        if not self.config.has_variations or is_varied is None:
            return state
        return state._replace(condition=state.condition + is_varied[:, None] * self.variation_embedding)

    def _labelled_state(self, labels: Tensor) -> State:
        """Returns the state of rows with these labels: computed from the label's embedding, zeros without labels."""
        config, batch_size = self.config, len(labels)
        num_memories = CELLS[config.cell].num_memories
        if config.num_labels:
            condition = self.label_embedding(labels)
            memories = torch.tanh(self.label_memory(condition)).float()
            stacked = memories.view(batch_size, num_memories, config.num_layers, config.hidden_size)
            return State(tuple(m.transpose(0, 1).contiguous() for m in stacked.unbind(1)), condition)
        shape = (config.num_layers, batch_size, config.hidden_size)
        zeros = torch.zeros(shape, device=labels.device)
        return State((zeros,) * num_memories, zeros.new_zeros(batch_size, config.embedding_size))

    def forward(self, tokens: Tensor, state: State, draws: "Draws | None" = None) -> tuple[Tensor, State]:
        """Runs a window of tokens.

        Args:
            tokens: (B, T) int64.
            state: before the first token; not modified.
            draws: the random numbers of the dropout masks; None for no dropout.

        Returns:
            (B, T, V) logits (a view with time outermost in memory) and the state after the last token.
        """
        x, state = self._features(tokens, state, draws)
        return self.output(x).transpose(0, 1), state

    def summed_nats(
        self, tokens: Tensor, targets: Tensor, state: State, draws: "Draws | None" = None
    ) -> tuple[Tensor, State]:
        """Runs a window of tokens and returns the summed loss of the targets.

        Args:
            tokens: (B, T) int64.
            targets: (B, T) int64; -1 marks padding, which adds nothing.
            state: before the first token; not modified.
            draws: the random numbers of the dropout masks; None for no dropout.

        Returns:
            () the summed nats in float32 and the state after the last token.
        """
        x, state = self._features(tokens, state, draws)
        if can_save_logits(x, self.config.vocab_size):
            flat = targets.t().reshape(-1)  # time-major, as the features are: no copy of these
            return output_cross_entropy_sum(x.flatten(0, 1), self.output.weight, self.output.bias, flat), state
        return cross_entropy_sum(self.output(x).transpose(0, 1), targets), state

    def _features(self, tokens: Tensor, state: State, draws: "Draws | None") -> tuple[Tensor, State]:
        """Returns the inputs of the output layer, (T, B, ...), and the state after the last token."""
        x = self.embedding(tokens.t())  # (T, B, E)
        if self.config.num_labels or self.config.has_variations:
            x = x + state.condition
        rate = 0.0 if draws is None else draws.rate
        finals = []
        for n, layer in enumerate(self.layers):
            x = locked_dropout(x, rate if n else min(rate, MAX_EMBEDDING_DROPOUT), draws)
            x, last = self._run(layer, x, tuple(m[n] for m in state.memory))
            finals.append(last)
        x = locked_dropout(x, rate, draws)
        if self.projection is not None:
            x = self.projection(x)
        memory = tuple(torch.stack(parts).float() for parts in zip(*finals, strict=True))
        return x, State(memory, state.condition)

    def _run(self, layer: nn.Module, x: Tensor, memory: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Runs one layer over (T, B, E) through a compiled kernel, torch's or the equations; memory (B, H) each."""
        cell = self.config.cell
        if can_run_window(cell, x, self.config.hidden_size):
            return run_window(cell, x, memory, layer_weights(layer))
        if CELLS[cell].fused is None:
            return run_layer(cell, x, memory, layer_weights(layer))
        starts = tuple(m[None].to(x.dtype) for m in memory)
        x, last = layer(x, starts if len(starts) > 1 else starts[0])
        return x, tuple(m[0] for m in last) if isinstance(last, tuple) else (last[0],)

    def has_kernels(self, dtype: torch.dtype) -> bool:
        """Tells whether all layers run in the compiled kernels where products are of `dtype`."""
        config, is_on_cpu = self.config, self.embedding.weight.device.type == "cpu"
        widths = {config.embedding_size, config.hidden_size}
        return is_on_cpu and all(has_window(config.cell, dtype, width, config.hidden_size) for width in widths)

    def num_parameters(self) -> int:
        """Returns the number of weights; shared ones count once."""
        return sum(parameter.numel() for parameter in self.parameters())


class Draws(NamedTuple):
    """The random numbers of dropout masks; a row gets the same mask, whichever rows run beside it."""

    generator: torch.Generator
    batch_size: int  # the rows for which masks are drawn
    rows: slice  # the rows among them that are run
    rate: float  # of the dropout at present: the share of units that are dropped before the output layer


def locked_dropout(x: Tensor, rate: float, draws: Draws | None) -> Tensor:
    """Drops the same units at every token of a window (Gal & Ghahramani 2016), scaled to keep the mean.

    Args:
        x: (T, B, H).
        rate: the share of units that are dropped, from 0 to below 1.
        draws: the random numbers of the (1, B, H) mask; None for no dropout.
    """
    if draws is None or rate == 0.0:
        return x
    whole = torch.empty(1, draws.batch_size, x.shape[-1], device=x.device)
    kept = whole.bernoulli_(1 - rate, generator=draws.generator)[:, draws.rows]
    return x * (kept / (1 - rate)).to(x.dtype)


def initialise_(model: RecurrentLM, generator: torch.Generator) -> None:
    """Draws all weights anew.

    Input and output matrices are uniform in +-1/sqrt(fan-in), as in torch. Recurrent matrices are orthogonal, gate by
    gate (Saxe, McClelland & Ganguli 2014). Biases are 0, except 1 for the LSTM's forget gate (Gers et al. 2000;
    Jozefowicz, Zaremba & Sutskever 2015). Embeddings have variance 1, so that rare symbols differ from the start: with
    7,144 Chinese characters, a variance of 1/E made learning much slower. A tied embedding has variance 1/E, because
    it also produces the logits.
    """
    for name, parameter in model.named_parameters():
        if "bias" in name:
            nn.init.zeros_(parameter)
        elif "weight_hh" in name:
            for gate in parameter.data.view(-1, model.config.hidden_size, model.config.hidden_size):
                with one_torch_thread():  # on more it has other last bits
                    nn.init.orthogonal_(gate, generator=generator)
        elif "embedding" in name:
            std = model.config.embedding_size**-0.5 if model.config.is_tied else 1.0
            nn.init.normal_(parameter, std=std, generator=generator)
        else:
            bound = parameter.shape[1] ** -0.5
            nn.init.uniform_(parameter, -bound, bound, generator=generator)
    open_gate = CELLS[model.config.cell].open_gate
    if open_gate is not None:
        for layer in model.layers:
            layer_weights(layer).b_ih.data.view(-1, model.config.hidden_size)[open_gate].fill_(1.0)


@torch.no_grad()
def scale_logits_(model: RecurrentLM, scale: float) -> None:
    """Multiplies the output layer by a factor, and so all logits; a tied output layer gets weights of its own."""
    weight, bias = model.output.weight * scale, model.output.bias * scale
    model.output.weight, model.output.bias = nn.Parameter(weight), nn.Parameter(bias)


def detached(state: State) -> State:
    """Returns the state without its graph: the truncation of back-propagation through time (Williams & Peng 1990)."""
    return State(tuple(m.detach() for m in state.memory), state.condition.detach())


def cross_entropy_sum(logits: Tensor, targets: Tensor) -> Tensor:
    """Returns the summed nats of the targets in float32; targets of -1 are padding and add nothing.

    Args:
        logits: (B, T, V) as `forward` returns them.
        targets: (B, T) int64.
    """
    flat = logits.transpose(0, 1).reshape(-1, logits.shape[-1])  # back to time-major: no copy
    return functional.cross_entropy(flat.float(), targets.t().reshape(-1), ignore_index=-1, reduction="sum")
