"""Spans of words, such as names, that tags by the scheme IOB mark: precision, recall and F1 as conlleval counts them.

`B-X` begins a span of type X, `I-X` is in one, `O` is in none (Tjong Kim Sang & De Meulder 2003). As in that script, an
`I-X` that follows no span of type X begins one. A span is right if its first word, its last and its type are.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

OUTSIDE = "O"


class Span(NamedTuple):
    """Words of one type: those at `start` up to but not including `stop`."""

    start: int
    stop: int
    kind: str


class SpanScores(NamedTuple):
    """The share of the spans found that are right, the share of the right ones that are found, and F1 of both."""

    precision: float
    recall: float
    f1: float


def has_spans(tags: Iterable[str]) -> bool:
    """Returns whether tags are by the scheme IOB: each is O, or B- or I- and a type, and there is one of the latter."""
    inside = [tag for tag in tags if tag != OUTSIDE]
    return bool(inside) and all(tag[:2] in ("B-", "I-") and len(tag) > 2 for tag in inside)


def spans(tags: Sequence[str]) -> Iterator[Span]:
    """Yields the spans of the tags of one sentence."""
    start, kind = 0, ""  # of the span that is open; no kind for none
    for n, tag in enumerate([*tags, OUTSIDE]):
        mark, _, found = tag.partition("-")
        if kind and (mark != "I" or found != kind):
            yield Span(start, n, kind)
            kind = ""
        if found and not kind:
            start, kind = n, found


def span_scores(right: Iterable[Sequence[str]], answers: Iterable[Sequence[str]]) -> SpanScores:
    """Compares the spans of the tags of sentences with those of the answers; a share of nothing is 0."""
    num_right = num_wanted = num_found = 0
    for wanted, found in zip(right, answers, strict=True):
        both = set(spans(wanted)), set(spans(found))
        num_right += len(both[0] & both[1])
        num_wanted, num_found = num_wanted + len(both[0]), num_found + len(both[1])
    return SpanScores(
        precision=num_right / max(1, num_found),
        recall=num_right / max(1, num_wanted),
        f1=2 * num_right / max(1, num_wanted + num_found),
    )
