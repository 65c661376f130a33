"""The recipe of a tagger: a layer of characters and one of words, and what it takes over from another run."""

from typing import Any

import pytest
import torch

from gen.config import ModelConfig, TrainingSettings
from gen.errors import SettingError
from gen.training.recipe import CorpusSummary, Recipe, choose_recipe

TWEETS = CorpusSummary(300_000, num_documents=3_000, typical_length=120, vocab_size=150, num_labels=20)
NEWS = TWEETS._replace(num_tokens=6_000_000, num_documents=50_000, typical_length=180)
FEW = TWEETS._replace(num_tokens=3_000, num_documents=40, typical_length=90)


def chosen(corpus: CorpusSummary, base: ModelConfig | None = None, **settings: Any) -> Recipe:
    """Returns the recipe of a machine that reads 50,000 tokens a second."""
    given = TrainingSettings(task="tag", **settings)
    return choose_recipe(corpus, torch.device("cpu"), given, measure=lambda _model, _training: 50_000.0, base=base)


def test_a_tagger_has_a_layer_of_characters_and_one_of_words_in_both_directions() -> None:
    recipe = chosen(TWEETS)

    assert (recipe.model.num_layers, recipe.model.num_directions, recipe.model.num_labels) == (2, 2, 20)
    assert recipe.training.bptt == 240
    shown = {choice.name: choice.value for choice in recipe.choices}
    assert shown["directions"] == "2"
    assert "pooling" not in shown


@pytest.mark.parametrize(("longest", "reason"), [(240, "no sentence is longer"), (241, "longer sentences are cut")])
def test_the_screen_says_whether_sentences_are_cut(longest: int, reason: str) -> None:
    (shown,) = (choice for choice in chosen(TWEETS._replace(longest=longest)).choices if choice.name == "bptt")

    assert shown.value == "240"
    assert reason in shown.reason


@pytest.mark.parametrize(("bptt", "rows"), [(100, 60), (300, 20)])
def test_rows_beyond_the_sentences_of_a_corpus_are_limited_and_told(bptt: int, rows: int) -> None:
    corpus = TWEETS._replace(num_sequences=lambda length: 6_000 // length)

    limited, given = (
        next(choice for choice in chosen(corpus, bptt=bptt, batch_size=asked).choices if choice.name == "batch size")
        for asked in (5000, rows)
    )

    assert limited.value == given.value == str(rows)
    assert limited.reason == "5,000 given, but the corpus has no more sequences"
    assert given.reason == "given"


def test_a_small_corpus_has_fewer_rows_so_that_an_epoch_has_many_steps() -> None:
    assert chosen(FEW).training.batch_size < chosen(TWEETS).training.batch_size
    assert FEW.num_documents / chosen(FEW).training.batch_size >= 16


def test_dropout_is_for_a_corpus_that_is_read_again_and_stays() -> None:
    assert chosen(TWEETS, minutes=10.0).model.dropout > 0
    assert chosen(NEWS, minutes=1.0).model.dropout == 0
    assert not chosen(TWEETS, minutes=10.0).training.follows_speed


def test_given_settings_of_a_tagger_win() -> None:
    recipe = chosen(TWEETS, is_bidirectional=False, num_layers=1, hidden_size=32, bptt=64, batch_size=5)

    assert (recipe.model.num_directions, recipe.model.num_layers, recipe.model.hidden_size) == (1, 1, 32)
    assert (recipe.training.bptt, recipe.training.batch_size) == (64, 5)


def test_widths_but_not_layers_are_those_of_a_writing_model_that_it_starts_from() -> None:
    writer = ModelConfig(90, "gru", 96, 1, 24, is_tied=True)
    tagger = ModelConfig(90, "gru", 96, 3, 24, num_labels=4, task="tag")

    assert chosen(NEWS, writer).model.num_layers == 2
    assert not chosen(NEWS, writer).model.is_tied
    assert (chosen(NEWS, writer).model.cell, chosen(NEWS, writer).model.hidden_size) == ("gru", 96)
    assert chosen(NEWS, tagger).model.num_layers == 3


def test_options_of_another_task_are_refused() -> None:
    with pytest.raises(SettingError, match="--balance-labels: only for a run that finds labels"):
        chosen(TWEETS, balance_labels=True)
    with pytest.raises(SettingError, match="--augment: only for a run that writes"):
        chosen(TWEETS._replace(can_augment=True), augment=True)
