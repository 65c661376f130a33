"""The settings of a corpus, a model, a training run and of sampling: frozen, validated once, JSON both ways."""

import codecs
import difflib
import math
from collections.abc import Collection, Mapping
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, get_args, get_origin

from gen.errors import SettingError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

CellName = Literal["rnn", "lstm", "gru"]  # those of gen.models.cells.CELLS, for a command line that imports no torch
CELL_NAMES: tuple[str, ...] = get_args(CellName)
TaskName = Literal["write", "classify", "tag", "pairs"]
PoolingName = Literal["last", "mean", "max", "attention"]
Precision = Literal["fp32", "bf16", "fp16"]
DOCUMENTS = ("auto", "files", "lines", "blank")  # words for the documents of a text; any other word is a separator
Normalize = Literal["none", "nfc", "nfkc"]
MAX_SAMPLES = 65536  # rows of one batch
MAX_LIMIT = 10**9  # steps, epochs or minutes: finite, since progress is measured against it
Data = TypeVar("Data", bound="DataclassInstance")


@dataclass(frozen=True, slots=True)
class Reading:
    """Options of reading the files of a corpus as documents.

    Args:
        encoding: of texts without a byte order mark.
        labels: "folders" makes the first sub-folders' names labels, where two or more of them hold used files.
        documents: the documents of a text: "files", "lines", "blank" (the text between blank lines), "auto" (the rows
            of tables, see `gen.codecs.text.tables`, and other files whole), or any other word: the text between
            separators equal to it.
        text_column: the column of texts in tables, by its name or its number from 1; None to find it by usual names.
        label_column: the column of labels, likewise; None for no labels. Numbers may be integers.
        target_column: of pairs, the column of targets, likewise; `text_column` then is that of sources.
        errors: bytes that are not in the encoding are an error, become U+FFFD, or are left out.
        normalize: the normal form of Unicode into which texts are brought.
        unknown: characters that are missing in a codec's fixed alphabet are an error, or are left out.
    """

    encoding: str = "utf-8"
    labels: Literal["folders", "none"] = "folders"
    documents: str = "auto"
    text_column: str | None = None
    label_column: str | None = None
    target_column: str | None = None
    errors: Literal["strict", "replace", "skip"] = "strict"
    normalize: Normalize = "none"
    unknown: Literal["error", "skip"] = "error"

    def __post_init__(self) -> None:
        for name in ("text_column", "label_column", "target_column"):
            if isinstance(getattr(self, name), int):
                object.__setattr__(self, name, str(getattr(self, name)))
        check_types(self)
        _check_encoding(self.encoding)
        _check_choice("labels", self.labels, ("folders", "none"))
        _check_documents(self.documents)
        for name in ("text_column", "label_column", "target_column"):
            column = getattr(self, name)
            option = name.replace("_", "-")
            if column == "":
                raise SettingError(f"--{option}: neither a name nor a number ()")
            if column is not None and self.documents != "auto":
                raise SettingError(f"--{option}: only for the rows of tables (--documents {self.documents})")
        _check_choice("errors", self.errors, ("strict", "replace", "skip"))
        _check_choice("normalize", self.normalize, get_args(Normalize))
        _check_choice("unknown", self.unknown, ("error", "skip"))


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The shape of a model: everything that decides its parameters' sizes, and its dropout."""

    vocab_size: int
    cell: str = "lstm"  # of CELL_NAMES
    hidden_size: int = 512
    num_layers: int = 1
    embedding_size: int = 128
    dropout: float = 0.0
    is_tied: bool = False  # the output layer shares the embedding's weights
    num_labels: int = 0
    has_variations: bool = False  # training marks the segments that are varied
    task: TaskName = "write"
    is_bidirectional: bool = False  # of a model that reads
    pooling: PoolingName = "max"  # of a classifier
    has_ngrams: bool = False  # of a classifier: n-grams answer beside the layers
    has_attention: bool = False  # of a translator

    def __post_init__(self) -> None:
        check_types(self)
        _check_choice("cell", self.cell, CELL_NAMES)
        _check_range("vocab size", self.vocab_size, least=2)
        _check_range("hidden", self.hidden_size, least=1, most=65536)
        _check_range("layers", self.num_layers, least=1, most=64)
        _check_range("embedding", self.embedding_size, least=1, most=65536)
        _check_range("dropout", self.dropout, least=0.0, below=1.0)
        _check_range("labels", self.num_labels, least=2 if self.task == "classify" else 0)
        _check_choice("task", self.task, get_args(TaskName))
        _check_choice("pooling", self.pooling, get_args(PoolingName))

    @property
    def num_directions(self) -> int:
        """The number of directions in which sequences are read."""
        return 2 if self.is_bidirectional else 1


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """The settings of training; a run stops at the first of `steps`, `epochs` and `minutes` that it reaches."""

    batch_size: int = 64
    accumulate: int = 1  # parts of a process's rows that run one after the other, to save memory
    bptt: int = 128
    learning_rate: float = 3e-3
    matrix_share: float = 0.0  # Muon's rate for recurrent matrices, against the learning rate; 0 for AdamW
    warmup_steps: int = 50
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    reset_rate: float = 0.05  # share of windows that start from a fresh state although their document goes on
    seed: int = 0
    precision: Precision = "fp32"
    steps: int | None = None
    epochs: float | None = None
    minutes: float | None = None
    augment: bool = False  # whether segments are read in variations, such as other keys
    measured_speed: float | None = None  # tokens a second, before the first step; None if no choice depended on it
    follows_speed: bool = False  # each epoch chooses the dropout anew, by the readings that the time left allows
    balance_labels: bool = False  # of a classifier: all labels weigh the same, however many documents they have
    patience: int = 10  # validations without a better one before the run stops; 0 for never

    def __post_init__(self) -> None:
        check_types(self)
        _check_choice("precision", self.precision, get_args(Precision))
        _check_range("batch size", self.batch_size, least=1, most=65536)
        _check_range("accumulate", self.accumulate, least=1, most=self.batch_size)
        _check_range("bptt", self.bptt, least=1, most=1 << 20)
        _check_range("lr", self.learning_rate, above=0.0, most=1e6)
        _check_range("matrix share", self.matrix_share, least=0.0, most=1e6)
        _check_range("warmup steps", self.warmup_steps, least=0)
        _check_range("weight decay", self.weight_decay, least=0.0)
        _check_range("clip", self.clip_norm, above=0.0)
        _check_range("reset rate", self.reset_rate, least=0.0, most=1.0)
        _check_range("seed", self.seed, least=0, most=2**63 - 1)
        _check_range("patience", self.patience, least=0)
        for name, limit in (("steps", self.steps), ("epochs", self.epochs), ("minutes", self.minutes)):
            if limit is not None:
                _check_range(name, limit, least=0, most=MAX_LIMIT)


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """The settings of a model and of its training that a user may give; those that are None are chosen by the recipe.

    They are checked where `ModelConfig` and `TrainingConfig` take them.
    """

    cell: CellName | None = None
    num_layers: int | None = None
    hidden_size: int | None = None
    embedding_size: int | None = None
    dropout: float | None = None
    is_tied: bool | None = None
    task: TaskName | None = None
    is_bidirectional: bool | None = None
    pooling: PoolingName | None = None
    has_ngrams: bool | None = None
    has_attention: bool | None = None
    batch_size: int | None = None
    accumulate: int | None = None
    bptt: int | None = None
    learning_rate: float | None = None
    matrix_share: float | None = None
    warmup_steps: int | None = None
    weight_decay: float | None = None
    clip_norm: float | None = None
    reset_rate: float | None = None
    seed: int | None = None
    augment: bool | None = None
    balance_labels: bool | None = None
    precision: Literal["auto"] | Precision | None = None
    device: str = "auto"
    steps: int | None = None
    epochs: float | None = None
    minutes: float | None = None
    patience: int | None = None

    def given(self) -> dict[str, Any]:
        """Returns the fields of `ModelConfig` and `TrainingConfig` that are given."""
        return {name: value for name, value in asdict(self).items() if value not in (None, "auto") and name != "device"}


