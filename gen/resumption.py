"""What a run that goes on may change of itself, and what it may not."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gen.config import ModelConfig, TrainingConfig, from_json, to_json
from gen.errors import CheckpointError, SettingError
from gen.material import LEFT_OUT_AT_DEFAULT, CorpusOptions

LIMITS = ("steps", "epochs", "minutes")
FREE_ON_RESUME = (*LIMITS, "patience", "accumulate", "device")
READING_OPTIONS = {
    "codec": "codec",
    "encoding": "encoding",
    "labels": "labels",
    "documents": "documents",
    "valid_fraction": "valid",
    "valid_file": "valid file",
    "test_file": "test file",
    "controls": "controls",
}


def settings_of(path: Path, header: Mapping[str, Any], given: Mapping[str, Any]) -> tuple[ModelConfig, TrainingConfig]:
    """Returns the settings of a run that goes on: those that it had, and of the given ones those that may change."""
    try:
        config = from_json(ModelConfig, header["model"])
        training = from_json(TrainingConfig, header["training"])
    except SettingError as err:
        raise CheckpointError(f"{path}: its header describes no run ({err})") from err
    _check_same(to_json(config) | to_json(training), given)
    if any(name in given for name in LIMITS):
        training = replace(training, steps=given.get("steps"), epochs=given.get("epochs"), minutes=given.get("minutes"))
    return config, replace(training, **{name: given[name] for name in ("patience", "accumulate") if name in given})


def check_same_reading(header: Mapping[str, Any], recorded: CorpusOptions, given: CorpusOptions) -> None:
    """Raises SettingError if an option of how the corpus is read is given and differs; a default is not given."""
    then, now, defaults = (
        LEFT_OUT_AT_DEFAULT | options.to_json()
        for options in (replace(recorded, codec=header["codec"]["name"]), given, CorpusOptions(()))
    )
    for name, option in READING_OPTIONS.items():
        if now[name] not in (defaults[name], then[name]):
            raise _cannot_change(option, then[name], now[name])


def _check_same(recorded: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if name not in FREE_ON_RESUME and value != "auto" and value != recorded[name]:
            raise _cannot_change(name.replace("_", " "), recorded[name], value)


def _cannot_change(what: str, then: object, now: object) -> SettingError:
    return SettingError(
        f"--resume: {what} cannot change ({then} then, {now} now)",
        hint="only --minutes, --epochs, --steps, --patience, --accumulate and --device may",
    )
