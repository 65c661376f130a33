"""Reads a table as text whose documents are its rows, and recognises files that are tables.

A file is a table by its suffix, or where a column of texts is asked for, unless `--documents` says otherwise. Rows come
in parts of many, so that a table of millions takes no more memory than its longest row.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from gen.codec import NO_ENDS
from gen.codecs.text.files import LINE_ENDS, TextPart
from gen.codecs.text.tables.rows import Row, look_at_table, rows_of
from gen.config import Reading
from gen.errors import CorpusError

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")
VERSION = 1  # of the rules by which tables are read
UNLABELLED = "rows without a label"
SHORT = "rows with fewer fields than columns"
_COMPRESSED = (".gz", ".bz2", ".xz", ".lzma")
_PART = 1 << 16  # characters of a part, about


def has_table_suffix(path: Path) -> bool:
    """Returns whether a file is called as tables are, packed or not."""
    name = Path(path.stem) if path.suffix.lower() in _COMPRESSED else path
    return name.suffix.lower() in SUFFIXES


def is_table(path: Path, reading: Reading) -> bool:
    """Returns whether the documents of a file are its rows."""
    if reading.documents != "auto":
        return False
    return has_table_suffix(path) or reading.text_column is not None


def table_parts(path: Path, reading: Reading) -> Iterator[TextPart]:
    """Reads the texts of a table, many rows a part. Raises CorpusError."""
    table = look_at_table(path, reading)
    has_labels = table.columns.label is not None
    for rows in many_rows(rows_of(path, reading, table)):
        found = Counter({UNLABELLED: sum(row.label is None for row in rows)} if has_labels else {})
        yield part_of(path, rows, [(row.text or "",) for row in rows], found, has_labels=has_labels)


def many_rows(rows: Iterator[Row]) -> Iterator[list[Row]]:
    """Yields rows in lists of about `_PART` characters."""
    held: list[Row] = []
    size = 0
    for row in rows:
        held.append(row)
        size += len(row.text or "")
        if size >= _PART or len(held) >= _PART:
            yield held
            held, size = [], 0
    if held:
        yield held


def part_of(
    path: Path,
    rows: Sequence[Row],
    fields: Sequence[tuple[str, ...]],
    findings: Mapping[str, int],
    *,
    has_labels: bool = False,
    separator: str = "",
) -> TextPart:
    """Returns a part whose documents are rows. Raises CorpusError if a field holds a NUL.

    Args:
        fields: of each row, which make up its text, with the separator between them.
        findings: to which those of this function are added.
        has_labels: whether the rows' labels are those of the documents.
    """
    found = Counter(findings)
    found[SHORT] = sum(row.is_short for row in rows)
    joined = "".join(chain.from_iterable(fields))
    if "\r" in joined or "\0" in joined:  # which only JSON can hold
        found[LINE_ENDS] = joined.count("\r")
        fields = [
            tuple(_plain_line_ends(path, row, field) for field in of_row)
            for row, of_row in zip(rows, fields, strict=True)
        ]
    texts = [separator.join(of_row) for of_row in fields]
    joined = "".join(texts)
    ends = np.cumsum([len(text) for text in texts], dtype=np.int64)
    labels = [row.label for row in rows] if has_labels else None
    return TextPart(joined, 0, +found, ends, NO_ENDS, labels, np.array([row.line for row in rows], np.int64))


def _plain_line_ends(path: Path, row: Row, text: str) -> str:
    if "\0" in text:
        raise CorpusError(f"{path}: a NUL in a text (line {row.line})")
    return text.replace("\r\n", "\n").replace("\r", "\n")