@dataclass(frozen=True, slots=True)
class SamplingConfig:
    """The settings of drawing the next token; `gen.generation.sampling` gives the order of the filters."""

    temperature: float = 1.0  # 0 takes the likeliest token
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float = 1.0  # above 1 makes the last `REPETITION_WINDOW` tokens less likely

    def __post_init__(self) -> None:
        check_types(self)
        _check_range("temperature", self.temperature, least=0.0, most=100.0)
        _check_range("repetition penalty", self.repetition_penalty, above=0.0, most=100.0)
        if self.top_k is not None:
            _check_range("top-k", self.top_k, least=1)
        if self.top_p is not None:
            _check_range("top-p", self.top_p, above=0.0, most=1.0)
        if self.min_p is not None:
            _check_range("min-p", self.min_p, least=0.0, most=1.0)


def check_types(config: "DataclassInstance") -> None:
    """Raises SettingError if a field has a value of another type; choices are not looked at."""
    for field in fields(config):
        if get_origin(field.type) is not Literal:
            _typed(field.name, getattr(config, field.name), field.type)


def to_json(config: "DataclassInstance") -> dict[str, Any]:
    """Returns a dataclass as JSON data."""
    return asdict(config)


def from_json(kind: type[Data], data: Mapping[str, Any], *, prefix: str = "", required: Collection[str] = ()) -> Data:
    """Returns a dataclass from JSON data; its fields may be dataclasses, and a list becomes a tuple.

    Args:
        prefix: put before the names of fields in messages, such as "model." for data that is a part of other data.
        required: fields that the data must have though they have a default.

    Raises:
        SettingError: a field is missing, unknown or of the wrong type, or a value is out of range.
    """
    values = {}
    for field in fields(kind):
        name = f"{prefix}{field.name}"
        if field.name in data:
            values[field.name] = _typed(name, data[field.name], field.type)
        elif field.name in required or field.default is MISSING is field.default_factory:
            raise SettingError(f"{name} is missing")
    if unknown := data.keys() - values.keys():
        raise SettingError(f"{kind.__name__}: not its settings ({', '.join(sorted(unknown))})")
    return kind(**values)


