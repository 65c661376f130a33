"""The words of a training part, each with its commonest tag: what a tagger has to be better than."""

from collections import Counter, defaultdict
from collections.abc import Iterator

import numpy as np

from gen.data.mapped import let_go
from gen.data.split import Excerpt
from gen.data.tagging import NO_TAG


class Lexicon:
    """The words of the training part, each with the tag that it most often has there.

    Args:
        training: the part that a run was trained on.
        first_tag: the lowest id of a tag.
    """

    def __init__(self, training: Excerpt, *, first_tag: int) -> None:
        counts: defaultdict[bytes, Counter[int]] = defaultdict(Counter)
        totals = Counter[int]()
        for word, tag in words_of(training, first_tag=first_tag):
            counts[word][tag] += 1
            totals[tag] += 1
        self._commonest = _commonest(totals) if totals else NO_TAG
        self._tags = {word: _commonest(tags) for word, tags in counts.items()}

    def __contains__(self, word: bytes) -> bool:
        return word in self._tags

    def tag(self, word: bytes) -> int:
        """Returns the tag that a word most often has; for a word that does not occur the commonest of all."""
        return self._tags.get(word, self._commonest)


def words_of(excerpt: Excerpt, *, first_tag: int) -> Iterator[tuple[bytes, int]]:
    """Yields the words of an excerpt, as the bytes of their ids, each with the number of its tag from 0, or NO_TAG."""
    for stretch in excerpt.stretches:
        ids = np.asarray(excerpt.ids[stretch.start : stretch.stop], np.uint32)
        data, start = ids.tobytes(), 0
        for end in np.flatnonzero(ids >= first_tag).tolist():
            yield data[4 * start : 4 * end], int(ids[end]) - first_tag - 1
            start = end + 1
    let_go(excerpt.ids)


def _commonest(tags: Counter[int]) -> int:
    """Returns the commonest tag; of several the one with the lowest number."""
    return min(tags, key=lambda tag: (-tags[tag], tag))
