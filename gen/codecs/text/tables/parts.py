"""Reads a table as text whose documents are its rows, and recognises files that are tables.

A file is a table by its suffix, or where a column of texts is asked for, unless `--documents` says otherwise. Rows come
in parts of many, so that a table of millions takes no more memory than its longest row.
"""

from collections import Counter
from collections.abc import Iterator
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
    rows: list[Row] = []
    size = 0
    for row in rows_of(path, reading, table):
        rows.append(row)
        size += len(row.text or "")
        if size >= _PART or len(rows) >= _PART:
            yield _part(path, rows, has_labels=has_labels)
            rows, size = [], 0
    if rows:
        yield _part(path, rows, has_labels=has_labels)


def _part(path: Path, rows: list[Row], *, has_labels: bool) -> TextPart:
    texts = [row.text or "" for row in rows]
    found = Counter({SHORT: sum(row.is_short for row in rows)})
    if has_labels:
        found[UNLABELLED] = sum(row.label is None for row in rows)
    joined = "".join(texts)
    if "\r" in joined or "\0" in joined:  # which only JSON can hold
        texts = [_plain_line_ends(path, row, text) for row, text in zip(rows, texts, strict=True)]
        found[LINE_ENDS], joined = joined.count("\r"), "".join(texts)
    ends = np.cumsum([len(text) for text in texts], dtype=np.int64)
    labels = [row.label for row in rows] if has_labels else None
    return TextPart(joined, 0, +found, ends, NO_ENDS, labels, np.array([row.line for row in rows], np.int64))


def _plain_line_ends(path: Path, row: Row, text: str) -> str:
    if "\0" in text:
        raise CorpusError(f"{path}: a NUL in a text (line {row.line})")
    return text.replace("\r\n", "\n").replace("\r", "\n")
