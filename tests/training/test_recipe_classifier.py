"""The recipe of a classifier: both directions, passages, and options that do not go with a task."""

from typing import Any

import pytest
import torch

from gen.config import TrainingSettings
from gen.errors import SettingError
from gen.training.recipe import CorpusSummary, Recipe, choose_recipe

REVIEWS = CorpusSummary(900_000, num_documents=8_000, typical_length=140, vocab_size=100, num_labels=2)
BOOKS = REVIEWS._replace(num_tokens=9_000_000, num_documents=200, typical_length=60_000)


def chosen(corpus: CorpusSummary, **settings: Any) -> Recipe:
    """Returns the recipe of a machine that reads 50,000 tokens a second."""
    given = TrainingSettings(**{"task": "classify"} | settings)
    return choose_recipe(corpus, torch.device("cpu"), given, measure=lambda _model, _training: 50_000.0)


def test_a_classifier_reads_passages_from_both_ends() -> None:
    recipe = chosen(REVIEWS)

    assert (recipe.model.task, recipe.model.num_directions, recipe.model.num_labels) == ("classify", 2, 2)
    assert recipe.training.bptt == 140
    assert chosen(BOOKS).training.bptt < 1000
    assert ("directions", "2") in [(choice.name, choice.value) for choice in recipe.choices]


def test_ngrams_answer_beside_the_layers_unless_they_are_left_out() -> None:
    assert chosen(REVIEWS).model.has_ngrams
    without = chosen(REVIEWS, has_ngrams=False)
    assert not without.model.has_ngrams
    assert ("n-grams", "off") in [(choice.name, choice.value) for choice in without.choices]


def test_dropout_is_for_a_corpus_that_is_read_again_and_stays() -> None:
    assert chosen(REVIEWS, minutes=10.0).model.dropout > 0
    assert chosen(BOOKS, minutes=1.0).model.dropout == 0
    assert not chosen(REVIEWS, minutes=10.0).training.follows_speed


def test_given_settings_of_a_classifier_win() -> None:
    recipe = chosen(REVIEWS, is_bidirectional=False, pooling="mean", hidden_size=32, bptt=64, balance_labels=True)

    assert (recipe.model.num_directions, recipe.model.pooling, recipe.model.hidden_size) == (1, "mean", 32)
    assert (recipe.training.bptt, recipe.training.balance_labels) == (64, True)


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"task": "write", "is_bidirectional": True}, "--bidirectional: a run that writes"),
        ({"task": "write", "balance_labels": True}, "--balance-labels: only for a run that finds labels"),
        ({"task": "write", "has_ngrams": True}, "--ngrams: only for a run that finds labels"),
        ({"augment": True}, "--augment: only for a run that writes"),
    ],
)
def test_options_of_another_task_are_refused(settings: dict[str, Any], what: str) -> None:
    with pytest.raises(SettingError, match=what):
        chosen(REVIEWS._replace(can_augment=True), **settings)
