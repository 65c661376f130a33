"""When a recipe reads a corpus in variations."""

import math
from typing import Any

import pytest
import torch

from gen.config import TrainingSettings
from gen.errors import SettingError
from gen.training.recipe import CorpusSummary, Recipe, choose_recipe

MUSIC = CorpusSummary(100_000, num_documents=100, typical_length=1000, vocab_size=390, num_labels=0, can_augment=True)


def chosen(facts: CorpusSummary, **given: Any) -> Recipe:
    return choose_recipe(facts, torch.device("cpu"), TrainingSettings(**given), measure=lambda *_: math.nan)


@pytest.mark.parametrize(("epochs", "is_on"), [(2, False), (3, True), (50, True)])
def test_a_corpus_that_is_read_three_times_is_read_in_variations(epochs: float, is_on: bool) -> None:
    recipe = chosen(MUSIC, epochs=epochs)
    assert recipe.training.augment is is_on
    assert recipe.model.has_variations is is_on
    assert [choice.value for choice in recipe.choices if choice.name == "augment"] == ["on" if is_on else "off"]


def test_what_is_read_in_variations_needs_less_dropout() -> None:
    as_it_is = chosen(MUSIC, epochs=50, augment=False).model.dropout
    assert 0 < chosen(MUSIC, epochs=50).model.dropout < as_it_is
    assert chosen(MUSIC, epochs=50, dropout=0.4).model.dropout == 0.4


def test_what_is_given_wins() -> None:
    assert chosen(MUSIC, epochs=1, augment=True).training.augment
    assert not chosen(MUSIC, epochs=50, augment=False).training.augment


def test_a_text_has_no_variations() -> None:
    text = MUSIC._replace(can_augment=False)
    recipe = chosen(text, epochs=50)
    assert not recipe.training.augment
    assert all(choice.name != "augment" for choice in recipe.choices)
    with pytest.raises(SettingError, match="--augment: only for music"):
        chosen(text, augment=True)
