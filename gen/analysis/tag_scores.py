"""Measures of how often a tagger is right.

Beside the accuracy of all words stands that of the words that the training part does not have: there a tagger shows
whether it has learnt more than a list of words. The baseline is such a list (`gen.analysis.lexicon`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gen.analysis.classification import macro_f1
from gen.analysis.lexicon import Lexicon, words_of
from gen.analysis.spans import SpanScores, has_spans, span_scores
from gen.analysis.tagging import Answers
from gen.data.split import Excerpt
from gen.data.tagging import NO_TAG
from gen.errors import CorpusError

FOREIGN_TAG = "I-\ufffd"  # in the place of a tag that the model does not know: several in a row are a span


@dataclass(frozen=True, slots=True)
class Tagging:
    """Measures of how often a tagger is right, over words."""

    nats: float  # of the right tag, mean over words whose tag the model knows
    accuracy: float
    macro_f1: float  # mean over the tags that occur of the harmonic mean of precision and recall
    num_words: int
    num_foreign: int  # words whose tag the model does not know
    num_unknown: int | None  # words that the training part does not have; None if that part cannot be read
    unknown_accuracy: float | None  # of these words; None if there is none
    baseline_accuracy: float | None  # of the tag that a word most often has in training
    spans: SpanScores | None  # None unless the tags are by the scheme IOB
    labels: tuple[str, ...]  # names of the tags
    confusion: tuple[tuple[int, ...], ...]  # [right tag][answer]

    def to_json(self) -> dict[str, Any]:
        """Returns JSON data."""
        spans = {} if self.spans is None else {f"span_{name}": value for name, value in self.spans._asdict().items()}
        return {
            "nats_per_word": self.nats,
            "accuracy": self.accuracy,
            "unknown_accuracy": self.unknown_accuracy,
            "baseline_accuracy": self.baseline_accuracy,
            "macro_f1": self.macro_f1,
            "words": self.num_words,
            "words_of_unknown_tags": self.num_foreign,
            "unknown_words": self.num_unknown,
            **spans,
            "labels": list(self.labels),
            "confusion": [list(row) for row in self.confusion],
        }


def tagging(
    answers: Answers, excerpt: Excerpt, names: Sequence[str], *, first_tag: int, lexicon: Lexicon | None
) -> Tagging:
    """Compares answers with the tags of the words; a tag that the model does not know is never right.

    Args:
        answers: to all words of `excerpt`.
        names: (K,) of the tags.
        first_tag: the lowest id of a tag.
        lexicon: of the training part; None if that cannot be read.

    Raises CorpusError if no word has a tag that the model knows.
    """
    is_known = answers.right != NO_TAG
    if not is_known.any():
        raise CorpusError("evaluation: no word has a tag that the model knows (0)")
    confusion = np.zeros((len(names), len(names)), np.int64)
    np.add.at(confusion, (answers.right[is_known], answers.tags[is_known]), 1)
    is_right = answers.right == answers.tags
    unknown, baseline = _by_lexicon(excerpt, lexicon, answers.right, first_tag)
    return Tagging(
        nats=answers.mean_nats,
        accuracy=float(is_right.mean()),
        macro_f1=macro_f1(confusion, others=np.bincount(answers.tags[~is_known], minlength=len(names))),
        num_words=len(is_right),
        num_foreign=int(np.count_nonzero(~is_known)),
        num_unknown=None if unknown is None else int(unknown.sum()),
        unknown_accuracy=float(is_right[unknown].mean()) if unknown is not None and unknown.any() else None,
        baseline_accuracy=baseline,
        spans=_spans(answers, excerpt, names, first_tag) if has_spans(names) else None,
        labels=tuple(names),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
    )


def _by_lexicon(
    excerpt: Excerpt, lexicon: Lexicon | None, right: NDArray[np.int64], first_tag: int
) -> tuple[NDArray[np.bool_] | None, float | None]:
    """Returns (N,) whether each word is missing in the training part, and the accuracy of the lexicon."""
    if lexicon is None:
        return None, None
    words = [word for word, _ in words_of(excerpt, first_tag=first_tag)]
    tags = np.array([lexicon.tag(word) for word in words])
    return np.array([word not in lexicon for word in words]), float(((tags == right) & (right != NO_TAG)).mean())


def _spans(answers: Answers, excerpt: Excerpt, names: Sequence[str], first_tag: int) -> SpanScores:
    known = (*names, FOREIGN_TAG)  # NO_TAG is the last of them
    sizes = [np.count_nonzero(excerpt.ids[each.start : each.stop] >= first_tag) for each in excerpt.stretches]
    bounds = np.cumsum(sizes)[:-1]
    right, found = (
        [[known[tag] for tag in sentence.tolist()] for sentence in np.split(tags, bounds)]
        for tags in (answers.right, answers.tags)
    )
    return span_scores(right, found)
