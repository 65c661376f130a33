"""Labels that a classifier gives to documents, and how often they are right.

A document is read in passages. What each of them says, the logarithm of the probability of each label, is added up.
Passages of one document repeat what others have said, so a plain sum would be too sure. The sum of n passages is
therefore multiplied by n^(p - 1): with a power p of 1 every passage counts in full, with 0 a document is no surer than
a passage. Two numbers are fitted to the validation part: a factor on all logits (Guo et al. 2017, as in
`gen.analysis.calibrate`), and that power.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from gen.analysis.evaluate import evaluating
from gen.data.mapped import let_go
from gen.data.passages import padded
from gen.data.split import Excerpt
from gen.data.stretches import Columns, Stretches
from gen.errors import CorpusError

MAX_TOKENS = 1 << 15  # of passages that are read side by side
SCALES = np.geomspace(0.1, 2.0, 61)  # of the logits
POWERS = np.linspace(0.0, 1.0, 21)

OnProgress = Callable[[int, int], None]


class PassageClassifier(Protocol):
    """A model of passages: an nn.Module with the interface of `RecurrentClassifier`."""

    def __call__(self, tokens: Tensor, lengths: Tensor) -> Tensor: ...
    def parameters(self) -> Iterator[nn.Parameter]: ...
    def modules(self) -> Iterator[nn.Module]: ...
    def eval(self) -> Any: ...


class HasConfusion(Protocol):
    """A measure of answers that has their confusion table."""

    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def confusion(self) -> tuple[tuple[int, ...], ...]: ...


class Certainty(NamedTuple):
    """Limits on how sure a classifier is, fitted to documents that it was not trained on."""

    logit_scale: float = 1.0
    power: float = 1.0  # of the number of passages


class Evidence(NamedTuple):
    """The answers of the passages of D documents, before they are added up."""

    logits: Tensor  # (P, K) float32, on the CPU
    documents: NDArray[np.int64]  # (P,) the document of each passage, ascending
    labels: NDArray[np.int64]  # (D,) of the documents, from 0; -1 for none

    def log_probs(self, certainty: Certainty) -> NDArray[np.float64]:
        """Returns (D, K) the logarithms of the probabilities of the labels."""
        each = functional.log_softmax(self.logits.double() * certainty.logit_scale, 1).numpy()
        counts = np.bincount(self.documents)  # every document has a passage
        sums = np.add.reduceat(each, np.cumsum(counts) - counts)
        weighted = sums * counts[:, None] ** (certainty.power - 1.0)
        found: NDArray[np.float64] = functional.log_softmax(torch.from_numpy(weighted), 1).numpy()
        return found


@dataclass(frozen=True, slots=True)
class Classification:
    """Measures of how often a classifier is right."""

    nats: float  # of the right label, mean over documents
    accuracy: float
    macro_f1: float  # mean over the labels that occur of the harmonic mean of precision and recall
    num_documents: int
    majority: float  # accuracy of answering always with the commonest label
    labels: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]  # [right label][answer]

    def to_json(self) -> dict[str, Any]:
        """Returns JSON data."""
        return {
            "nats_per_document": self.nats,
            "accuracy": self.accuracy,
            "macro_f1": self.macro_f1,
            "documents": self.num_documents,
            "majority": self.majority,
            "labels": list(self.labels),
            "confusion": [list(row) for row in self.confusion],
        }


def evidence(
    model: PassageClassifier, excerpt: Excerpt, *, length: int, on_progress: OnProgress | None = None
) -> Evidence:
    """Reads documents.

    Args:
        model: on any device; it runs in eval mode, and in the precision of its weights.
        excerpt: the documents.
        length: of the longest passages, in ids; a longer document is read in passages of equal length.
        on_progress: called with the number of passages that are done, and of all.
    """
    passages, documents = passages_of(excerpt.stretches, length)
    order = np.argsort(-passages.num_targets, kind="stable")  # passages of similar length side by side
    device, parts = next(model.parameters()).device, []
    num_rows = max(1, MAX_TOKENS // (length + 1))
    with evaluating(model), torch.no_grad():
        for start in range(0, len(order), num_rows):
            rows = padded(excerpt.ids, passages.take(order[start : start + num_rows]), begin=excerpt.begin)
            let_go(excerpt.ids)
            tokens, lengths = (torch.from_numpy(array).to(device) for array in (rows.tokens, rows.lengths))
            parts.append(model(tokens, lengths).float().cpu())
            if on_progress is not None:
                on_progress(min(start + num_rows, len(order)), len(order))
    logits = torch.cat(parts)[torch.from_numpy(np.argsort(order, kind="stable"))]
    return Evidence(logits, documents, excerpt.stretches.columns().labels.astype(np.int64) - 1)


def passages_of(stretches: Stretches, length: int) -> tuple[Columns, NDArray[np.int64]]:
    """Cuts documents into passages of equal length, at most `length` ids; returns them, and the document of each."""
    whole = stretches.columns()
    sizes = whole.stops - whole.starts
    counts = np.maximum(1, -(-sizes // length))
    documents = np.repeat(np.arange(len(sizes)), counts)
    number = np.arange(len(documents)) - np.repeat(np.cumsum(counts) - counts, counts)
    size, count, start = sizes[documents], counts[documents], whole.starts[documents]
    starts, stops = start + size * number // count, start + size * (number + 1) // count
    is_last = number + 1 == count
    return Columns(starts, stops, whole.labels[documents], whole.is_closed[documents] & is_last), documents


def fitted(found: Evidence) -> Certainty:
    """Returns the certainty with which labelled documents have the fewest nats."""
    passages = Evidence(found.logits, np.arange(len(found.documents)), found.labels[found.documents])
    scale = min(SCALES.tolist(), key=lambda scale: nats_of(passages, Certainty(scale)))
    if len(found.documents) == len(found.labels):
        return Certainty(scale)
    return Certainty(scale, min(POWERS.tolist(), key=lambda power: nats_of(found, Certainty(scale, power))))


def nats_of(found: Evidence, certainty: Certainty) -> float:
    """Returns the mean nats of the labels of the labelled documents."""
    return _mean_nats(found.log_probs(certainty), found.labels)


def _mean_nats(log_probs: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Returns the mean nats of the labels of the labelled documents, from (D, K) and (D,)."""
    is_known = labels >= 0
    return max(0.0, -float(log_probs[is_known, labels[is_known]].mean()))  # no -0.0 where a model is certain


