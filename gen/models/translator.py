"""A sequence out of another sequence (many-to-many): an encoder reads the source, a decoder writes the target.

Sutskever, Vinyals & Le 2014 and Cho et al. 2014: the decoder is a language model that starts from what the encoder
remembers at its end. Bahdanau, Cho & Bengio 2015: the encoder reads both ways, and the decoder attends to all its
outputs (`gen.models.attention`). Without attention, the vector at the start is all that the decoder knows of a source.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gen.config import ModelConfig
from gen.models.attention import AdditiveAttention, Source
from gen.models.cells import CELLS, Memory, layer_weights
from gen.models.dropout import Draws, locked_dropout
from gen.models.output_loss import can_save_logits, output_cross_entropy_sum
from gen.models.pooling import Pooled, last
from gen.models.reader import SequenceReader
from gen.models.recurrent import cross_entropy_sum
from gen.models.sequence_model import initialise_
from gen.models.stack import Stack, rate_at, run_both_ways


class Encoded(NamedTuple):
    """Sources that have been read."""

    memory: Memory  # of the decoder before the first token: h, and c of an LSTM, each (L, B, H)
    source: Source | None  # what attention reads; None without attention

    def rows(self, indices: Tensor) -> "Encoded":
        """Returns the rows at (B,) indices, which may be repeated."""
        source = self.source and Source(*(part[:, indices] for part in self.source))
        return Encoded(tuple(m[:, indices] for m in self.memory), source)


class RecurrentTranslator(SequenceReader):
    """Predicts the next symbol of a target, given its source.

    The first layer of the decoder reads the target alone. With attention its output asks for a part of the source. A
    layer joins both for the layer above, or the output layer (Luong, Pham & Manning 2015): without it their part in the
    logits would be a plain sum.

    Args:
        config: the sizes; encoder and decoder have `num_layers` layers each.
        generator: draws the initial weights; None for weights that will be loaded.
    """

    def __init__(self, config: ModelConfig, generator: torch.Generator | None = None) -> None:
        super().__init__(config)
        hidden, width = config.hidden_size, self.width
        self.bridge = nn.Linear(width, CELLS[config.cell].num_memories * config.num_layers * hidden)
        self.attention = AdditiveAttention(hidden, width, max(1, hidden // 2)) if config.has_attention else None
        self.joint = nn.Linear(hidden + width, hidden) if config.has_attention else None
        inputs = [config.embedding_size] + [hidden] * (config.num_layers - 1)
        self.target_layers = Stack(config.cell, inputs, hidden)
        self.output = nn.Linear(hidden, config.vocab_size)
        if generator is not None:
            initialise_(self, generator)

    def stacks(self) -> tuple[Stack, ...]:
        """Returns the layers of the encoder, by direction, and those of the decoder."""
        return (*super().stacks(), self.target_layers)

    def chance_nats(self) -> float:
        """Returns the nats of guessing: each symbol equally likely."""
        return math.log(self.config.vocab_size)

    def encode(self, sources: Tensor, lengths: Tensor, draws: Draws | None = None) -> Encoded:
        """Reads sources.

        Args:
            sources: (B, S) int64; what follows a source is arbitrary.
            lengths: (B,) tokens of each source, at least 1.
            draws: the random numbers of the dropout masks; None for no dropout.
        """
        x = self.embedding(sources.t())  # (S, B, E)
        ys = run_both_ways(self.layers, self.reverse_layers, x, lengths, draws)
        pooled = Pooled(ys, lengths, self.config.num_directions)
        starts = torch.tanh(self.bridge(last(pooled))).float()
        shape = (len(lengths), CELLS[self.config.cell].num_memories, self.config.num_layers, self.config.hidden_size)
        memory = tuple(m.transpose(0, 1).contiguous() for m in starts.view(shape).unbind(1))
        source = None if self.attention is None else self.attention.remember(ys, pooled.padding()[..., 0])
        return Encoded(memory, source)

    def forward(self, inputs: Tensor, encoded: Encoded, draws: Draws | None = None) -> Tensor:
        """Predicts whole targets, each token from those before it.

        Args:
            inputs: (B, T) int64: `begin`, then the target without its last token.
            encoded: the sources.
            draws: the random numbers of the dropout masks; None for no dropout.

        Returns:
            (B, T, V) logits (a view with time outermost in memory).
        """
        logits: Tensor = self.output(self._features(inputs, encoded, draws))  # (T, B, V)
        return logits.transpose(0, 1)

    def step(self, tokens: Tensor, encoded: Encoded) -> tuple[Tensor, Encoded]:
        """Advances every row by one target token, by the equations of the cells.

        Args:
            tokens: (B,) int64.
            encoded: the sources, with the memory of the decoder; not modified.

        Returns:
            (B, V) float32 logits of the next token, and the sources with the next memory.
        """
        x, memories = self.embedding(tokens), []
        for n, layer in enumerate(self.target_layers):
            before = tuple(m[n] for m in encoded.memory)
            memories.append(CELLS[self.config.cell].step(x, before, layer_weights(layer)))
            x = self._attended(n, memories[-1][0][None], encoded)[0]
        memory = tuple(torch.stack(parts) for parts in zip(*memories, strict=True))
        return self.output(x).float(), encoded._replace(memory=memory)

    def loss(self, batch: Sequence[Tensor], memory: Memory, draws: Draws | None = None) -> tuple[Tensor, Memory]:
        """Returns the summed nats of the targets, and no memory.

        Args:
            batch: sources (B, S), lengths (B,), inputs and targets (B, T), as in `gen.data.pairs.PairBatch`.
            memory: ().
            draws: the random numbers of the dropout masks; None for no dropout.
        """
        sources, lengths, inputs, targets = batch
        x = self._features(inputs, self.encode(sources, lengths, draws), draws)
        if can_save_logits(x, self.config.vocab_size):
            flat = targets.t().reshape(-1)  # time-major, as the features are: no copy of these
            return output_cross_entropy_sum(x.flatten(0, 1), self.output.weight, self.output.bias, flat), memory
        return cross_entropy_sum(self.output(x).transpose(0, 1), targets), memory

    def _features(self, inputs: Tensor, encoded: Encoded, draws: Draws | None) -> Tensor:
        """Returns the (T, B, H) inputs of the output layer."""
        x = self.embedding(inputs.t())  # (T, B, E)
        for n in range(len(self.target_layers)):
            x = locked_dropout(x, rate_at(n, draws), draws)
            x, _ = self.target_layers.run(n, x, tuple(m[n] for m in encoded.memory))
            x = self._attended(n, x, encoded)
        return locked_dropout(x, rate_at(len(self.target_layers), draws), draws)

    def _attended(self, n: int, ys: Tensor, encoded: Encoded) -> Tensor:
        """Returns (T, B, H) the outputs of layer n; those of the first joined with what attention finds.

        tanh(W [context; output]) is the attentional vector of Luong et al. 2015, equation 5.
        """
        if n or self.attention is None or self.joint is None or encoded.source is None:
            return ys
        context, _ = self.attention(ys, encoded.source)
        return torch.tanh(self.joint(torch.cat((context.to(ys.dtype), ys), 2)))
