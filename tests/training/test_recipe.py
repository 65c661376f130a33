"""The recipe: given options win, sizes follow corpus and budget, and every choice is shown with its reason."""

from typing import Any

import pytest
import torch

from gen.config import ModelConfig, TrainingConfig, TrainingSettings
from gen.errors import SettingError
from gen.models.device import choose_device
from gen.training import recipe as recipes
from gen.training.recipe import DEFAULT_MINUTES, CorpusSummary, Recipe

CPU = torch.device("cpu")
TEXT = CorpusSummary(num_tokens=1_000_000, num_documents=1, typical_length=1_000_000, vocab_size=67, num_labels=0)


def choose_recipe(
    corpus: CorpusSummary, device: torch.device, settings: TrainingSettings, speed: float = 50_000.0
) -> Recipe:
    """Returns the recipe of a machine that trains so many tokens a second at 512 units, and more at fewer."""

    def measure(model: ModelConfig, _training: TrainingConfig) -> float:
        return speed * 512 / model.hidden_size

    return recipes.choose_recipe(corpus, device, settings, measure=measure)


def reasons(recipe: Recipe) -> dict[str, str]:
    return {choice.name: choice.reason for choice in recipe.choices}


def test_without_options_a_run_is_limited_by_minutes() -> None:
    recipe = choose_recipe(TEXT, CPU, TrainingSettings())

    assert recipe.training.minutes == DEFAULT_MINUTES
    assert recipe.model.vocab_size == 67
    assert recipe.model.cell == "lstm"


def test_what_is_given_wins_and_is_shown_as_given() -> None:
    given = TrainingSettings("gru", hidden_size=33, bptt=17, batch_size=3, steps=5, seed=9, precision="fp32")

    recipe = choose_recipe(TEXT, CPU, given)

    assert (recipe.model.cell, recipe.model.hidden_size) == ("gru", 33)
    assert (recipe.training.bptt, recipe.training.batch_size, recipe.training.seed) == (17, 3, 9)
    assert (recipe.training.steps, recipe.training.minutes) == (5, None)
    assert {reasons(recipe)[name] for name in ("cell", "hidden size", "bptt", "batch size", "steps")} == {"given"}


def test_a_small_corpus_gets_a_small_model_with_dropout_and_few_rows() -> None:
    recipe = choose_recipe(TEXT._replace(num_tokens=2000, typical_length=2000), CPU, TrainingSettings(minutes=5.0))

    assert recipe.model.hidden_size < choose_recipe(TEXT, CPU, TrainingSettings(minutes=5.0)).model.hidden_size
    assert recipe.model.dropout > 0
    assert 2 * recipe.training.batch_size * recipe.training.bptt <= 2000


def test_dropout_follows_how_often_the_steps_will_read_the_corpus() -> None:
    once = choose_recipe(TEXT, CPU, TrainingSettings(steps=500, batch_size=32, bptt=64))  # 1,024,000 tokens
    often = choose_recipe(TEXT, CPU, TrainingSettings(steps=5000, batch_size=32, bptt=64))

    assert once.model.dropout == 0
    assert often.model.dropout > 0
    assert choose_recipe(TEXT, CPU, TrainingSettings(steps=5000, batch_size=4, bptt=8)).model.dropout == 0


def test_a_gpu_with_time_to_spare_trains_two_layers_and_ends_when_more_readings_gain_nothing() -> None:
    gpu, given = torch.device("cuda"), TrainingSettings(minutes=1.0, precision="bf16")
    spare = choose_recipe(TEXT, gpu, given, 4e6)
    scarce = choose_recipe(TEXT._replace(num_tokens=100_000_000), gpu, given, 4e6)

    assert (spare.model.num_layers, spare.training.epochs, spare.training.minutes) == (2, 24.0, 1.0)
    assert spare.model.dropout == 0.5
    assert "24 readings" in reasons(spare)["dropout"]
    assert (scarce.model.num_layers, scarce.training.epochs) == (1, None)
    one_layer = choose_recipe(TEXT, gpu, TrainingSettings(minutes=1.0, precision="bf16", num_layers=1), 4e6)
    assert (one_layer.model.num_layers, one_layer.training.epochs) == (1, 24.0)
    assert choose_recipe(TEXT, gpu, TrainingSettings(steps=90_000, precision="bf16"), 4e6).training.epochs is None
    assert choose_recipe(TEXT, CPU, given, 4e6).training.epochs is None


def test_weights_decay_more_where_a_corpus_is_read_often() -> None:
    once, often = (choose_recipe(TEXT, CPU, TrainingSettings(epochs=epochs)) for epochs in (1.0, 8.0))

    assert once.training.weight_decay < often.training.weight_decay
    assert choose_recipe(TEXT, CPU, TrainingSettings(epochs=8.0, weight_decay=0.02)).training.weight_decay == 0.02


