"""A tag for every word of a sentence (many-to-many): words are spelt by one layer and read in context by the others.

The first layer reads the characters of the sentence. A word's vector is what it has found at the word's two boundaries:
the forward direction at the end of the word, joined with the backward one at its beginning (Ling et al. 2015). So a
word that was never seen has a vector too. The layers above read one vector a word, in both directions (Schuster &
Paliwal 1997), and a linear layer gives a logit a tag. A tagger with a single layer tags from the spelling layer, which
has read the whole sentence as well.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from gen.config import ModelConfig
from gen.models.cells import Memory
from gen.models.dropout import Draws
from gen.models.reader import SequenceReader
from gen.models.sequence_model import initialise_
from gen.models.stack import run_both_ways

IGNORED = -1  # the tag at padding


class RecurrentTagger(SequenceReader):
    """Predicts the tag of each word of a sentence.

    Args:
        config: the sizes; `num_labels` is the number of tags. The first of `num_layers` reads characters.
        generator: draws the initial weights; None for weights that will be loaded.
    """

    def __init__(self, config: ModelConfig, generator: torch.Generator | None = None) -> None:
        super().__init__(config)
        self.answer = nn.Linear(self.width, config.num_labels)
        if generator is not None:
            initialise_(self, generator)

    def chance_nats(self) -> float:
        """Returns the nats of guessing: each tag equally likely."""
        return math.log(self.config.num_labels)

    def forward(
        self, tokens: Tensor, lengths: Tensor, boundaries: Tensor, num_words: Tensor, draws: Draws | None = None
    ) -> Tensor:
        """Reads sentences.

        Args:
            tokens: (B, T) int64: characters, and a token at each boundary of a word; what follows is arbitrary.
            lengths: (B,) tokens of each sentence, at least 1.
            boundaries: (B, W + 1) the index in T before the first word and after each word; 0 as padding.
            num_words: (B,) of each sentence, at least 1.
            draws: the random numbers of the dropout masks; None for no dropout.

        Returns:
            (B, W, num_labels) logits; at padding they mean nothing.
        """
        x = self.embedding(tokens.t())  # (T, B, E)
        spelt = run_both_ways(self.layers, self.reverse_layers, x, lengths, draws, layers=range(1))
        words = self._words(spelt, boundaries.t())  # (W, B, F)
        if self.config.num_layers > 1:
            above = range(1, self.config.num_layers)
            words = run_both_ways(self.layers, self.reverse_layers, words, num_words, draws, layers=above)
        logits: Tensor = self.answer(words)
        return logits.transpose(0, 1)

    def loss(self, batch: Sequence[Tensor], memory: Memory, draws: Draws | None = None) -> tuple[Tensor, Memory]:
        """Returns the summed nats of the tags, and no memory.

        Args:
            batch: tokens, lengths, boundaries, num_words and tags (B, W), as in `gen.data.tagging.TaggedBatch`.
            memory: ().
            draws: the random numbers of the dropout masks; None for no dropout.
        """
        *inputs, tags = batch
        logits = self(*inputs, draws).float()
        return functional.cross_entropy(
            logits.flatten(0, 1), tags.flatten(), ignore_index=IGNORED, reduction="sum"
        ), memory

    def _words(self, spelt: Tensor, boundaries: Tensor) -> Tensor:
        """Returns (W, B, F) the vectors of words, from (T, B, F) outputs and the (W + 1, B) indices of boundaries."""
        num_rows, hidden_size = spelt.shape[1], self.config.hidden_size
        at = boundaries * num_rows + torch.arange(num_rows, device=spelt.device)
        found = spelt.flatten(0, 1).index_select(0, at.flatten()).view(*at.shape, -1)
        if self.reverse_layers is None:
            return found[1:]
        return torch.cat((found[1:, :, :hidden_size], found[:-1, :, hidden_size:]), 2)
