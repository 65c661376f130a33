"""What a run that goes on may change of itself, and what it may not.

A refusal names the command that would do it: a new run from the weights of this one, or a new run alone where its
weights would not fit.
"""

import shlex
from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from gen.config import ModelConfig, TrainingConfig, to_json
from gen.errors import SettingError
from gen.runs.header import RunHeader
from gen.runs.options import LEFT_OUT_AT_DEFAULT, CorpusOptions

LIMITS = ("steps", "epochs", "minutes")
FREE_ON_RESUME = (*LIMITS, "patience", "accumulate", "device")
FREE = "--minutes, --epochs, --steps, --patience, --accumulate and --device"
READING_OPTIONS = {
    "codec": "codec",
    "encoding": "encoding",
    "labels": "labels",
    "documents": "documents",
    "text_column": "text column",
    "label_column": "label column",
    "errors": "errors",
    "normalize": "normalize",
    "valid_fraction": "valid",
    "valid_file": "valid file",
    "test_fraction": "test",
    "test_file": "test file",
    "controls": "controls",
}
# The other options of `gen train` by the names of their settings.
OPTIONS = {
    "cell": "cell",
    "num_layers": "layers",
    "hidden_size": "hidden",
    "embedding_size": "embedding",
    "dropout": "dropout",
    "bptt": "bptt",
    "batch_size": "batch size",
    "learning_rate": "lr",
    "seed": "seed",
    "augment": "augment",
    "precision": "precision",
}
OF_WEIGHTS = ("codec", "cell", "num_layers", "hidden_size", "embedding_size", "is_tied")  # which --from takes over
# Options that the other one cannot stand beside: what is changed takes the place of what was.
INSTEAD_OF = {
    "documents": ("text_column", "label_column"),
    "text_column": ("documents",),
    "label_column": ("documents",),
    "test_fraction": ("test_file",),
    "test_file": ("test_fraction",),
}
RUNS = Path("checkpoints")


class Resumption:
    """What a run that goes on was, against which what is given is checked.

    Args:
        folder: of the run.
        header: of its training checkpoint.
    """

    def __init__(self, folder: Path, header: RunHeader) -> None:
        self._folder = folder
        self._header = header
        self._options = replace(header.corpus.options, codec=header.codec["name"])

    def check_reading(self, given: CorpusOptions) -> None:
        """Raises SettingError if an option of how the corpus is read is given and differs; a default is not given."""
        then, now, defaults = (
            LEFT_OUT_AT_DEFAULT | options.to_json() for options in (self._options, given, CorpusOptions(()))
        )
        changed = {name: now[name] for name in READING_OPTIONS if now[name] not in (defaults[name], then[name])}
        self._refuse(then, changed)

    def settings(self, given: Mapping[str, Any]) -> tuple[ModelConfig, TrainingConfig]:
        """Returns the settings of the run: those that it had, and of the given ones those that may change."""
        config, training = self._header.model, self._header.training
        self._check_same(to_json(config) | to_json(training), given)
        if any(name in given for name in LIMITS):
            training = replace(
                training, steps=given.get("steps"), epochs=given.get("epochs"), minutes=given.get("minutes")
            )
        return config, replace(training, **{name: given[name] for name in ("patience", "accumulate") if name in given})

    def new_run(self, changed: Mapping[str, Any]) -> str:
        """Returns the command that begins a run as this one was begun, but for what is changed.

        It starts from the weights of this one, unless they are what is changed.
        """
        name = next(f"{self._folder.name}-{number}" for number in count(2) if not _is_there(self._folder, number))
        words = ["gen", "train", *self._options.sources]
        if not changed.keys() & set(OF_WEIGHTS):
            words += ["--from", _as_source(self._folder)]
        words += ["--run", name, *_out(self._folder)]
        default = CorpusOptions(()).to_json()
        reading = {name: value for name, value in self._options.to_json().items() if value != default.get(name)}
        left_out = {"codec", "controls"}.union(*(INSTEAD_OF.get(name, ()) for name in changed))
        kept = {name: reading[name] for name in READING_OPTIONS if name in reading and name not in left_out}
        return shlex.join(
            [*words, *(word for name, value in {**kept, **changed}.items() for word in _words(name, value))]
        )

    def _check_same(self, recorded: Mapping[str, Any], given: Mapping[str, Any]) -> None:
        changed = {
            name: value
            for name, value in given.items()
            if name not in FREE_ON_RESUME and value != "auto" and value != recorded[name]
        }
        self._refuse(recorded, changed)

    def _refuse(self, then: Mapping[str, Any], changed: Mapping[str, Any]) -> None:
        for name, value in changed.items():  # the first; the command of the hint has all
            what = READING_OPTIONS.get(name, name.replace("_", " "))
            raise SettingError(
                f"--resume: {what} cannot change ({_shown(then[name])} then, {_shown(value)} now)",
                hint=f"only {FREE} may; a new run: {self.new_run(changed)}",
            )


def following(folder: Path, *, was_stopped: bool) -> str:
    """Returns the command that comes after the training of a run."""
    if was_stopped:
        return shlex.join(["gen", "train", "--run", folder.name, *_out(folder), "--resume"])
    return shlex.join(["gen", "sample", _as_source(folder)])


def _as_source(folder: Path) -> str:
    """Returns a run as commands that read it take it."""
    return folder.name if folder.parent == RUNS else str(folder)


def _out(folder: Path) -> list[str]:
    """Returns the option of `gen train` that says where a run is; none where it is by default."""
    return [] if folder.parent == RUNS else ["--out", str(folder.parent)]


def _shown(value: Any) -> str:
    """Returns a setting as a message has it."""
    if isinstance(value, list | tuple):
        return ",".join(value) or "none"
    return "none" if value is None else str(value)


def _is_there(folder: Path, number: int) -> bool:
    return folder.with_name(f"{folder.name}-{number}").exists()


def _words(name: str, value: Any) -> list[str]:
    """Returns an option of `gen train` with its value, as words of a command line; none for what is no option."""
    option = (READING_OPTIONS | OPTIONS).get(name, "").replace(" ", "-")
    if not option:
        return []
    if isinstance(value, bool):
        return [f"--{option}" if value else f"--no-{option}"]
    return [f"--{option}", _shown(value)]
