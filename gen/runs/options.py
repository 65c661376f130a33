"""The options of a run's corpus: its files, how they are read, and how they are split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from gen.config import Reading, TaskName, check_types, from_json, to_json
from gen.corpus.sources import printable
from gen.data.split import check_fractions
from gen.errors import SettingError
from gen.runs.base import Base

VALID_FRACTION = 0.1

# Options that are younger than the first checkpoints: written only if they differ, so that headers stay as they were.
LEFT_OUT_AT_DEFAULT: dict[str, Any] = {
    "task": "write",
    "test_fraction": 0.0,
    "documents": "auto",
    "text_column": None,
    "label_column": None,
    "target_column": None,
    "errors": "strict",
    "normalize": "none",
    "unknown": "error",
}
READING_FIELDS = tuple(field.name for field in fields(Reading))


@dataclass(frozen=True, slots=True)
class CorpusOptions:
    """Options of reading and splitting a corpus; checkpoints keep them, so that a resumed run needs none."""

    sources: tuple[str, ...] = ()
    task: TaskName = "write"
    codec: str = "auto"
    reading: Reading = Reading()
    valid_fraction: float = VALID_FRACTION
    test_fraction: float = 0.0
    seed: int = 0  # of the split
    valid_file: str | None = None
    test_file: str | None = None
    controls: tuple[str, ...] = ()  # that the codec puts into the ids
    base: Base | None = None  # the run whose weights are those of the start

    def __post_init__(self) -> None:
        check_types(self)
        check_fractions(self.valid_fraction, 0)
        check_fractions(self.valid_share, self.test_fraction)
        if self.test_fraction and self.test_file is not None:
            raise SettingError(
                f"--test: not with --test-file ({self.test_fraction:g}, {printable(self.test_file)})",
                hint="the test is a part of the corpus or another one",
            )

    @property
    def valid_share(self) -> float:
        """The share of the corpus that is its validation part; 0 if a file is."""
        return self.valid_fraction if self.valid_file is None else 0.0

    @property
    def codec_name(self) -> str:
        """The codec to prepare with: pairs have one of their own."""
        return "pairs" if self.task == "pairs" else self.codec

    def to_json(self) -> dict[str, Any]:
        """Returns the options as flat JSON data, with those of `Reading`, without `LEFT_OUT_AT_DEFAULT`."""
        names = (field.name for field in fields(self) if field.name not in ("reading", "base"))
        options = {name: getattr(self, name) for name in names} | to_json(self.reading)
        if self.base is not None:
            options["base"] = self.base.to_json()
        return {name: value for name, value in options.items() if LEFT_OUT_AT_DEFAULT.get(name, ...) != value}


def options_from_json(data: Mapping[str, Any], *, required: Sequence[str]) -> CorpusOptions:
    """Returns the options that a checkpoint keeps. Raises SettingError as `from_json` does."""
    prefix = "corpus.options."
    parts = {name: data[name] for name in data if name not in READING_FIELDS}
    reading = {name: data[name] for name in data if name in READING_FIELDS}
    parts["reading"] = from_json(Reading, reading, prefix=prefix, required=required)
    return from_json(CorpusOptions, parts, prefix=prefix, required=required)
