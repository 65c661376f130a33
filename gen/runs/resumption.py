"""The settings that may change when a run is resumed.

Any other change is refused. The error's hint names a command that makes it: a new run that starts from the weights of
this one, or from new weights if the old ones would not fit.
"""

import shlex
from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from gen.config import ModelConfig, TaskName, TrainingConfig, TrainingSettings, to_json
from gen.errors import SettingError
from gen.runs.header import RunHeader
from gen.runs.options import LEFT_OUT_AT_DEFAULT, CorpusOptions
from gen.runs.tasks.options import options_of_task
from gen.training.recipe import check_task

LIMITS = ("steps", "epochs", "minutes")
FREE_ON_RESUME = (*LIMITS, "patience", "accumulate")
FREE = "--minutes, --epochs, --steps, --patience, --accumulate and --device"
# The options of `gen train` by the names of their settings: first those of the corpus, then the others.
READING_OPTIONS = {
    "codec": "codec",
    "encoding": "encoding",
    "labels": "labels",
    "documents": "documents",
    "text_column": "text column",
    "label_column": "label column",
    "target_column": "target column",
    "errors": "errors",
    "normalize": "normalize",
    "valid_fraction": "valid",
    "valid_file": "valid file",
    "test_fraction": "test",
    "test_file": "test file",
    "controls": "controls",
}
OPTIONS = {
    "task": "task",
    "cell": "cell",
    "num_layers": "layers",
    "hidden_size": "hidden",
    "is_bidirectional": "bidirectional",
    "has_attention": "attention",
    "balance_labels": "balance labels",
    "has_ngrams": "ngrams",
    "embedding_size": "embedding",
    "dropout": "dropout",
    "bptt": "bptt",
    "batch_size": "batch size",
    "learning_rate": "lr",
    "seed": "seed",
    "augment": "augment",
    "precision": "precision",
}
NEGATIVES = {"is_bidirectional": "--one-direction"}  # where it is not --no- and the option
OF_WEIGHTS = ("codec", "cell", "num_layers", "hidden_size", "embedding_size", "is_tied", "is_bidirectional")
# The options that each of these replaces, since the two exclude each other.
INSTEAD_OF = {
    "documents": ("text_column", "label_column"),
    "text_column": ("documents",),
    "label_column": ("documents",),
    "target_column": ("documents",),
    "test_fraction": ("test_file",),
    "test_file": ("test_fraction",),
}
RUNS = Path("checkpoints")


