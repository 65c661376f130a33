"""A task as a run sees it: the order in which the corpus is read, and how the model is measured."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from gen.config import TrainingConfig
from gen.models.sequence_model import SequenceModel
from gen.runs.prepared import PreparedCorpus
from gen.training.trainer import TrainingBatches


class Validation(NamedTuple):
    """A measurement of the present weights on the validation part."""

    nats: float  # mean per target
    bits_per_unit: float | None
    logit_scale: float  # the factor on the logits with which it was made: the best one
    figures: Mapping[str, float]  # of the task, by the names of the command line's JSON

    @property
    def accuracy(self) -> float | None:
        """The share of answers that are right, of a task that answers."""
        return self.figures.get("valid_accuracy", self.figures.get("valid_exact"))


class Task(Protocol):
    """A use that a model is trained for."""

    def check(self, corpus: PreparedCorpus) -> None:
        """Raises CorpusError if the corpus does not suit the task."""

    def words(self, corpus: PreparedCorpus, training: TrainingConfig) -> str:
        """Returns what is worth saying of the labels of a corpus, or of its documents; "" for nothing."""

    def num_sequences(self, corpus: PreparedCorpus, length: int) -> int | None:
        """Returns the number of sequences to train on, of at most so many tokens, each of which may have its own row.

        None where rows go on from batch to batch.
        """

    def batches(self, corpus: PreparedCorpus, training: TrainingConfig) -> TrainingBatches:
        """Returns the order in which a run reads its corpus."""

    def validate(
        self, corpus: PreparedCorpus, model: SequenceModel, training: TrainingConfig, *, is_last: bool
    ) -> Validation:
        """Measures a model on the validation part, which has a stretch: on all of it, or all there is time for, if
        it is the last time.
        """

    def write_sample(self, folder: Path, corpus: PreparedCorpus, model: SequenceModel, step: int) -> str | None:
        """Writes what a model writes after a step into the folder of samples; returns it; None if it writes nothing."""

    def yardsticks(self, corpus: PreparedCorpus) -> dict[str, float]:
        """Returns the bits per unit that simpler models take on the validation part, by their names."""
