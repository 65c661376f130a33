"""Results of benchmarks in a file of JSON lines, which a later call continues."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Row = dict[str, Any]  # the key of a measurement, then its results


class ResultLines:
    """Rows in a file, one a line.

    Args:
        file: need not exist.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.rows: list[Row] = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def find(self, key: Mapping[str, Any]) -> Row | None:
        """Returns the first row with a key; None if it is not there."""
        return next((row for row in self.rows if key.items() <= row.items()), None)

    def row(self, key: Mapping[str, Any], measured: Callable[[], Mapping[str, Any]]) -> Row:
        """Returns the row of a key; measures it and writes it to the file if it is not there."""
        if (known := self.find(key)) is not None:
            return known
        self.rows.append({**key, **measured()})
        with self._file.open("a") as lines:
            lines.write(json.dumps(self.rows[-1]) + "\n")
        return self.rows[-1]
