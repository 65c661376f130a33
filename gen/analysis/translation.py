"""Measures of a translator on pairs: the nats of the targets, and the errors in what it writes.

A source may have several targets in a corpus. An answer is right if it is one of them; otherwise its errors are counted
against the nearest: the fewest insertions, deletions and substitutions that make the one of the other (Levenshtein
1966), of symbols or of words between blanks. An error rate is their number divided by the length of these targets.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gen.analysis.evaluate import evaluating
from gen.data.mapped import let_go
from gen.data.pairs import PairColumns, side_by_side
from gen.data.split import Excerpt
from gen.errors import CorpusError
from gen.models.translator import RecurrentTranslator

MAX_TOKENS = 1 << 14  # of sources or targets that are read side by side


@dataclass(frozen=True, slots=True)
class Translation:
    """Measures of how well a translator writes the targets of a corpus."""

    nats_per_symbol: float  # of the targets, with their ends
    exact: float  # share of the sources whose answer is one of their targets
    symbol_error_rate: float
    word_error_rate: float
    sources: int
    pairs: int
    symbols: int  # of all targets
    beam: int  # 1: the likeliest symbol at every step

    def to_json(self) -> dict[str, Any]:
        """Returns JSON data."""
        return asdict(self)


def target_logits(model: RecurrentTranslator, excerpt: Excerpt, pairs: PairColumns) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields (B, T, V) logits and their (B, T) targets, IGNORED where padded, for pairs of similar length together.

    Args:
        model: on any device; it runs in eval mode, and in the precision of its weights.
        excerpt: that the pairs are of.
        pairs: at least one.

    Raises CorpusError if there is no pair.
    """
    if not len(pairs.starts):
        raise CorpusError("evaluation: the corpus has no pair to measure on (0)")
    longest = np.maximum(pairs.source_lengths, pairs.target_lengths)
    order = np.argsort(-longest, kind="stable")
    with evaluating(model), torch.no_grad():
        while len(order):
            num_rows = max(1, MAX_TOKENS // int(longest[order[0]]))
            batch = side_by_side(excerpt, pairs.take(order[:num_rows]))
            let_go(excerpt.ids)
            sources, lengths, inputs, targets = (torch.from_numpy(part).to(model.device) for part in batch.arrays())
            yield model(inputs, model.encode(sources, lengths)), targets
            order = order[num_rows:]


def errors(answer: Sequence[Any], references: Sequence[Sequence[Any]]) -> tuple[int, int]:
    """Returns the edit distance of an answer to the nearest of its references, and the length of that.

    Args:
        references: at least one; of several that are equally near, the first counts.
    """
    distances = [edit_distance(answer, reference) for reference in references]
    nearest = int(np.argmin(distances))
    return distances[nearest], len(references[nearest])


def edit_distance(first: Sequence[Any], second: Sequence[Any]) -> int:
    """Returns the fewest insertions, deletions and substitutions that make one sequence of another (Levenshtein 1966).

    A row of the table at a time: what comes from the left is a running minimum.
    """
    if first == second:
        return 0
    index = {item: number for number, item in enumerate(dict.fromkeys((*first, *second)))}
    rows, columns = ([index[item] for item in items] for items in (first, second))
    across = np.arange(len(columns) + 1)
    row, wanted = across, np.array(columns)
    for number, item in enumerate(rows, 1):
        above = np.minimum(row[1:] + 1, row[:-1] + (wanted != item))
        found = np.concatenate(([number], above))
        row = np.minimum.accumulate(found - across) + across
    return int(row[-1])


def translation(
    answers: Sequence[str], references: Sequence[Sequence[str]], *, nats: float, pairs: int, symbols: int, beam: int
) -> Translation:
    """Compares the answers for some sources with their targets.

    Args:
        answers: one for each source.
        references: the targets of each source.
        nats: of all targets together, with their ends.
        pairs, symbols: the number of targets, and of their characters.
        beam: with which the answers were found.
    """
    exact = [answer in known for answer, known in zip(answers, references, strict=True)]
    of_symbols = np.sum([errors(*pair) for pair in zip(answers, references, strict=True)], 0)
    of_words = np.sum(
        [
            errors(answer.split(), [known.split() for known in targets])
            for answer, targets in zip(answers, references, strict=True)
        ],
        0,
    )
    return Translation(
        nats_per_symbol=nats / (symbols + pairs),
        exact=sum(exact) / len(exact),
        symbol_error_rate=float(of_symbols[0] / of_symbols[1]),
        word_error_rate=float(of_words[0] / of_words[1]),
        sources=len(answers),
        pairs=pairs,
        symbols=symbols,
        beam=beam,
    )
