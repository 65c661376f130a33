"""The recipe of a translator: both directions, attention, bounds on lengths and rows."""

from typing import Any

import pytest
import torch

from gen.config import TrainingSettings
from gen.errors import SettingError
from gen.training.recipe import CorpusSummary, Recipe, choose_recipe

WORDS = CorpusSummary(3_000_000, num_documents=120_000, typical_length=30, vocab_size=80, num_labels=0, longest=90)
FEW = WORDS._replace(num_tokens=12_000, num_documents=500)


def chosen(corpus: CorpusSummary, **settings: Any) -> Recipe:
    """Returns the recipe of a machine that reads 30,000 tokens a second."""
    given = TrainingSettings(**{"task": "pairs"} | settings)
    return choose_recipe(corpus, torch.device("cpu"), given, measure=lambda _model, _training: 30_000.0)


def test_a_translator_reads_both_ways_and_attends() -> None:
    recipe = chosen(WORDS)

    assert (recipe.model.task, recipe.model.num_directions, recipe.model.has_attention) == ("pairs", 2, True)
    shown = [(choice.name, choice.value) for choice in recipe.choices]
    assert ("directions", "2") in shown
    assert ("attention", "on") in shown
    assert "pooling" not in dict(shown)


def test_the_longest_side_is_that_of_the_corpus_up_to_a_bound() -> None:
    assert chosen(WORDS).training.bptt == 90
    assert chosen(WORDS._replace(longest=5_000)).training.bptt == 256
    assert chosen(WORDS._replace(longest=5_000), bptt=700).training.bptt == 700


def test_a_small_corpus_gets_few_rows_and_narrow_layers() -> None:
    assert chosen(FEW).training.batch_size == 10
    assert chosen(FEW).training.batch_size < chosen(WORDS).training.batch_size
    assert chosen(FEW).model.hidden_size < chosen(WORDS).model.hidden_size


def test_dropout_is_for_a_corpus_that_is_read_again() -> None:
    assert chosen(WORDS, minutes=1.0).model.dropout == 0
    assert chosen(WORDS, minutes=30.0).model.dropout > 0
    assert chosen(FEW, steps=10).model.dropout == 0  # a pair has fewer tokens than a window


def test_given_settings_of_a_translator_win() -> None:
    recipe = chosen(WORDS, is_bidirectional=False, has_attention=False, hidden_size=32, batch_size=7)

    assert (recipe.model.num_directions, recipe.model.has_attention, recipe.model.hidden_size) == (1, False, 32)
    assert recipe.training.batch_size == 7


@pytest.mark.parametrize("task", ["write", "classify"])
def test_attention_is_for_pairs_alone(task: str) -> None:
    with pytest.raises(SettingError, match="--attention: only for a run that learns pairs"):
        chosen(WORDS._replace(num_labels=2), task=task, has_attention=True)


def test_balanced_labels_are_not_for_pairs() -> None:
    with pytest.raises(SettingError, match="--balance-labels: only for a run that finds labels"):
        chosen(WORDS, balance_labels=True)
