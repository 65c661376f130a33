"""The past of a run: its validations, and metrics.jsonl with one line per report."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gen.errors import SettingError
from gen.files.disk import reason, write_atomically


@dataclass(slots=True)
class History:
    """The validations of a run: the best one, and how many since then were no better. Both decide how it goes on."""

    num_validations: int = 0
    last_step: int = 0  # of the last validation
    best_nats: float | None = None  # mean per token
    best_bits_per_unit: float | None = None
    best_step: int = 0
    num_since_best: int = 0

    def add(self, valid_nats: float, bits_per_unit: float | None, step: int) -> bool:
        """Adds a validation; returns True if it is the best so far. NaN never is."""
        self.num_validations += 1
        self.last_step = step
        if self.best_nats is not None and not valid_nats < self.best_nats:
            self.num_since_best += 1
            return False
        self.best_nats, self.best_bits_per_unit, self.best_step = valid_nats, bits_per_unit, step
        self.num_since_best = 0
        return True


class Metrics:
    """The file metrics.jsonl, open for appending.

    Args:
        path: of the file.
        step: of the last checkpoint. Lines of later steps are removed: a run wrote them before it was killed.
    """

    def __init__(self, path: Path, *, step: int) -> None:
        kept = [line for line in _lines(path) if _step(line) <= step]
        write_atomically(path, lambda temporary: _write(temporary, kept))
        self._file = path.open("a", encoding="utf-8", newline="\n")

    def write(self, line: Mapping[str, Any]) -> None:
        """Appends one line. Raises SettingError if the disk is full."""
        try:
            self._file.write(json.dumps(dict(line)) + "\n")
            self._file.flush()
        except OSError as err:
            raise SettingError(f"{self._file.name}: cannot be written ({reason(err)})") from err

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []


def _step(line: str) -> float:
    """Returns the step of a line; infinity for half a line, which a kill leaves."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")


def _write(path: Path, lines: list[str]) -> None:
    path.write_text("".join(lines), encoding="utf-8", newline="\n")
