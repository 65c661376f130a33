"""What a run has reached so far: its best validation, its patience, and metrics.jsonl, a line a report."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gen.errors import SettingError
from gen.files import reason, write_atomically


@dataclass(slots=True)
class History:
    """The part of a run's past that decides what comes next; kept in the training checkpoint."""

    num_validations: int = 0
    last_step: int = 0  # of the last validation
    best_nats: float | None = None  # mean per token
    best_bits_per_unit: float | None = None
    best_step: int = 0
    num_since_best: int = 0

    def add(self, valid_nats: float, bits_per_unit: float | None, step: int) -> bool:
        """Takes in a validation; returns whether it is the best so far. NaN never is."""
        self.num_validations += 1
        self.last_step = step
        if self.best_nats is not None and not valid_nats < self.best_nats:
            self.num_since_best += 1
            return False
        self.best_nats, self.best_bits_per_unit, self.best_step = valid_nats, bits_per_unit, step
        self.num_since_best = 0
        return True

    def to_json(self) -> dict[str, Any]:
        """Returns the history as JSON data for `History(**data)`."""
        return asdict(self)


class Metrics:
    """Appends to metrics.jsonl.

    Args:
        path: of the file.
        step: lines past this step are dropped first: a run that was killed wrote them after its last checkpoint.
    """

    def __init__(self, path: Path, *, step: int) -> None:
        kept = [line for line in _lines(path) if _step(line) <= step]
        write_atomically(path, lambda temporary: _write(temporary, kept))
        self._file = path.open("a", encoding="utf-8", newline="\n")

    def write(self, line: Mapping[str, Any]) -> None:
        """Adds one line. Raises SettingError if the disk is full."""
        try:
            self._file.write(json.dumps(dict(line)) + "\n")
            self._file.flush()
        except OSError as err:
            raise SettingError(f"{self._file.name}: cannot be written ({reason(err)})") from err

    def close(self) -> None:
        self._file.close()


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []


def _step(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):  # half a line, from a kill while it was written
        return float("inf")


def _write(path: Path, lines: list[str]) -> None:
    path.write_text("".join(lines), encoding="utf-8", newline="\n")
