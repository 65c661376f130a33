"""Labels of documents: evidence of passages, its certainty, and measures by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gen.analysis.bayes import log_probs_by_bayes
from gen.analysis.classification import (
    Certainty,
    Evidence,
    classification,
    evidence,
    fitted,
    macro_f1,
    nats_of,
    passages_of,
)
from gen.analysis.evaluate import evaluate, nats_by_stretch
from gen.config import ModelConfig
from gen.data.split import Excerpt
from gen.data.stretches import Stretch, Stretches
from gen.errors import CorpusError
from gen.models.classifier import RecurrentClassifier
from gen.models.recurrent import RecurrentLM

V, K = 7, 3


def new_excerpt(sizes: list[int], labels: list[int]) -> Excerpt:
    """Returns documents of random ids with these lengths and labels."""
    ids = np.random.default_rng(0).integers(0, V - 2, sum(sizes)).astype(np.uint8)
    ends = np.cumsum(sizes).tolist()
    stretches = [Stretch(e - s, e, label, is_closed=True) for e, s, label in zip(ends, sizes, labels, strict=True)]
    return Excerpt(ids, Stretches(stretches), V - 2, V - 1)


def new_model() -> RecurrentClassifier:
    config = ModelConfig(V, "gru", 16, 1, 8, num_labels=K, task="classify", is_bidirectional=True)
    return RecurrentClassifier(config, torch.Generator().manual_seed(0))


@given(st.lists(st.integers(0, 40), min_size=1, max_size=6), st.integers(1, 12))
def test_passages_tile_their_documents_evenly(sizes: list[int], length: int) -> None:
    excerpt = new_excerpt(sizes, [1] * len(sizes))

    passages, documents = passages_of(excerpt.stretches, length)

    lengths = passages.stops - passages.starts
    for document, size in enumerate(sizes):
        own = lengths[documents == document]
        assert own.sum() == size
        assert own.max() <= length
        assert own.max() - own.min() <= 1
    assert np.array_equal(passages.stops[:-1][np.diff(documents) == 0], passages.starts[1:][np.diff(documents) == 0])


def test_evidence_of_a_passage_is_that_of_the_model_alone() -> None:
    model, excerpt = new_model(), new_excerpt([9, 0, 3, 12], [1, 2, 3, 0])

    found = evidence(model, excerpt, length=5)

    passages, documents = passages_of(excerpt.stretches, 5)
    assert documents.tolist() == found.documents.tolist() == [0, 0, 1, 2, 3, 3, 3]
    assert found.labels.tolist() == [0, 1, 2, -1]
    for logits, start, stop in zip(found.logits, passages.starts, passages.stops, strict=True):
        tokens = torch.tensor([[V - 2, *excerpt.ids[start:stop].tolist()]])
        alone = model(tokens, torch.tensor([tokens.shape[1]]))[0].detach()
        torch.testing.assert_close(logits, alone, rtol=0, atol=1e-5)


def test_evidence_of_passages_is_added_up_by_their_number_to_a_power() -> None:
    logits = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]])
    found = Evidence(logits, np.array([0, 0, 1]), np.array([0, 1]))

    whole, mean = found.log_probs(Certainty(1.0, 1.0)), found.log_probs(Certainty(1.0, 0.0))

    odds = [row[0] - row[1] for row in (*whole, *mean)]
    assert odds == pytest.approx([3.0, -3.0, 1.5, -3.0])


def test_certainty_is_that_of_fewest_nats() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, K, 400)
    logits = rng.normal(0, 1, (1200, K)) + 1.5 * np.eye(K)[np.repeat(labels, 3)]
    found = Evidence(torch.tensor(3 * logits, dtype=torch.float32), np.repeat(np.arange(400), 3), labels)

    certainty = fitted(found)

    best = nats_of(found, certainty)
    for power in (0.0, 0.3, 0.7, 1.0):
        assert best <= nats_of(found, Certainty(certainty.logit_scale, power)) + 1e-9
    assert certainty.logit_scale < 0.9  # the logits are three times too large


def test_measures_are_those_by_hand() -> None:
    log_probs = np.log([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.5, 0.3, 0.2], [0.2, 0.2, 0.6]])

    result = classification(log_probs, np.array([0, 1, 1, -1]), ("a", "b", "c"))

    assert result.confusion == ((1, 0, 0), (1, 1, 0), (0, 0, 0))
    assert result.accuracy == pytest.approx(2 / 3)
    assert result.majority == pytest.approx(2 / 3)
    assert result.macro_f1 == pytest.approx((2 / 3 + 2 / 3) / 2)  # of a: 2 / (1 + 2); of b: 2 / (2 + 1); c has none
    assert result.nats == pytest.approx(-(math.log(0.7) + math.log(0.8) + math.log(0.3)) / 3)
    assert result.num_documents == 3


def test_documents_without_labels_cannot_be_measured() -> None:
    with pytest.raises(CorpusError, match="no document has a label"):
        classification(np.zeros((1, 2)), np.array([-1]), ("a", "b"))


def test_certain_answers_cost_no_nats_and_not_less() -> None:
    result = classification(np.array([[0.0, -800.0], [1e-17, -900.0]]), np.array([0, 0]), ("a", "b"))

    assert str(result.nats) == "0.0"


def test_nats_by_stretch_are_those_of_each_stretch_alone() -> None:
    model = RecurrentLM(ModelConfig(V, "lstm", 16, 1, 8), torch.Generator().manual_seed(0))
    excerpt = new_excerpt([9, 0, 30, 12], [0, 0, 0, 0])

    together = nats_by_stretch(model, excerpt, vocab_size=V)

    units = np.ones(V, np.int64)
    for nats, stretch in zip(together, excerpt.stretches, strict=True):
        alone = Excerpt(excerpt.ids, Stretches([stretch]), excerpt.begin, excerpt.end)
        result = evaluate(model, alone, units=units, unit="id", context=None)
        assert nats == pytest.approx(result.nats_per_token * result.tokens, abs=1e-4)


def test_bayes_turns_likelihoods_into_probabilities() -> None:
    model = RecurrentLM(ModelConfig(V, "lstm", 16, 1, 8, num_labels=K), torch.Generator().manual_seed(0))
    excerpt = new_excerpt([9, 4], [0, 2])

    found = log_probs_by_bayes(model, excerpt, num_labels=K, vocab_size=V)

    likelihoods = np.empty((2, K))
    for label in range(K):
        stretches = Stretches([stretch._replace(label=label + 1) for stretch in excerpt.stretches])
        asked = Excerpt(excerpt.ids, stretches, excerpt.begin, excerpt.end)
        likelihoods[:, label] = np.exp(-nats_by_stretch(model, asked, vocab_size=V))
    assert np.exp(found) == pytest.approx(likelihoods / likelihoods.sum(1, keepdims=True), abs=1e-6)


def test_answers_where_another_label_is_right_count_against_the_precision() -> None:
    confusion = np.array([[2, 0], [0, 1]])
    assert macro_f1(confusion) == 1.0
    assert macro_f1(confusion, others=np.array([1, 0])) == pytest.approx((4 / 5 + 1) / 2)
