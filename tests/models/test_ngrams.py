"""Bags of n-grams against bags that are made in plain Python."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gen.config import ModelConfig
from gen.models.classifier import RecurrentClassifier
from gen.models.dropout import Draws
from gen.models.ngrams import MULTIPLIERS, NUM_BUCKETS, ORDERS, SHIFT, NGrams, hashed

texts = st.lists(st.integers(0, 70_000), min_size=1, max_size=12)


def wrapped(number: int) -> int:
    """Returns a number as int64 has it."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


def buckets_of(tokens: list[int]) -> list[int]:
    """Returns the buckets of all n-grams, by whole numbers of Python."""
    found = []
    for order in ORDERS:
        for start in range(len(tokens) - order + 1):
            value = order
            for token in tokens[start : start + order]:
                value = wrapped(value * MULTIPLIERS[0]) ^ token
            found.append((wrapped(value * MULTIPLIERS[1]) >> SHIFT) % NUM_BUCKETS)
    return sorted(found)


def a_bag(num_labels: int = 3) -> NGrams:
    torch.manual_seed(0)
    ngrams = NGrams(num_labels)
    torch.nn.init.normal_(ngrams.table)
    return ngrams


@settings(max_examples=60, deadline=None)
@given(st.lists(texts, min_size=1, max_size=4), st.integers(0, 70_000))
def test_a_passage_has_the_ngrams_that_lie_within_it(passages: list[list[int]], padding: int) -> None:
    longest = max(map(len, passages))
    tokens = torch.tensor([passage + [padding] * (longest - len(passage)) for passage in passages])
    buckets, is_whole = hashed(tokens, torch.tensor([len(passage) for passage in passages]))
    for row, passage in enumerate(passages):
        assert sorted(buckets[row][is_whole[row]].tolist()) == buckets_of(passage)


def test_the_answer_is_that_of_the_mean_vector() -> None:
    ngrams, passage = a_bag(), [5, 9, 5, 9, 2, 7]
    with torch.no_grad():
        found = ngrams(torch.tensor([[*passage, 0, 0]]), torch.tensor([len(passage)]))
        wanted = ngrams.answer(ngrams.table[buckets_of(passage)].mean(0))
    torch.testing.assert_close(found[0], wanted)


def test_a_passage_without_ngrams_has_the_answer_of_zeros() -> None:
    ngrams = a_bag()
    with torch.no_grad():
        found = ngrams(torch.tensor([[4]]), torch.tensor([1]))
    assert torch.equal(found[0], ngrams.answer.bias)


def test_left_out_ngrams_are_the_same_for_a_row_whichever_rows_run_beside_it() -> None:
    ngrams, tokens, lengths = a_bag(), torch.randint(50, (4, 30)), torch.tensor([30, 12, 30, 5])

    def some(rows: slice) -> torch.Tensor:
        draws = Draws(torch.Generator().manual_seed(3), 4, rows, 0.5)
        found: torch.Tensor = ngrams(tokens[rows], lengths[rows], draws)
        return found.detach()

    parts = torch.cat([some(slice(0, 1)), some(slice(1, 4))])
    torch.testing.assert_close(parts, some(slice(0, 4)))
    assert not torch.allclose(parts, ngrams(tokens, lengths))


@pytest.mark.parametrize("has_ngrams", [False, True])
def test_a_classifier_answers_with_both_and_each_learns_by_itself(has_ngrams: bool) -> None:
    config = ModelConfig(20, hidden_size=16, embedding_size=8, num_labels=3, task="classify", has_ngrams=has_ngrams)
    model = RecurrentClassifier(config, torch.Generator().manual_seed(0))
    tokens, lengths, labels = torch.randint(20, (5, 9)), torch.tensor([9, 9, 4, 2, 7]), torch.tensor([0, 1, 2, 0, 1])
    logits = model(tokens, lengths)
    loss, _ = model.loss((tokens, lengths, labels, torch.ones(5)), ())

    parts = [logits]
    if model.ngrams is not None:
        of_ngrams = model.ngrams(tokens, lengths)
        parts = [logits - of_ngrams, of_ngrams, logits]
    nats = [torch.nn.functional.cross_entropy(part, labels, reduction="sum") for part in parts]
    torch.testing.assert_close(loss, sum(nats) / len(nats))


def test_the_weights_of_both_answers_learn_which_one_is_right() -> None:
    config = ModelConfig(20, hidden_size=16, embedding_size=8, num_labels=2, task="classify", has_ngrams=True)
    model = RecurrentClassifier(config, torch.Generator().manual_seed(0))
    assert model.mix is not None
    labels = torch.tensor([0, 1] * 8)
    right = torch.nn.functional.one_hot(labels, 2).float()
    optimizer = torch.optim.SGD([model.mix], lr=0.5)
    for _ in range(50):
        optimizer.zero_grad()
        mixed = model._mixed([torch.randn(16, 2), 3 * right])
        torch.autograd.backward(torch.nn.functional.cross_entropy(mixed, labels))
        optimizer.step()
    of_layers, of_ngrams = model.mix.tolist()
    assert of_ngrams > 0 > of_layers