def _typed(name: str, value: Any, kind: Any) -> Any:
    """Returns a value of a field's type; JSON may write a whole float as an integer. Raises SettingError."""
    for part in get_args(kind) if isinstance(kind, UnionType) else (kind,):
        origin, arguments = get_origin(part) or part, get_args(part)
        if is_dataclass(origin) and isinstance(value, Mapping):
            return from_json(cast(type, origin), value, prefix=f"{name}.")
        if origin is Literal and value in arguments:
            return value
        if origin is tuple and isinstance(value, list | tuple) and all(isinstance(v, arguments[0]) for v in value):
            return tuple(value)
        if origin not in (Literal, tuple) and isinstance(value, int | float if origin is float else origin):
            return value
    raise SettingError(f"{name} is {value!r:.40}")


def _check_encoding(encoding: str) -> None:
    """Raises SettingError unless Python knows the text encoding."""
    try:
        " ".encode(encoding)
        codecs.getincrementaldecoder(encoding)
    except (LookupError, ValueError) as err:
        raise SettingError(
            f"--encoding: unknown ({encoding})", hint="such as utf-8, utf-16, latin-1, cp1252, koi8-r, gbk, shift_jis"
        ) from err


def _check_documents(documents: str) -> None:
    """Raises SettingError if the separator is empty or looks like a misspelt word."""
    if not documents:
        raise SettingError("--documents: an empty separator", hint=f"choose one of {', '.join(DOCUMENTS)}, or a text")
    near = difflib.get_close_matches(documents.lower(), DOCUMENTS, n=1)
    if near and documents not in DOCUMENTS:
        raise SettingError(f"--documents: no separator ({documents})", hint=f"did you mean {near[0]}?")


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise SettingError(f"--{name}: unknown ({value})", hint=f"choose one of {', '.join(choices)}")


def _check_range(
    name: str,
    value: float,
    *,
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> None:
    bounds = (
        (least is not None and value < least, "must be at least", least),
        (most is not None and value > most, "must be at most", most),
        (above is not None and value <= above, "must be above", above),
        (below is not None and value >= below, "must be below", below),
    )
    if math.isnan(value):
        raise SettingError(f"--{name.replace(' ', '-')}: must be a number ({value})")
    for is_broken, what, bound in bounds:
        if is_broken:
            shown = f"{bound:g}" if isinstance(bound, float) else str(bound)
            raise SettingError(f"--{name.replace(' ', '-')}: {what} {shown} ({value})")