def test_a_faster_machine_reads_the_corpus_more_often_and_gets_more_dropout_and_width() -> None:
    slow, fast = (choose_recipe(TEXT, CPU, TrainingSettings(minutes=3.0), speed) for speed in (5_000.0, 500_000.0))

    assert slow.model.dropout < fast.model.dropout
    assert slow.model.hidden_size < fast.model.hidden_size


def test_the_measured_speed_is_shown_with_the_readings_and_recorded() -> None:
    recipe = choose_recipe(TEXT, CPU, TrainingSettings(minutes=3.0, hidden_size=512), 29_480.0)

    assert reasons(recipe)["dropout"] == "29,500 tokens/s measured: about 5.3 readings"
    assert recipe.training.measured_speed == 29_480.0


@pytest.mark.parametrize("limits", [{"steps": 100}, {"epochs": 2.0}, {"steps": 100, "epochs": 2.0}])
def test_nothing_is_measured_where_the_time_does_not_limit_the_run(limits: dict[str, Any]) -> None:
    def measure(_model: ModelConfig, _training: TrainingConfig) -> float:
        raise AssertionError("measured")

    recipe = recipes.choose_recipe(TEXT, CPU, TrainingSettings(**limits), measure=measure)

    assert (recipe.training.measured_speed, recipe.training.follows_speed) == (None, False)


def test_the_speed_that_counts_is_that_of_the_chosen_width() -> None:
    measured: list[int] = []

    def measure(model: ModelConfig, _training: TrainingConfig) -> float:
        measured.append(model.hidden_size)
        return 2_000.0 + model.hidden_size

    recipe = recipes.choose_recipe(TEXT, CPU, TrainingSettings(minutes=1.0), measure=measure)

    assert recipe.model.hidden_size == measured[-1] != 512
    assert recipe.training.measured_speed == 2_000.0 + recipe.model.hidden_size


def test_dropout_follows_the_speed_unless_it_is_given() -> None:
    assert choose_recipe(TEXT, CPU, TrainingSettings(minutes=3.0)).training.follows_speed
    assert not choose_recipe(TEXT, CPU, TrainingSettings(minutes=3.0, dropout=0.1)).training.follows_speed


def test_windows_are_no_longer_than_the_documents() -> None:
    recipe = choose_recipe(TEXT._replace(num_documents=30_000, typical_length=20), CPU, TrainingSettings())

    assert recipe.training.bptt == 24


@pytest.mark.parametrize("num_tokens", [8, 9, 15, 17, 50, 63, 64])
def test_any_corpus_of_eight_tokens_or_more_fills_the_window_that_is_chosen(num_tokens: int) -> None:
    recipe = choose_recipe(TEXT._replace(num_tokens=num_tokens, typical_length=num_tokens), CPU, TrainingSettings())

    assert 8 <= recipe.training.bptt <= num_tokens


def test_a_corpus_too_short_for_a_window_is_an_error_that_says_how_much_is_needed() -> None:
    with pytest.raises(SettingError, match=r"too short for one window \(5 tokens to train on, at least 8 needed\)"):
        choose_recipe(TEXT._replace(num_tokens=5, typical_length=5), CPU, TrainingSettings())
    with pytest.raises(SettingError, match="at least 500 needed"):
        choose_recipe(TEXT._replace(num_tokens=100, typical_length=100), CPU, TrainingSettings(bptt=500))


@pytest.mark.parametrize(
    "given",
    [
        TrainingSettings(hidden_size=0),
        TrainingSettings(dropout=1.0),
        TrainingSettings(learning_rate=0.0),
        TrainingSettings(learning_rate=float("nan")),
        TrainingSettings(bptt=-1),
    ],
)
def test_an_option_out_of_range_is_an_error(given: TrainingSettings) -> None:
    with pytest.raises(SettingError, match="must be"):
        choose_recipe(TEXT, CPU, given)


@pytest.mark.parametrize("name", ["steps", "patience", "warmup_steps", "hidden_size", "batch_size"])
def test_a_count_that_is_no_whole_number_is_an_error(name: str) -> None:
    given = TrainingSettings(**{name: 2.5})  # type: ignore[arg-type]

    with pytest.raises(SettingError, match=rf"^{name} is 2\.5$"):
        choose_recipe(TEXT, CPU, given)


def test_fp16_is_refused_on_a_cpu() -> None:
    with pytest.raises(SettingError, match="fp16"):
        choose_recipe(TEXT, CPU, TrainingSettings(precision="fp16"))


def test_a_device_that_is_not_there_is_an_error() -> None:
    assert choose_device("cpu") == CPU
    with pytest.raises(SettingError, match="unknown"):
        choose_device("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(SettingError, match="not on this machine"):
            choose_device("cuda")


def test_settings_that_are_absent_or_auto_are_not_given() -> None:
    settings = TrainingSettings(dropout=0.0, augment=False, precision="auto", device="cpu")

    assert settings.given() == {"dropout": 0.0, "augment": False}
