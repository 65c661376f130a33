"""Two runs beside each other: what each character or note costs the one more than the other."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from gen.runs.surprise import CorpusCosts, CostedDocument, LocatedPassage, Nats, most_surprising


def differences(first: CorpusCosts, other: CorpusCosts) -> list[Nats] | None:
    """Returns for each document of the first (S,) nats: those of the other run less those of the first.

    A character that the other run lacks, so that `--unknown skip` left it out, has NaN. Returns None where the two
    cannot be compared: other documents, or music whose notes are not the same.
    """
    if [document.name for document in first.documents] != [document.name for document in other.documents]:
        return None
    found = []
    for ours, theirs in zip(first.documents, other.documents, strict=True):
        nats = _aligned(ours, theirs)
        if nats is None:
            return None
        found.append(nats - ours.nats)
    return found


def largest_differences(documents: Sequence[CostedDocument], found: Sequence[Nats]) -> list[LocatedPassage]:
    """Returns the passages that differ most, either way, the largest difference first."""
    worse = most_surprising(documents, found)
    better = [passage._replace(nats=-passage.nats) for passage in most_surprising(documents, [-nats for nats in found])]
    both = sorted((*worse, *better), key=lambda passage: -abs(passage.nats))
    return [passage for passage in both if passage.nats][: len(worse)]


def _aligned(ours: CostedDocument, theirs: CostedDocument) -> Nats | None:
    """Returns (S,) the nats of the other document at our pieces; None if these are other notes."""
    if ours.note_places:
        is_same = len(ours.pieces) == len(theirs.pieces) and _pitches(ours) == _pitches(theirs)
        return theirs.nats if is_same else None
    nats = np.full(len(ours.pieces), np.nan)
    for place, other in _matches(ours.pieces, theirs.pieces):
        nats[place] = theirs.nats[other]
    return nats


def _pitches(document: CostedDocument) -> list[Any]:
    return [(note.pitch, note.is_drum) for note in document.pieces]


def _matches(ours: Sequence[str], theirs: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yields the indices at which two texts have the same character.

    Both are one text, from which each has left out all of the characters that its codec lacks. So where they differ,
    at least one of the two characters is missing from the other text altogether.
    """
    known = set(theirs)
    place = other = 0
    while place < len(ours) and other < len(theirs):
        if ours[place] == theirs[other]:
            yield place, other
            place, other = place + 1, other + 1
        elif ours[place] not in known:
            place += 1
        else:
            other += 1
