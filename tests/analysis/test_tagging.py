"""Answers of a tagger in the order of an excerpt, and how often they are right."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gen.analysis import tagging as reading
from gen.analysis.lexicon import Lexicon
from gen.analysis.tag_scores import tagging
from gen.analysis.tagging import read_tags
from gen.codecs.text.tagged import TaggedCodec
from gen.data.split import Excerpt, whole
from gen.data.tagging import NO_TAG
from gen.errors import CorpusError

CODEC = TaggedCodec("abcd", ("B-x", "I-x", "O"))
Sentences = list[str]


def new_excerpt(sentences: Sentences) -> Excerpt:
    """Returns sentences that are given as "word/tag word/tag"."""
    pairs = [[word.split("/") for word in sentence.split()] for sentence in sentences]
    ids = [CODEC.encode_words([w for w, _ in sentence], [t for _, t in sentence]) for sentence in pairs]
    starts = np.cumsum([0, *map(len, ids)])
    labels = np.zeros(len(sentences), np.int32)
    return Excerpt(np.concatenate(ids), whole(starts, labels), CODEC.vocab.begin, CODEC.vocab.end)


class ByFirstLetter(nn.Module):
    """A tagger that gives a word the tag with the number of its first letter, of a to c, with logits 2 and 0."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, tokens: Tensor, lengths: Tensor, boundaries: Tensor, num_words: Tensor) -> Tensor:
        assert lengths.tolist() == [int(boundaries[row, num]) + 1 for row, num in enumerate(num_words)]
        first = tokens.gather(1, (boundaries[:, :-1] + 1).clamp(max=tokens.shape[1] - 1)).clamp(max=2)
        return 2.0 * nn.functional.one_hot(first, 3).float()


SENTENCES = ["a/B-x bb/I-x c/O", "ab/O", "b/I-x a/B-x", "cc/I-x ca/Z c/O a/B-x"]


@pytest.mark.parametrize("max_tokens", [1, 9, 1 << 14])
@pytest.mark.parametrize("length", [4, 100])
def test_answers_stand_in_the_order_of_the_words(monkeypatch: pytest.MonkeyPatch, max_tokens: int, length: int) -> None:
    monkeypatch.setattr(reading, "MAX_TOKENS", max_tokens)
    seen: list[tuple[int, int]] = []

    found = read_tags(
        ByFirstLetter(),
        new_excerpt(SENTENCES),
        length=length,
        first_tag=CODEC.first_tag,
        on_progress=lambda done, total: seen.append((done, total)),
    )

    assert found.tags.tolist() == [0, 1, 2, 0, 1, 0, 2, 2, 2, 0]
    assert found.right.tolist() == [0, 1, 2, 2, 1, 0, 1, NO_TAG, 2, 0]
    assert seen[-1][0] == seen[-1][1] >= 4
    surest = np.exp(2) / (np.exp(2) + 2)
    assert found.probabilities == pytest.approx([surest] * 10, rel=1e-6)
    assert found.nats == pytest.approx(-7 * np.log(surest) - 2 * np.log((1 - surest) / 2), rel=1e-5)


def test_probabilities_and_nats_are_those_of_scaled_logits() -> None:
    found = read_tags(ByFirstLetter(), new_excerpt(SENTENCES), length=100, first_tag=CODEC.first_tag, logit_scale=0.5)

    surest = np.e / (np.e + 2)
    assert found.probabilities == pytest.approx([surest] * 10, rel=1e-6)
    assert found.nats == pytest.approx(-7 * np.log(surest) - 2 * np.log((1 - surest) / 2), rel=1e-5)


def test_the_calibrated_factor_has_the_fewest_nats_of_all() -> None:
    found = read_tags(ByFirstLetter(), new_excerpt(SENTENCES), length=100, first_tag=CODEC.first_tag)

    nats, scale = found.calibrated()

    def of(scale: float) -> float:
        total = np.log(np.exp(2 * scale) + 2)
        return float((9 * total - 7 * 2 * scale) / 9)

    assert nats == pytest.approx(of(scale), abs=1e-4)
    assert nats == pytest.approx(min(of(each) for each in np.linspace(0.5, 1.3, 81)), abs=1e-4)


def scores(training: Sentences | None, sentences: Sentences = SENTENCES) -> Any:
    excerpt = new_excerpt(sentences)
    found = read_tags(ByFirstLetter(), excerpt, length=100, first_tag=CODEC.first_tag)
    lexicon = None if training is None else Lexicon(new_excerpt(training), first_tag=CODEC.first_tag)
    return tagging(found, excerpt, CODEC.tags, first_tag=CODEC.first_tag, lexicon=lexicon)


def test_measures_are_those_of_the_answers_by_hand() -> None:
    result = scores(["a/B-x c/O c/O c/I-x", "bb/O"])

    assert result.accuracy == 0.7  # ab, cc and ca are wrong
    assert result.confusion == ((3, 0, 0), (0, 2, 1), (1, 0, 2))
    assert result.macro_f1 == pytest.approx((6 / 7 + 4 / 5 + 4 / 7) / 3)  # the word of another tag counts for I-x
    assert (result.num_words, result.num_unknown) == (10, 4)  # ab b cc ca
    assert result.unknown_accuracy == 1 / 4
    # The lexicon has a: B-x, c: O, bb: O, and O for all others: right of a, c, ab, a, c and a.
    assert result.baseline_accuracy == 6 / 10
    # Wanted: 0-2, none, b and a, cc with the unknown tag in two, and a. Found: 0-2, ab, b and a, a.
    assert result.spans.precision == 4 / 5
    assert result.to_json()["span_f1"] == result.spans.f1


def test_without_the_training_part_words_that_it_lacks_are_not_told_apart() -> None:
    data = scores(None).to_json()

    assert data["unknown_accuracy"] is data["unknown_words"] is data["baseline_accuracy"] is None


def test_a_corpus_of_foreign_tags_cannot_be_measured() -> None:
    with pytest.raises(CorpusError, match="no word has a tag that the model knows"):
        scores(None, ["a/Q b/R"])


def test_a_lexicon_gives_the_commonest_tag_and_of_several_the_first() -> None:
    lexicon = Lexicon(new_excerpt(["a/O a/I-x b/I-x b/O b/O", "a/I-x d/B-x"]), first_tag=CODEC.first_tag)

    def tag(word: str) -> str:
        return CODEC.tags[lexicon.tag(np.asarray(CODEC.encode_words([word])[:-1], np.uint32).tobytes())]

    assert [tag(word) for word in ("a", "b", "d", "c")] == ["I-x", "O", "B-x", "I-x"]


def test_an_empty_lexicon_knows_no_tag() -> None:
    excerpt = Excerpt(np.zeros(0, np.uint8), whole(np.zeros(1, np.int64), np.zeros(0, np.int32)), 8, 9)

    assert Lexicon(excerpt, first_tag=5).tag(b"") == NO_TAG
