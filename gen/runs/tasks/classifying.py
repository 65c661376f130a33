"""To classify: a whole sequence in, one label out."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from gen.analysis.classification import classification, evidence, fitted
from gen.config import TrainingConfig
from gen.data.passages import Passages
from gen.data.split import Excerpt, evenly
from gen.errors import CorpusError
from gen.models.classifier import RecurrentClassifier
from gen.models.sequence_model import SequenceModel
from gen.runs.prepared import PreparedCorpus
from gen.runs.tasks.task import Validation

VALID_TOKENS = 1 << 17  # of a validation while training: always the same passages
FINAL_VALID_TOKENS = 1 << 22  # of the last one
MAX_NAMED = 5  # labels in a line
HINT = "--label-column NAME for a table, or a sub-folder of files for each label"


class Classifying:
    """The task of a classifier."""

    def check(self, corpus: PreparedCorpus) -> None:
        """Raises CorpusError unless there are documents of two labels."""
        place = ", ".join(corpus.options.sources)
        if len(corpus.label_names) < 2:
            raise CorpusError(f"{place}: no two labels to learn", hint=HINT)

    def words(self, corpus: PreparedCorpus, _training: TrainingConfig) -> str:
        """Returns the share of the commonest label, the documents without one, and the labels of one document."""
        store = corpus.store
        num_without, *counts = np.bincount(store.labels, minlength=len(store.label_names) + 1).tolist()
        most = f"; the commonest has {100 * max(counts) / sum(counts):.1f} % of the documents"
        alone = [name for name, count in zip(store.label_names, counts, strict=True) if count == 1]
        without = f"; {num_without:,} documents without one are left out" if num_without else ""
        more = f" and {len(alone) - MAX_NAMED} more" if len(alone) > MAX_NAMED else ""
        return most + without + (f"; of one document each: {', '.join(alone[:MAX_NAMED])}{more}" if alone else "")

    def num_sequences(self, corpus: PreparedCorpus, length: int) -> int:
        """Returns the number of passages, if all documents are cut from their beginnings on."""
        return int(_num_passages(corpus.train, length).sum())

    def batches(self, corpus: PreparedCorpus, training: TrainingConfig) -> Passages:
        """Returns passages of documents in random order."""
        weights = balanced(corpus.train, corpus.label_names, training.bptt) if training.balance_labels else None
        return Passages(
            corpus.train,
            batch_size=training.batch_size,
            length=training.bptt,
            seed=training.seed,
            class_weights=weights,
        )

    def validate(
        self, corpus: PreparedCorpus, model: SequenceModel, training: TrainingConfig, *, is_last: bool
    ) -> Validation:
        """Measures nats and accuracy: of whole documents the last time, else of passages spread evenly."""
        classifier, length = cast(RecurrentClassifier, model), training.bptt
        excerpt, max_tokens = corpus.valid, FINAL_VALID_TOKENS if is_last else VALID_TOKENS
        found = evidence(
            classifier,
            replace(excerpt, stretches=evenly(excerpt.stretches, max_tokens, window=length)),
            length=length,
        )
        certainty = fitted(found)
        result = classification(found.log_probs(certainty), found.labels, corpus.label_names)
        figures = {
            "valid_accuracy": result.accuracy,
            "valid_macro_f1": result.macro_f1,
            "evidence_power": certainty.power,
        }
        return Validation(result.nats, None, certainty.logit_scale, figures)

    def write_sample(self, folder: Path, corpus: PreparedCorpus, model: SequenceModel, step: int) -> None:
        """Writes nothing."""

    def yardsticks(self, corpus: PreparedCorpus) -> dict[str, float]:  # noqa: ARG002 - none for any corpus
        """Returns none: there are no bits to compare."""
        return {}


def balanced(part: Excerpt, label_names: Sequence[str], length: int) -> NDArray[np.float32]:
    """Returns (K,) weights with which all labels that occur weigh the same, and a passage weighs 1 in the mean."""
    labels = part.stretches.columns().labels
    counts = np.bincount(labels, _num_passages(part, length), minlength=len(label_names) + 1)[1:]
    weights: NDArray[np.float64] = counts.sum() / np.maximum(counts, 1) / np.count_nonzero(counts)
    return weights.astype(np.float32)


def _num_passages(part: Excerpt, length: int) -> NDArray[np.int64]:
    """Returns (D,) the passages of each document."""
    columns = part.stretches.columns()
    found: NDArray[np.int64] = np.maximum(1, -(-(columns.stops - columns.starts) // length))
    return found
