"""The language model: embedding, a stack of fused recurrent layers, output layer.

A label goes in once and a whole sequence comes out (one-to-many). The label sets the initial memory and is also added
to every input: truncated back-propagation sends a label that is given only at the start no gradient after the first
window, and it would be forgotten. Another vector that is added marks rows that are varied, for example transposed to
another key. The module keeps no state: `forward` takes a `State` and returns the next one.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from gen.config import ModelConfig
from gen.models.cells import CELLS, Memory
from gen.models.dropout import Draws
from gen.models.embedding import Embedding
from gen.models.output_loss import can_save_logits, output_cross_entropy_sum
from gen.models.sequence_model import SequenceModel, initialise_
from gen.models.stack import Stack


class State(NamedTuple):
    """The state of B sequences between two windows."""

    memory: Memory  # LSTM (h, c), GRU and RNN (h,); each (L, B, H)
    condition: Tensor  # (B, E) vector added to every input: the label, and whether the row is varied


class HasOutput(Protocol):
    """The part of a model that makes logits of features."""

    output: nn.Linear


class RecurrentLM(SequenceModel):
    """A stack of recurrent layers that predicts the next token.

    Args:
        config: the sizes.
        generator: draws the initial weights; None for weights that will be loaded.
    """

    def __init__(self, config: ModelConfig, generator: torch.Generator | None = None) -> None:
        super().__init__(config)
        sizes = [config.embedding_size] + [config.hidden_size] * (config.num_layers - 1)
        self.layers = Stack(config.cell, sizes, config.hidden_size)
        is_projected = config.is_tied and config.hidden_size != config.embedding_size
        self.projection = nn.Linear(config.hidden_size, config.embedding_size) if is_projected else None
        self.output = nn.Linear(config.embedding_size if config.is_tied else config.hidden_size, config.vocab_size)
        if config.is_tied:
            self.output.weight = self.embedding.weight
        if config.num_labels:
            self.label_embedding = Embedding(config.num_labels + 1, config.embedding_size)  # row 0: no label
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

    def stacks(self) -> tuple[Stack, ...]:
        """Returns the layers."""
        return (self.layers,)

    def initial_memory(self, num_rows: int) -> Memory:
        """Returns the memory of rows without labels."""
        no_labels = torch.zeros(num_rows, dtype=torch.long, device=self.device)
        return detached(self.initial_state(no_labels)).memory

    def chance_nats(self) -> float:
        """Returns the nats of guessing: each symbol equally likely."""
        return math.log(self.config.vocab_size)

    def loss(self, batch: Sequence[Tensor], memory: Memory, draws: Draws | None = None) -> tuple[Tensor, Memory]:
        """Runs a window: fresh rows start from the memory of their label, the others from the one that is carried.

        Args:
            batch: tokens and targets (B, T), is_fresh, labels and is_varied (B,), as in `gen.data.batches.Batch`.
            memory: of the rows after the window before.
            draws: the random numbers of the dropout masks; None for no dropout.

        Returns:
            () the summed nats of the targets, and the memory after the window, detached: back-propagation through time
            is truncated there (Williams & Peng 1990).
        """
        tokens, targets, is_fresh, labels, is_varied = batch
        start = self.initial_state(labels, is_varied)
        merged = tuple(
            torch.where(is_fresh[None, :, None], fresh, carried)
            for fresh, carried in zip(start.memory, memory, strict=True)
        )
        nats, state = self.summed_nats(tokens, targets, State(merged, start.condition), draws)
        return nats, detached(state).memory

    def forward(self, tokens: Tensor, state: State, draws: Draws | None = None) -> tuple[Tensor, State]:
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
        self, tokens: Tensor, targets: Tensor, state: State, draws: Draws | None = None
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

    def inputs(self, tokens: Tensor, state: State) -> Tensor:
        """Returns the (T, B, E) inputs of the first layer for (B, T) tokens: embeddings, and the label's vector."""
        x: Tensor = self.embedding(tokens.t())
        return x + state.condition if self.config.num_labels or self.config.has_variations else x

    def projected(self, x: Tensor) -> Tensor:
        """Returns the (T, B, ...) inputs of the output layer for the (T, B, H) outputs of the last layer."""
        return x if self.projection is None else self.projection(x)

    def _features(self, tokens: Tensor, state: State, draws: Draws | None) -> tuple[Tensor, State]:
        """Returns the inputs of the output layer, (T, B, ...), and the state after the last token."""
        x, memory = self.layers(self.inputs(tokens, state), state.memory, draws)
        return self.projected(x), State(memory, state.condition)


@torch.no_grad()
def scale_logits_(model: HasOutput, scale: float) -> None:
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
