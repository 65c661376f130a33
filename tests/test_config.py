"""Settings: validated once, JSON both ways."""

import json
from typing import Any

import pytest

from gen.config import ModelConfig, Reading, SamplingConfig, TrainingConfig, from_json, to_json
from gen.errors import SettingError
from gen.runs.options import CorpusOptions


@pytest.mark.parametrize("config", [ModelConfig(67, num_labels=3), TrainingConfig(minutes=3.0), SamplingConfig(0.0, 5)])
def test_settings_survive_json(config: Any) -> None:
    assert from_json(type(config), json.loads(json.dumps(to_json(config)))) == config


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(SettingError, match="not its settings"):
        from_json(SamplingConfig, {"temprature": 1.0})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"temperature": -0.1}, r"--temperature: must be at least 0 \(-0.1\)"),
        ({"temperature": float("nan")}, "--temperature: must be"),
        ({"top_k": 0}, r"--top-k: must be at least 1 \(0\)"),
        ({"top_p": 0.0}, r"--top-p: must be above 0 \(0.0\)"),
        ({"min_p": 1.5}, r"--min-p: must be at most 1 \(1.5\)"),
        ({"repetition_penalty": 0.0}, r"--repetition-penalty: must be above 0 \(0.0\)"),
    ],
)
def test_a_value_out_of_range_is_an_error_that_names_option_and_value(changes: dict[str, float], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        SamplingConfig(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        (SamplingConfig, {"temperature": "1"}, "temperature is '1'"),
        (SamplingConfig, {"top_k": 1.5}, "top_k is 1.5"),
        (TrainingConfig, {"batch_size": None}, "batch_size is None"),
        (TrainingConfig, {"seed": 1.5}, "seed is 1.5"),
        (ModelConfig, {"vocab_size": "10"}, "vocab_size is '10'"),
        (ModelConfig, {"vocab_size": 10, "cell": 3}, "cell is 3"),
        (Reading, {"encoding": 3}, "encoding is 3"),
        (Reading, {"documents": None}, "documents is None"),
        (Reading, {"text_column": ["a"]}, r"text_column is \['a'\]"),
        (CorpusOptions, {"valid_fraction": "0.1"}, "valid_fraction is '0.1'"),
        (CorpusOptions, {"codec": 3}, "codec is 3"),
    ],
)
def test_a_value_of_another_type_is_an_error_that_names_the_setting(
    kind: type, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingError, match=f"^{message}$"):
        kind(**given)


@pytest.mark.parametrize("encoding", ["klingon", "hex", "rot13", "a\0b", ""])
def test_an_encoding_that_is_none_is_an_error_of_the_option(encoding: str) -> None:
    with pytest.raises(SettingError, match="--encoding: unknown"):
        Reading(encoding=encoding)


def test_an_unknown_rule_for_labels_is_an_error_of_the_option() -> None:
    settings: dict[str, Any] = {"labels": "files"}
    with pytest.raises(SettingError, match=r"--labels: unknown \(files\)"):
        Reading(**settings)