class Resumption:
    """The check of the settings that are given when a run is resumed against those that it had.

    Args:
        folder: of the run.
        header: of its training checkpoint.
    """

    def __init__(self, folder: Path, header: RunHeader) -> None:
        self._folder = folder
        self._header = header
        self._options = replace(header.corpus.options, codec=header.codec["name"])

    def check_options(self, given: CorpusOptions, settings: TrainingSettings) -> None:
        """Raises SettingError if the task or an option of the corpus differs, or one has no meaning for the task.

        An option of the corpus at its default counts as not given.
        """
        task = self._header.model.task
        if settings.task not in (None, task):
            self._refuse({"task": task}, {"task": settings.task})
        options_of_task(replace(given, task=task))
        check_task(task, settings.given())
        then, now, defaults = (
            LEFT_OUT_AT_DEFAULT | options.to_json() for options in (self._options, given, CorpusOptions(()))
        )
        changed = {name: now[name] for name in READING_OPTIONS if now[name] not in (defaults[name], then[name])}
        self._refuse(then, changed)

    def settings(self, settings: TrainingSettings) -> tuple[ModelConfig, TrainingConfig]:
        """Returns the settings that the run had, with those of the given ones that may change.

        Raises SettingError if another one is given that differs.
        """
        given, config, training = settings.given(), self._header.model, self._header.training
        self._check_same(to_json(config) | to_json(training), given)
        if any(name in given for name in LIMITS):
            training = replace(
                training, steps=given.get("steps"), epochs=given.get("epochs"), minutes=given.get("minutes")
            )
        return config, replace(training, **{name: given[name] for name in ("patience", "accumulate") if name in given})

    def new_run(self, changed: Mapping[str, Any]) -> str:
        """Returns the command that begins a new run with the options of this one and some changed settings.

        The new run starts from the weights of this one, unless a changed setting belongs to the weights.
        """
        names = (f"{self._folder.name}-{number}" for number in count(2))
        name = next(name for name in names if not self._folder.with_name(name).exists())
        words = ["gen", "train", *self._options.sources]
        if "task" in changed:  # which has other options and weights
            return shlex.join([*words, "--run", name, *_out(self._folder), "--task", str(changed["task"])])
        if not changed.keys() & set(OF_WEIGHTS):
            words += ["--from", _as_source(self._folder)]
        words += ["--run", name, *_out(self._folder)]
        default = CorpusOptions().to_json()
        reading = {name: value for name, value in self._options.to_json().items() if value != default.get(name)}
        left_out = {"codec", "controls", *(["labels"] if self._options.task == "tag" else [])}.union(
            *(INSTEAD_OF.get(name, ()) for name in changed)
        )
        kept = {name: reading[name] for name in ("task", *READING_OPTIONS) if name in reading and name not in left_out}
        return shlex.join(
            [*words, *(word for name, value in {**kept, **changed}.items() for word in _words(name, value))]
        )

    def _check_same(self, recorded: Mapping[str, Any], given: Mapping[str, Any]) -> None:
        """Raises SettingError if a given setting differs that may not change."""
        changed = {
            name: value for name, value in given.items() if name not in FREE_ON_RESUME and value != recorded[name]
        }
        self._refuse(recorded, changed)

    def _refuse(self, then: Mapping[str, Any], changed: Mapping[str, Any]) -> None:
        """Raises SettingError for the first of the changed settings; its hint has all of them."""
        for name, value in changed.items():
            what = READING_OPTIONS.get(name, name.replace("_", " "))
            raise SettingError(
                f"--resume: {what} cannot change ({_shown(then[name])} then, {_shown(value)} now)",
                hint=f"only {FREE} may; a new run: {self.new_run(changed)}",
            )


def following(folder: Path, *, was_stopped: bool, task: TaskName = "write") -> str:
    """Returns the next command after a training: one that resumes the run if it was stopped, or one that uses it."""
    if was_stopped:
        return shlex.join(["gen", "train", "--run", folder.name, *_out(folder), "--resume"])
    if task in ("classify", "tag"):
        return f"{shlex.join(['gen', task, _as_source(folder)])} FILE"
    if task == "pairs":
        return f"{shlex.join(['gen', 'sample', _as_source(folder)])} --prompt SOURCE"
    return shlex.join(["gen", "sample", _as_source(folder)])


def _as_source(folder: Path) -> str:
    """Returns a run as an argument of the commands that read it."""
    return folder.name if folder.parent == RUNS else str(folder)


def _out(folder: Path) -> list[str]:
    """Returns the words of the option --out of `gen train`; none for a run in the default folder."""
    return [] if folder.parent == RUNS else ["--out", str(folder.parent)]


def _shown(value: Any) -> str:
    """Returns the value of a setting for a message or a command line."""
    if isinstance(value, list | tuple):
        return ",".join(value) or "none"
    return "none" if value is None else str(value)


def _words(name: str, value: Any) -> list[str]:
    """Returns an option of `gen train` and its value as words; none for a setting without an option."""
    option = (READING_OPTIONS | OPTIONS).get(name, "").replace(" ", "-")
    if not option:
        return []
    if isinstance(value, bool):
        return [f"--{option}" if value else NEGATIVES.get(name, f"--no-{option}")]
    return [f"--{option}", _shown(value)]