def classification(log_probs: NDArray[np.float64], labels: NDArray[np.int64], names: Sequence[str]) -> Classification:
    """Compares answers with the labels of documents; those without a label do not count.

    Args:
        log_probs: (D, K).
        labels: (D,) from 0; -1 for none.
        names: (K,) of the labels.

    Raises CorpusError if no document has a label.
    """
    is_known = labels >= 0
    if not is_known.any():
        raise CorpusError("evaluation: no document has a label that the model knows (0)")
    nats = _mean_nats(log_probs, labels)
    labels, answers = labels[is_known], log_probs[is_known].argmax(1)
    confusion = np.zeros((len(names), len(names)), np.int64)
    np.add.at(confusion, (labels, answers), 1)
    counts = confusion.sum(1)
    return Classification(
        nats=nats,
        accuracy=float(np.trace(confusion) / len(labels)),
        macro_f1=macro_f1(confusion),
        num_documents=len(labels),
        majority=float(counts.max() / len(labels)),
        labels=tuple(names),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
    )


def macro_f1(confusion: NDArray[np.int64], *, others: NDArray[np.int64] | int = 0) -> float:
    """Returns the mean of 2 right / (wanted + answered) over the labels that occur.

    Args:
        confusion: (K, K) counts by right label and answer.
        others: (K,) the answers where none of these labels is right.
    """
    right, wanted, answered = np.diag(confusion), confusion.sum(1), confusion.sum(0) + others
    return float((2 * right / np.maximum(1, wanted + answered))[wanted > 0].mean())
