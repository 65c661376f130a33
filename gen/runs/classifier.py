"""Labels for documents, from a trained run of either kind.

A run that was trained to classify answers with its network. A run that writes, and was trained with labels, answers by
Bayes: the label under which it finds a document likeliest.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from gen.analysis.bayes import log_probs_by_bayes
from gen.analysis.classification import Certainty, Classification, classification, evidence
from gen.analysis.evaluate import OnProgress
from gen.corpus.encoding import EMPTY_DOCUMENTS
from gen.data.split import Excerpt
from gen.errors import SettingError
from gen.models.classifier import RecurrentClassifier
from gen.runs.run import Run
from gen.runs.trained import TrainedRun, as_argument, find_model_file, task_of

Sources = str | Path | Sequence[str | Path]


@dataclass(frozen=True, slots=True)
class Answer:
    """The label of a document.

    Args:
        document: its name.
        probabilities: of all labels, the likeliest first.
    """

    document: str
    probabilities: Mapping[str, float]

    @property
    def label(self) -> str:
        """The likeliest label."""
        return next(iter(self.probabilities))

    @property
    def probability(self) -> float:
        """The probability of that label."""
        return self.probabilities[self.label]


class Answers(NamedTuple):
    """The labels of the documents of a corpus, in its order."""

    answers: Iterator[Answer]
    num_empty: int  # documents without a symbol, which get no answer


class _Reader(Protocol):
    """Returns (D, K) the logarithms of the probabilities of the labels of documents."""

    def __call__(self, excerpt: Excerpt, on_progress: OnProgress | None) -> NDArray[np.float64]: ...


class Classifier:
    """Finds labels; made by `load_classifier`.

    Args:
        run: of either kind, with labels.
    """

    def __init__(self, run: TrainedRun) -> None:
        if not run.label_names:
            raise SettingError(
                f"{run.name}: was trained without labels, and can find none",
                hint="gen train CORPUS --task classify, with labels by sub-folder or --label-column",
            )
        self.run = run
        self.label_names = run.label_names
        self._read: _Reader = _by_bayes(run) if isinstance(run, Run) else _by_network(run)

    def classify(self, corpus: Sources, *, on_progress: OnProgress | None = None, **reading: Any) -> Answers:
        """Returns the labels of all documents of a corpus.

        Args:
            corpus: files, folders, "-" for standard input, or a built-in corpus; every row of a table is a document.
                "valid" or "test" for the run's own.
            on_progress: called with what is done, and all there is to do.
            reading: fields of Reading, such as encoding="latin-1"; only for another corpus than the run's own. Its
                labels are not looked at, and characters that the model lacks are left out.

        Raises GenError if the corpus cannot be had.
        """
        unlabelled = {} if corpus in ("valid", "test") else {"labels": "none", "label_column": None}
        store, excerpt = self.run.stored_excerpt(corpus, **{"unknown": "skip", **unlabelled, **reading})
        starts = excerpt.stretches.columns().starts
        names = map(store.name, (np.searchsorted(store.starts, starts, side="right") - 1).tolist())
        answers = self._answers(names, self._read(excerpt, on_progress))
        return Answers(answers, store.report.findings[EMPTY_DOCUMENTS])

    def evaluate(
        self, corpus: Sources = "valid", *, on_progress: OnProgress | None = None, **reading: Any
    ) -> Classification:
        """Compares labels with those that the documents of a corpus have.

        Args:
            corpus: "valid" or "test" for the run's own, else as in `classify`.
            on_progress: as in `classify`.
            reading: as in `classify`; only for another corpus than the run's own.

        Raises GenError if the corpus cannot be had, or none of its documents has a label that the model knows.
        """
        excerpt = self.run.excerpt(corpus, **reading)
        labels = excerpt.stretches.columns().labels.astype(np.int64) - 1
        return classification(self._read(excerpt, on_progress), labels, self.label_names)

    def _answers(self, names: Iterable[str], log_probs: NDArray[np.float64]) -> Iterator[Answer]:
        for name, row in zip(names, log_probs, strict=True):
            order = np.argsort(-row, kind="stable").tolist()
            yield Answer(name, {self.label_names[k]: float(np.exp(row[k])) for k in order})


def load_classifier(run: str | Path, *, device: str = "auto") -> Classifier:
    """Loads a run that finds labels: one that was trained to classify, or one that writes and knows labels.

    Args:
        run: the name of a folder under checkpoints/, a path to one, or a model.safetensors.
        device: "auto", "cpu", "cuda" or "mps".

    Raises:
        CheckpointError: there is no such run, or its file is damaged, foreign or newer.
        SettingError: it knows no labels.
    """
    path = find_model_file(run)
    if task_of(path) == "tag":
        raise SettingError(
            f"{run}: tags words, and finds no labels of documents", hint=f"gen tag {as_argument(path)} FILE"
        )
    kind = Run if task_of(path) == "write" else TrainedRun
    return Classifier(kind(path, device=device))


def _by_network(run: TrainedRun) -> _Reader:
    model, result = cast(RecurrentClassifier, run.model), run.header.result
    certainty = Certainty(run.header.logit_scale, float(result.get("evidence_power", 1.0)))
    length = run.header.training.bptt

    def read(excerpt: Excerpt, on_progress: OnProgress | None) -> NDArray[np.float64]:
        return evidence(model, excerpt, length=length, on_progress=on_progress).log_probs(certainty)

    return read


def _by_bayes(run: Run) -> _Reader:
    num_labels, vocab_size = len(run.label_names), len(run.codec.vocab)

    def read(excerpt: Excerpt, on_progress: OnProgress | None) -> NDArray[np.float64]:
        return log_probs_by_bayes(
            run.model, excerpt, num_labels=num_labels, vocab_size=vocab_size, on_progress=on_progress
        )

    return read
