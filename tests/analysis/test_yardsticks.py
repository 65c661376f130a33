import bz2
import math
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest

from gen.analysis import yardsticks as module
from gen.analysis.yardsticks import bz2_bits_per_char, yardsticks
from gen.codec import IdArray
from gen.data.split import Excerpt
from gen.data.stretches import Stretch, Stretches
from gen.errors import CorpusError


class Split(NamedTuple):
    """The stretches of two parts of a corpus."""

    train: Sequence[Stretch]
    valid: Sequence[Stretch]


def skewed_ids(length: int, vocab_size: int, *, seed: int = 0) -> IdArray:
    drawn = np.random.default_rng(seed).geometric(0.15, length)
    return ((drawn * drawn) % (vocab_size - 2)).astype(np.uint16)


def yardsticks_of(ids: IdArray, split: Split, *, vocab_size: int) -> dict[str, float]:
    """Returns the yardsticks of a corpus whose begin and end are V - 2 and V - 1."""
    train, valid = (Excerpt(ids, Stretches(part), vocab_size - 2, vocab_size - 1) for part in split)
    return yardsticks(train, valid, vocab_size=vocab_size)


def histories(ids: IdArray, stretches: Sequence[Stretch], vocab_size: int) -> list[tuple[int, int, int]]:
    begin, end = vocab_size - 2, vocab_size - 1
    found: list[tuple[int, int, int]] = []
    for stretch in stretches:
        document = [begin, begin, *ids[stretch.start : stretch.stop].tolist(), *[end] * stretch.is_closed]
        found.extend(zip(document, document[1:], document[2:], strict=False))
    return found


def naive_trigram(ids: IdArray, split: Split, vocab_size: int) -> float:
    """Witten-Bell with dictionaries, a token at a time."""
    counts: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
    for first, second, target in histories(ids, split.train, vocab_size):
        for context in ((), (second,), (first, second)):
            counts[context][target] += 1

    def share(target: int, context: tuple[int, ...]) -> float:
        shorter = share(target, context[1:]) if context else 1 / (vocab_size - 1)
        seen = counts.get(context)
        return (seen[target] + len(seen) * shorter) / (seen.total() + len(seen)) if seen else shorter

    nats = [-math.log(share(c, (a, b))) for a, b, c in histories(ids, split.valid, vocab_size)]
    return math.fsum(nats) / len(nats)


SPLITS = [
    Split((Stretch(0, 900, 0, False),), (Stretch(900, 1000, 0, True),)),
    Split(
        (Stretch(0, 300, 1, True), Stretch(400, 800, 2, True)),
        (Stretch(300, 400, 1, True), Stretch(800, 801, 2, True), Stretch(900, 1000, 0, False)),
    ),
    Split((Stretch(0, 1, 0, False),), (Stretch(1, 50, 0, True),)),
]


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("vocab_size", [12, 300, 60_000])
def test_trigram_equals_counting_with_dictionaries(split: Split, vocab_size: int) -> None:
    ids = skewed_ids(1000, vocab_size)
    found = yardsticks_of(ids, split, vocab_size=vocab_size)["trigram"]
    assert found == pytest.approx(naive_trigram(ids, split, vocab_size), rel=1e-12)


def test_unigram_is_the_cross_entropy_of_the_counts_plus_one() -> None:
    ids = np.array([0, 0, 1, 0, 2, 1], dtype=np.uint8)  # V = 5: three symbols, begin, end
    split = Split((Stretch(0, 4, 0, True),), (Stretch(4, 6, 0, True),))  # 0 0 1 0 end | 2 1 end
    expected = -(math.log(1 / 9) + math.log(2 / 9) + math.log(2 / 9)) / 3
    assert yardsticks_of(ids, split, vocab_size=5)["unigram"] == pytest.approx(expected)


def test_uniform_leaves_begin_out() -> None:
    assert yardsticks_of(skewed_ids(1000, 12), SPLITS[0], vocab_size=12)["uniform"] == math.log(11)


def test_more_context_costs_less_on_a_text_that_repeats() -> None:
    ids = np.tile(np.array([0, 1, 0, 2, 0, 3], dtype=np.uint8), 200)
    found = yardsticks_of(ids, Split((Stretch(0, 1000, 0, False),), (Stretch(1000, 1200, 0, True),)), vocab_size=6)
    assert found["trigram"] < 0.1 < found["unigram"] < found["uniform"]


def test_a_vocabulary_whose_cube_overflows_has_no_trigram() -> None:
    assert list(yardsticks_of(skewed_ids(1000, 12), SPLITS[0], vocab_size=2_000_001)) == ["uniform", "unigram"]


def test_of_a_larger_corpus_every_nth_stretch_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TRAIN_TOKENS", 300)
    ids = skewed_ids(1000, 12)
    documents = tuple(Stretch(start, start + 100, 0, True) for start in range(0, 900, 100))
    valid = (Stretch(900, 1000, 0, True),)
    found = yardsticks_of(ids, Split(documents, valid), vocab_size=12)
    assert found == yardsticks_of(ids, Split(documents[::3], valid), vocab_size=12)


def test_of_one_larger_text_the_first_tokens_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TRAIN_TOKENS", 300)
    ids = skewed_ids(1000, 12)
    valid = (Stretch(900, 1000, 0, True),)
    found = yardsticks_of(ids, Split((Stretch(0, 900, 0, True),), valid), vocab_size=12)
    assert found == yardsticks_of(ids, Split((Stretch(0, 300, 0, False),), valid), vocab_size=12)


def test_a_million_tokens_take_less_than_three_seconds() -> None:
    ids = skewed_ids(1_100_000, 67)
    start = time.process_time()
    yardsticks_of(
        ids, Split((Stretch(0, 1_000_000, 0, False),), (Stretch(1_000_000, 1_100_000, 0, True),)), vocab_size=67
    )
    assert time.process_time() - start < 3  # measured: 0.15


@pytest.mark.parametrize("part", ["training", "validation"])
def test_an_empty_part_is_a_corpus_error(part: str) -> None:
    full = (Stretch(0, 5, 0, True),)
    split = Split((), full) if part == "training" else Split(full, ())
    with pytest.raises(CorpusError, match=f"the {part} part has no token"):
        yardsticks_of(skewed_ids(5, 12), split, vocab_size=12)


@pytest.mark.parametrize("text", ["to be or not to be " * 50, "\u9053\u53ef\u9053\u975e\u5e38\u9053" * 30])
def test_bz2_counts_bits_a_character_not_a_byte(text: str) -> None:
    assert bz2_bits_per_char(text) == 8 * len(bz2.compress(text.encode(), 9)) / len(text)
