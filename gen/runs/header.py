"""The header of a run's files: everything that a checkpoint holds beside its tensors, as one typed value.

The headers of the two files differ in their last fields and in the corpus. The training checkpoint names the files and
documents of the corpus, so that a run is resumed without naming them again. The model file is made to be shared, so it
names no file and no folder: of the corpus it keeps the options of reading, counts, and a hash of the contents.
"""

import math
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gen.config import Data, ModelConfig, Reading, TrainingConfig, from_json
from gen.errors import CheckpointError, SettingError
from gen.runs.base import Base
from gen.runs.checkpoint import TRAINING_FILE, Kind, read_checkpoint, read_header, write_checkpoint
from gen.runs.history import History
from gen.runs.options import CorpusOptions, options_from_json
from gen.training.trainer import TrainingPosition
from gen.version import __version__

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

# Options of a corpus: those that every version writes, those that name files of this machine, those of training alone.
ALWAYS_WRITTEN = ("codec", "encoding", "labels", "valid_fraction", "seed")
FILES = ("sources", "valid_file", "test_file")
NOT_SHARED = (*FILES, "base")
# Settings and figures that are younger than the first checkpoints: written only if they differ from these.
TRAINING_LEFT_OUT: dict[str, Any] = {"measured_speed": None, "follows_speed": False, "balance_labels": False}
MODEL_LEFT_OUT: dict[str, Any] = {
    "task": "write",
    "is_bidirectional": False,
    "pooling": "max",
    "has_ngrams": False,
    "has_attention": False,
}
PLACE_LEFT_OUT: dict[str, Any] = {"dropout": None}


@dataclass(frozen=True, slots=True)
class CorpusDescription:
    """The corpus of a run: the options that it was read with, and figures by which a change of it is noticed.

    Args:
        key: of its store, a hash of contents and options.
        valid_key: of the store that holds the validation part; another one if that is a file of its own.
        num_units: None, as the counts below, where an older version wrote none.
        documents: the number of tokens of each document, by name; None in a model file or for too many documents.
        num_test_targets: None for a corpus without a test part.
    """

    options: CorpusOptions
    key: str
    valid_key: str
    num_tokens: int
    num_units: int | None = None
    num_documents: int | None = None
    documents: dict[str, int] | None = None
    num_train_targets: int | None = None
    num_valid_targets: int | None = None
    num_test_targets: int | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any], kind: Kind) -> "CorpusDescription":
        """Returns the description in a file of this kind. Raises SettingError as `RunHeader.from_json` does."""
        files, names = (FILES, ("documents",)) if kind == "training" else ((), ())
        given = _object(data, "options", prefix="corpus.")
        known = given if kind == "training" else _known(CorpusOptions, given) | _known(Reading, given)
        options = options_from_json(known, required=ALWAYS_WRITTEN + files)
        return from_json(cls, _known(cls, data) | {"options": options}, prefix="corpus.", required=names)

    def to_json(self, kind: Kind) -> dict[str, Any]:
        """Returns the JSON data for a file of this kind."""
        data = {name: value for name, value in asdict(self).items() if value is not None or name == "documents"}
        data["options"] = self.options.to_json()
        if kind == "model":
            del data["documents"]
            data["options"] = {name: value for name, value in data["options"].items() if name not in NOT_SHARED}
        return data

    def counts(self) -> dict[str, int]:
        """Returns the known counts by name."""
        return {name: value for name, value in asdict(self).items() if name.startswith("num_") and value is not None}


