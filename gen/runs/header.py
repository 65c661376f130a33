"""The header of a run's files: everything but tensors that a checkpoint holds, as one typed value.

Both files of a run have the same header, but for a few fields at its end. The training checkpoint names the files and
documents of the corpus, so that a run resumes without being given its corpus again. The model file is there to be
shared, so its JSON names no file and no folder: it keeps how the corpus was read, counts, and a hash of the contents.
"""

import math
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gen.config import Data, ModelConfig, TrainingConfig, from_json
from gen.errors import CheckpointError, SettingError
from gen.runs.base import Base
from gen.runs.checkpoint import Kind, read_checkpoint, read_header, write_checkpoint
from gen.runs.history import History
from gen.runs.options import CorpusOptions, options_from_json
from gen.training.trainer import Place
from gen.version import __version__

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

ALWAYS_WRITTEN = ("codec", "encoding", "labels", "valid_fraction", "seed")  # options of a corpus, by all versions
FILES = ("sources", "valid_file", "test_file")  # options that name files of this machine
NOT_SHARED = (*FILES, "base")


@dataclass(frozen=True, slots=True)
class CorpusDescription:
    """The corpus of a run: the options that it was read with, and enough to notice and name a change of it.

    Args:
        key: of its store.
        valid_key: of the store of the validation part: another one if that is a file of its own.
        documents: tokens of each by its name; None in model files, and for a corpus of too many documents.
        num_units: this count and those below are None where an older version wrote none.
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
        """Returns the description that a file of this kind holds. Raises SettingError."""
        files, names = (FILES, ("documents",)) if kind == "training" else ((), ())
        options = options_from_json(_object(data, "options", prefix="corpus."), required=ALWAYS_WRITTEN + files)
        return from_json(cls, _known(cls, data) | {"options": options}, prefix="corpus.", required=names)

    def to_json(self, kind: Kind) -> dict[str, Any]:
        """Returns the JSON data that a file of this kind holds."""
        data = {name: value for name, value in self._items() if value is not None or name == "documents"}
        data["options"] = self.options.to_json()
        if kind == "model":
            del data["documents"]
            data["options"] = {name: value for name, value in data["options"].items() if name not in NOT_SHARED}
        return data

    def counts(self) -> dict[str, int]:
        """Returns the counts that are known, by their names."""
        return {name: value for name, value in self._items() if name.startswith("num_") and value is not None}

    def _items(self) -> list[tuple[str, Any]]:
        return [(field.name, getattr(self, field.name)) for field in fields(self)]


@dataclass(frozen=True, slots=True)
class RunHeader:
    """Everything but tensors that a run's file holds.

    Args:
        run: its name.
        codec: as `Codec.spec` describes it.
        labels: their names; label n of the model is the n-th, from 1.
        can_end: whether the model has learnt to end documents.
        versions: of the programs that wrote the file.
        result: in a model file, what the run has reached, as `gen train --json` prints it; else empty.
        position: in a training checkpoint, where training stands; else None.
        marks_passed: in a training checkpoint, how many of the run's regular validations are done.
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
    position: Place | None = None
    marks_passed: int = 0

    @classmethod
    def from_json(cls, data: Any, kind: Kind) -> "RunHeader":
        """Returns the header that a file of this kind holds. Raises SettingError if a field is missing or wrong."""
        if not isinstance(data, dict):
            raise SettingError("the header is no object")
        parts: dict[str, Any] = {
            "corpus": CorpusDescription.from_json(_object(data, "corpus"), kind),
            "history": _complete(History, _object(data, "history"), "history"),
        }
        if kind == "model":
            _check_result(_object(data, "result"))
        else:
            parts["position"] = _complete(Place, _object(data, "place"), "place")
        return from_json(cls, _known(cls, data) | parts, required=("marks_passed",) if kind == "training" else ())

    @property
    def kind(self) -> Kind:
        """The kind of file that the header is of."""
        return "model" if self.position is None else "training"

    @property
    def logit_scale(self) -> float:
        """The factor on the logits that the end of the training found (`gen.analysis.calibrate`); 1 before that."""
        scale: float = self.result.get("logit_scale", 1.0)
        return scale

    @property
    def base(self) -> Base:
        """The run as another one starts from it."""
        return Base(self.codec, self.labels, self.can_end)

    def to_json(self) -> dict[str, Any]:
        """Returns the JSON data that the file holds."""
        data = asdict(self) | {"corpus": self.corpus.to_json(self.kind)}
        position, marks_passed, result = (data.pop(name) for name in ("position", "marks_passed", "result"))
        at_end = {"result": result} if position is None else {"place": position, "marks_passed": marks_passed}
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


def versions() -> dict[str, str]:
    """Returns the versions of the programs that write a checkpoint now."""
    return {"gen": __version__, "torch": str(torch.__version__), "python": platform.python_version()}


def _parsed(path: Path, kind: Kind, data: Any) -> RunHeader:
    try:
        return RunHeader.from_json(data, kind)
    except SettingError as err:
        raise CheckpointError(f"{path}: not a header of this format ({err})") from err


def _known(kind: "type[DataclassInstance]", data: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the part of an object that this version knows: a later one may have added to it."""
    return {field.name: data[field.name] for field in fields(kind) if field.name in data}


def _complete(kind: type[Data], data: Mapping[str, Any], name: str) -> Data:
    """Returns a part of a header in which no field may be missing."""
    return from_json(kind, data, prefix=f"{name}.", required=[field.name for field in fields(kind)])


def _object(data: Mapping[str, Any], name: str, *, prefix: str = "") -> dict[str, Any]:
    """Returns an object that is a part of a header. Raises SettingError if it is missing or something else."""
    if name not in data:
        raise SettingError(f"{prefix}{name} is missing")
    value = data[name]
    if not isinstance(value, dict):
        raise SettingError(f"{prefix}{name} is no object")
    return value


def _check_result(result: Mapping[str, Any]) -> None:
    """Raises SettingError unless a model's result has what the program reads of it."""
    if not isinstance(result.get("parameters"), int):
        raise SettingError(f"result.parameters is {result.get('parameters', 'missing')}")
    scale = result.get("logit_scale", 1.0)
    if not isinstance(scale, int | float) or not 0 < scale < math.inf:
        raise SettingError(f"result.logit_scale is {scale}")
