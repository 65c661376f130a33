"""The pairs of a corpus, grouped by their sources, and how a translator is measured on them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gen.analysis.evaluate import summed_nats
from gen.analysis.translation import Translation, target_logits, translation
from gen.codec import IdArray, decode
from gen.codecs.text.pairs import PairsCodec
from gen.data.pairs import PairColumns, find_pairs
from gen.data.split import Excerpt
from gen.generation.translation import Symbols, beam_search, greedy
from gen.models.translator import RecurrentTranslator

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class SourceGroups:
    """The pairs of an excerpt by their sources, in the order of the corpus.

    Args:
        excerpt: whose stretches are pairs.
        codec: of its ids.
        pairs: all of the excerpt.
        groups: the indices of the pairs of each source.
    """

    excerpt: Excerpt
    codec: PairsCodec
    pairs: PairColumns
    groups: Sequence[Sequence[int]]

    @classmethod
    def of(cls, excerpt: Excerpt, codec: PairsCodec) -> "SourceGroups":
        """Returns the groups of an excerpt."""
        pairs = find_pairs(excerpt, codec.separator)
        found: dict[bytes, list[int]] = {}
        for pair, (start, middle) in enumerate(zip(pairs.starts.tolist(), pairs.middles.tolist(), strict=True)):
            found.setdefault(np.asarray(excerpt.ids[start:middle]).tobytes(), []).append(pair)
        return cls(excerpt, codec, pairs, list(found.values()))

    def evenly(self, most: int) -> "SourceGroups":
        """Returns about so many of the groups at most, at even distances."""
        step = -(-len(self.groups) // most) or 1
        groups = self.groups[::step]
        indices = np.array([pair for group in groups for pair in group], np.int64)
        bounds = np.cumsum([0, *map(len, groups)])
        numbered = [range(start, stop) for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)]
        return SourceGroups(self.excerpt, self.codec, self.pairs.take(indices), numbered)

    def sources(self) -> list[list[int]]:
        """Returns the ids of each source, with the separator."""
        firsts = [group[0] for group in self.groups]
        return [self._ids(self.pairs.starts[pair], self.pairs.middles[pair] + 1).tolist() for pair in firsts]

    def references(self) -> list[list[str]]:
        """Returns the targets of each source."""
        return [[self._target(pair) for pair in group] for group in self.groups]

    @property
    def num_symbols(self) -> int:
        """The characters of all targets."""
        return int(self.pairs.target_lengths.sum()) - len(self.pairs.starts)

    def _target(self, pair: int) -> str:
        text: str = decode(self.codec, self._ids(self.pairs.middles[pair] + 1, self.pairs.stops[pair]))
        return text

    def _ids(self, start: int, stop: int) -> IdArray:
        return self.excerpt.ids[start:stop]


def symbols_of(codec: PairsCodec) -> Symbols:
    """Returns the ids that have a meaning of their own."""
    return Symbols(codec.separator, codec.vocab.begin, codec.vocab.end)


def translated(
    model: RecurrentTranslator,
    codec: PairsCodec,
    sources: Sequence[Sequence[int]],
    *,
    max_length: int,
    beam: int = 1,
    on_progress: OnProgress | None = None,
) -> list[str]:
    """Returns the targets that a model in eval mode finds for sources.

    Args:
        sources: their ids, with the separator.
        max_length: tokens after which a target ends by itself.
        beam: hypotheses of a search; 1 takes the likeliest symbol at every step.
        on_progress: called with the number of sources that are done, and of all.
    """
    order = sorted(range(len(sources)), key=lambda source: -len(sources[source]))  # similar ones side by side
    ordered, symbols = [sources[source] for source in order], symbols_of(codec)
    if beam == 1:
        found = greedy(model, ordered, symbols, max_length=max_length)
    else:
        searched = beam_search(model, ordered, symbols, beam=beam, max_length=max_length)
        found = (hypothesis.tokens for hypothesis in searched)
    texts = [""] * len(sources)
    for number, (source, tokens) in enumerate(zip(order, found, strict=True), 1):
        texts[source] = decode(codec, tokens)
        if on_progress is not None:
            on_progress(number, len(sources))
    return texts


def measured(
    model: RecurrentTranslator,
    groups: SourceGroups,
    *,
    max_length: int,
    beam: int = 1,
    on_progress: OnProgress | None = None,
) -> Translation:
    """Measures a translator, whose logits are used as they are.

    Args:
        model: on any device, in eval mode.
        groups: of the pairs to measure on.
        max_length, beam, on_progress: as in `translated`.

    Raises CorpusError if there is no pair.
    """
    nats = sum(summed_nats(*found) for found in target_logits(model, groups.excerpt, groups.pairs))
    sources = groups.sources()
    answers = translated(model, groups.codec, sources, max_length=max_length, beam=beam, on_progress=on_progress)
    return translation(
        answers,
        groups.references(),
        nats=nats,
        pairs=len(groups.pairs.starts),
        symbols=groups.num_symbols,
        beam=beam,
    )
