"""A label out of a sequence (many-to-one): recurrent layers in both directions, one vector, one answer.

The classifier reads whole passages, so it may read them from both ends (Schuster & Paliwal 1997), which a model that
writes cannot. Its layers are those of `RecurrentLM`: the weights of a writing model can be its start. A bag of n-grams
may answer beside them (`gen.models.ngrams`).
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from gen.config import ModelConfig
from gen.models.cells import Memory
from gen.models.dropout import Draws
from gen.models.ngrams import NGrams
from gen.models.pooling import Pooled, Pooling
from gen.models.reader import SequenceReader
from gen.models.sequence_model import initialise_
from gen.models.stack import run_both_ways


class RecurrentClassifier(SequenceReader):
    """Predicts the label of a passage.

    Args:
        config: the sizes; `num_labels` is the number of classes.
        generator: draws the initial weights; None for weights that will be loaded.
    """

    def __init__(self, config: ModelConfig, generator: torch.Generator | None = None) -> None:
        super().__init__(config)
        self.pooling = Pooling(config.pooling, self.width)
        self.answer = nn.Linear(self.width, config.num_labels)
        self.ngrams = NGrams(config.num_labels) if config.has_ngrams else None
        if generator is not None:
            initialise_(self, generator)
        self.mix = nn.Parameter(torch.zeros(2)) if config.has_ngrams else None  # logarithms of the weights of answers

    def chance_nats(self) -> float:
        """Returns the nats of guessing: each label equally likely."""
        return math.log(self.config.num_labels)

    def forward(self, tokens: Tensor, lengths: Tensor, draws: Draws | None = None) -> Tensor:
        """Reads passages.

        Args:
            tokens: (B, T) int64; what follows a passage is arbitrary.
            lengths: (B,) tokens of each passage, at least 1.
            draws: the random numbers of the dropout masks; None for no dropout.

        Returns:
            (B, num_labels) logits: those of the layers and those of the n-grams, weighted and added up.
        """
        return self._mixed(self._answers(tokens, lengths, draws))

    def _mixed(self, answers: Sequence[Tensor]) -> Tensor:
        """Returns the weighted sum of logits."""
        return answers[0] if self.mix is None else (torch.stack(list(answers)) * self.mix.exp()[:, None, None]).sum(0)

    def _answers(self, tokens: Tensor, lengths: Tensor, draws: Draws | None) -> list[Tensor]:
        """Returns the logits of the layers, and those of the n-grams if there are any; each (B, num_labels)."""
        x = self.embedding(tokens.t())  # (T, B, E)
        ys = run_both_ways(self.layers, self.reverse_layers, x, lengths, draws)
        answers = [self.answer(self.pooling(Pooled(ys, lengths, self.config.num_directions)))]
        return answers if self.ngrams is None else [*answers, self.ngrams(tokens, lengths, draws)]

    def loss(self, batch: Sequence[Tensor], memory: Memory, draws: Draws | None = None) -> tuple[Tensor, Memory]:
        """Returns the summed nats of the labels, each with the weight of its row, and no memory.

        The layers and the n-grams learn by themselves: together, the n-grams would soon know all labels by heart, and
        leave the layers nothing to learn. Their weights learn from the mixed answer, which sends them alone a gradient.
        The loss is the mean of all three.

        Args:
            batch: tokens (B, T), lengths, labels and weights (B,), as in `gen.data.passages.PassageBatch`.
            memory: ().
            draws: the random numbers of the dropout masks; None for no dropout.
        """
        tokens, lengths, labels, weights = batch
        answers = self._answers(tokens, lengths, draws)
        if self.mix is not None:
            answers.append(self._mixed([each.detach() for each in answers]))
        nats = [(functional.cross_entropy(each.float(), labels, reduction="none") * weights).sum() for each in answers]
        return torch.stack(nats).mean(), memory