@dataclass(frozen=True, slots=True)
class RunHeader:
    """Everything that a file of a run holds beside its tensors.

    Args:
        run: name of the run.
        codec: the codec's spec.
        labels: names of the labels; the model numbers them from 1.
        can_end: True if the model has learnt to end documents.
        versions: of the programs that wrote the file.
        result: of a model file: the result of the training, as `gen train --json` prints it.
        position: of a training checkpoint: the position from which training goes on; None in a model file.
        marks_passed: of a training checkpoint: the number of regular validations that are done.
    """

    run: str
    codec: dict[str, Any]
    model: ModelConfig
    training: TrainingConfig
    labels: tuple[str, ...]
    corpus: CorpusDescription
    can_end: bool
    history: History
    versions: dict[str, str]
    result: Mapping[str, Any] = field(default_factory=dict)
    position: TrainingPosition | None = None
    marks_passed: int = 0

    def __post_init__(self) -> None:
        for name, kind in (("name", str), ("version", int)):
            if not isinstance(self.codec.get(name), kind):
                raise SettingError(f"codec.{name} is {self.codec.get(name, 'missing')}")

    @classmethod
    def from_json(cls, data: Any, kind: Kind) -> "RunHeader":
        """Returns the header in a file of this kind. Raises SettingError if a field is missing or of the wrong type."""
        if not isinstance(data, dict):
            raise SettingError("the header is no object")
        parts: dict[str, Any] = {
            "corpus": CorpusDescription.from_json(_object(data, "corpus"), kind),
        }
        history = _object(data, "history")
        if kind == "model":
            _check_result(_object(data, "result"))
            history = _known(History, history)
            parts["training"] = _known(TrainingConfig, _object(data, "training"))
        else:
            parts["position"] = _complete(TrainingPosition, PLACE_LEFT_OUT | _object(data, "place"), "place")
        parts["history"] = _complete(History, history, "history")
        return from_json(cls, _known(cls, data) | parts, required=("marks_passed",) if kind == "training" else ())

    @property
    def kind(self) -> Kind:
        """The kind of file that has this header."""
        return "model" if self.position is None else "training"

    @property
    def logit_scale(self) -> float:
        """The factor on the logits from the end of training (`gen.analysis.calibrate`); 1 before that."""
        return float(self.result.get("logit_scale", 1.0))

    @property
    def base(self) -> Base:
        """The part of the run that a run which starts from it takes over."""
        return Base(self.codec, self.labels, self.can_end, self.model.task)

    def to_json(self) -> dict[str, Any]:
        """Returns the JSON data for the file."""
        data = asdict(self) | {"corpus": self.corpus.to_json(self.kind)}
        data["model"] = _without(data["model"], MODEL_LEFT_OUT)
        data["training"] = _without(data["training"], TRAINING_LEFT_OUT)
        position, marks_passed, result = (data.pop(name) for name in ("position", "marks_passed", "result"))
        at_end = (
            {"result": result}
            if position is None
            else {"place": _without(position, PLACE_LEFT_OUT), "marks_passed": marks_passed}
        )
        return data | at_end


def read_run_file(path: Path, kind: Kind) -> tuple[dict[str, Tensor], RunHeader]:
    """Reads tensors (on the CPU) and header of a run's file. Raises CheckpointError."""
    tensors, data = read_checkpoint(path, kind)
    return tensors, _parsed(path, kind, data)


def read_run_header(path: Path, kind: Kind) -> RunHeader:
    """Reads the header of a run's file without its tensors. Raises CheckpointError."""
    return _parsed(path, kind, read_header(path, kind))


def write_run_file(path: Path, tensors: Mapping[str, Tensor], header: RunHeader) -> None:
    """Writes a run's file; a kill at any moment leaves the old one or the new one. Raises SettingError."""
    write_checkpoint(path, header.kind, tensors, header.to_json())


def recorded_corpus(model_file: Path, header: RunHeader) -> CorpusDescription:
    """Returns the description of a model's corpus from the training checkpoint beside its file, or from its header.

    A training checkpoint of another corpus, or one that cannot be read, is ignored.
    """
    own = header.corpus
    try:
        found = read_run_header(model_file.with_name(TRAINING_FILE), "training").corpus
    except CheckpointError:
        return own
    return found if (found.key, found.valid_key) == (own.key, own.valid_key) else own


def versions() -> dict[str, str]:
    """Returns the versions of the programs that are running."""
    return {"gen": __version__, "torch": str(torch.__version__), "python": platform.python_version()}


def _parsed(path: Path, kind: Kind, data: Any) -> RunHeader:
    """Returns the header of a file from its JSON data. Raises CheckpointError."""
    try:
        return RunHeader.from_json(data, kind)
    except SettingError as err:
        raise CheckpointError(f"{path}: not a header of this format ({err})") from err


def _known(kind: "type[DataclassInstance]", data: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields of an object that this version knows; a later version may have added others."""
    return {known.name: data[known.name] for known in fields(kind) if known.name in data}


def _without(data: Mapping[str, Any], left_out: Mapping[str, Any]) -> dict[str, Any]:
    """Returns data without the fields that have these values."""
    return {name: value for name, value in data.items() if left_out.get(name, ...) != value}


def _complete(kind: type[Data], data: Mapping[str, Any], name: str) -> Data:
    """Returns a part of a header in which every field is required. Raises SettingError."""
    return from_json(kind, data, prefix=f"{name}.", required=[part.name for part in fields(kind)])


def _object(data: Mapping[str, Any], name: str, *, prefix: str = "") -> dict[str, Any]:
    """Returns the object of this name in a header. Raises SettingError if it is missing or not an object."""
    if not isinstance(value := data.get(name), dict):
        raise SettingError(f"{prefix}{name} is {'no object' if name in data else 'missing'}")
    return value


def _check_result(result: Mapping[str, Any]) -> None:
    """Raises SettingError unless a result has a number of parameters, and its factor on the logits is positive."""
    if not isinstance(result.get("parameters"), int):
        raise SettingError(f"result.parameters is {result.get('parameters', 'missing')}")
    scale = result.get("logit_scale", 1.0)
    if not isinstance(scale, int | float) or not 0 < scale < math.inf:
        raise SettingError(f"result.logit_scale is {scale}")
