"""Reads a table whose rows are pairs of a source and a target, as text: each row is a source, a NUL, and a target.

No text holds a NUL, so it can be told from all characters. Blanks around a source or a target belong to neither. Any
file is read so, whatever its suffix.
"""

from collections.abc import Iterator, Sequence
from itertools import compress
from pathlib import Path

from gen.codecs.text.files import TextPart
from gen.codecs.text.tables.columns import Columns, index_of, listed, shown
from gen.codecs.text.tables.parts import many_rows, part_of
from gen.codecs.text.tables.rows import ColumnRules, Table, look_at_table, rows_of
from gen.config import Reading
from gen.errors import CorpusError

SEPARATOR = "\0"
INCOMPLETE = "rows without a source or a target left out"
VERSION = 1  # of the rules by which pairs are read
# Where no column is named, the first of these pairs that a table has are source and target; else its first two columns.
PAIR_NAMES = (
    *(("source", "target"), ("input", "output"), ("src", "tgt"), ("src", "trg"), ("from", "to")),
    *(("question", "answer"), ("word", "pronunciation"), ("word", "phonemes"), ("grapheme", "phoneme")),
    *(("graphemes", "phonemes"), ("original", "corrected"), ("wrong", "right")),
)


def pair_parts(path: Path, reading: Reading) -> Iterator[TextPart]:
    """Reads the pairs of a table, many rows a part. Raises CorpusError."""
    is_any = False
    for rows in many_rows(rows_of(path, reading, look_at_pairs(path, reading))):
        pairs = [((row.text or "").strip(), row.label or "") for row in rows]  # labels are stripped
        complete = [all(pair) for pair in pairs]
        found = {INCOMPLETE: complete.count(False)}
        is_any = is_any or any(complete)
        yield part_of(path, [*compress(rows, complete)], [*compress(pairs, complete)], found, separator=SEPARATOR)
    if not is_any:
        raise CorpusError(f"{path}: no row has a source and a target", hint="--text-column and --target-column")


def look_at_pairs(path: Path, reading: Reading) -> Table:
    """Returns the format of a table and the columns of its pairs; the label's is that of the targets.

    Raises CorpusError if the file is no table, or lacks a column that is asked for.
    """
    return look_at_table(path, reading, PAIR_ROWS)


def describe(table: Table) -> str:
    """Returns in a few words what is read."""
    columns, target = table.columns, table.columns.label
    assert target is not None
    header = "" if columns.has_header or table.form is None else " without a header"
    names = f"sources of column {shown(columns.names[columns.text])}, targets of column {shown(columns.names[target])}"
    return f"rows{header}, {names}"


def has_header(records: Sequence[Sequence[str]], reading: Reading) -> bool:
    """Returns whether the first row names the columns: one that is asked for by name, or a pair of usual names."""
    if not records:
        return False
    fields = [field.strip() for field in records[0]]
    asked = {name for name in (reading.text_column, reading.target_column) if name and not name.isdecimal()}
    return not asked.isdisjoint(fields) or _usual(fields) is not None


def choose_columns(path: Path, names: Sequence[str], reading: Reading, is_named: bool) -> Columns:
    """Returns the columns to read, by their names or numbers, by usual names, or else the first two.

    Raises CorpusError if a column is missing.
    """
    if len(names) < 2:
        raise CorpusError(
            f"{path}: no column of targets (columns: {listed(names)})",
            hint="a tab or a comma between source and target",
        )
    source = _asked(path, names, reading.text_column, "--text-column")
    target = _asked(path, names, reading.target_column, "--target-column")
    if source is None:
        source = _likely(path, names, "--text-column", target)
    if target is None:
        target = _likely(path, names, "--target-column", source)
    if source == target:
        raise CorpusError(f"{path}: sources and targets in one column ({names[source]})", hint="--target-column NAME")
    return Columns(tuple(names), is_named, source, target)


def _asked(path: Path, names: Sequence[str], asked: str | None, option: str) -> int | None:
    return None if asked is None else index_of(path, names, asked, option)


def _usual(names: Sequence[str]) -> tuple[str, str] | None:
    """Returns the usual names of a source and a target that columns have; None if there are none."""
    folded = {name.strip().casefold() for name in names}
    return next((pair for pair in PAIR_NAMES if folded.issuperset(pair)), None)


def _likely(path: Path, names: Sequence[str], option: str, other: int | None) -> int:
    """Returns the index of the column for an option that is not given: that of the usual name, or else the first.

    Args:
        other: the index of the column on the other side of the pairs, which is not returned; None if it is not known.

    Raises CorpusError if several columns have the usual name.
    """
    usual = _usual(names)
    if usual is not None:
        named = index_of(path, names, usual[option == "--target-column"], option)
        if named != other:
            return named
    return 1 if other == 0 else 0


PAIR_ROWS = ColumnRules(has_header, lambda record, reading: has_header([record], reading), choose_columns, None)
