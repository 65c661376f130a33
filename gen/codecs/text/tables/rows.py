"""Reads the rows of a table one by one, from CSV and the like, or from JSON lines.

CSV is read by Python's csv module. The delimiter is the one by which the rows at the beginning have as many fields as
the first; a row of more fields than columns is an error, for its text may have been cut in two.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from gen.codecs.text.files import CHUNK_BYTES, LINE_END, text_parts
from gen.codecs.text.tables.columns import Columns, choose_columns, has_header, names_columns
from gen.config import Reading
from gen.errors import CorpusError

HEAD = 1 << 16  # characters from which the format of a table is recognised
MAX_FIELD = 1 << 26  # characters; what is longer is a quotation mark that was never closed
_DELIMITERS = (",", "\t", ";", "|")
_NO_DELIMITER = "\x1f"
_MIN_SHARE = 0.8  # of the rows have as many fields as the first, where a delimiter is one


class Row(NamedTuple):
    """A row of a table."""

    line: int  # on which it begins, from 1
    text: str | None
    label: str | None
    is_short: bool = False  # it has fewer fields than there are columns


class CsvFormat(NamedTuple):
    """The format of the fields of a file."""

    delimiter: str
    quoting: int
    skips_space: bool = False  # after a delimiter

    def reader(self, lines: Iterator[str]) -> Any:
        """Returns a strict reader of the csv module."""
        csv.field_size_limit(MAX_FIELD)
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quoting=self.quoting,  # type: ignore[arg-type]
            skipinitialspace=self.skips_space,
            strict=True,
        )


class ColumnRules(NamedTuple):
    """The rules by which the columns of a table are found: the functions of `columns`, or others like them."""

    has_header: Callable[[Sequence[Sequence[str]], Reading], bool]
    names_columns: Callable[[Sequence[str], Reading], bool]  # whether a row certainly does
    choose: Callable[[Path, Sequence[str], Reading, bool], Columns]
    otherwise: str | None  # a hint: the way to read a file that is no table; None if there is none


class Table(NamedTuple):
    """The format and the columns of a file, found at its beginning."""

    columns: Columns
    form: CsvFormat | None  # None for JSON
    otherwise: str | None  # as in `ColumnRules`

    def describe(self) -> str:
        """Returns in a few words what is read."""
        return f"rows{'' if self.columns.has_header or self.form is None else ' without a header'}, " + (
            self.columns.describe()
        )


TEXT_ROWS = ColumnRules(
    has_header,
    names_columns,
    lambda path, names, reading, is_named: choose_columns(path, names, reading, has_header=is_named),
    "--documents files reads the file as plain text",
)


def look_at_table(path: Path, reading: Reading, rules: ColumnRules = TEXT_ROWS) -> Table:
    """Returns the format and the columns of a table. Raises CorpusError if it is none, or it is not clear which."""
    head, is_whole = _head(path, reading)
    beginning = head.lstrip()[:1]
    if beginning == "[" and not _JSON_SUFFIXES.isdisjoint(path.suffixes):
        raise CorpusError(f"{path}: a JSON array, not an object on every line", hint=_hint(_TO_LINES, rules.otherwise))
    if beginning == "{":
        names: dict[str, None] = {}
        for number, line in enumerate(head.split(LINE_END)[: None if is_whole else -1], 1):
            if line.strip():
                names |= dict.fromkeys(_object(path, line, number, rules.otherwise))
        return Table(rules.choose(path, [*names], reading, True), None, rules.otherwise)
    form, records = _csv_format(head, lambda record: rules.names_columns(record, reading), is_whole=is_whole)
    is_named = rules.has_header(records, reading)
    width = len(records[0]) if records else 0
    names_found = [field.strip() for field in records[0]] if is_named else [str(n) for n in range(1, width + 1)]
    if not names_found:
        raise CorpusError(f"{path}: empty")
    return Table(rules.choose(path, names_found, reading, is_named), form, rules.otherwise)


def rows_of(path: Path, reading: Reading, table: Table) -> Iterator[Row]:
    """Yields the rows of a table. Raises CorpusError at the first that cannot be read, with its line."""
    lines = _lines(path, reading)
    if table.form is None:
        return _json_rows(path, lines, table)
    return _csv_rows(path, lines, table, table.form)


def _json_rows(path: Path, lines: Iterator[str], table: Table) -> Iterator[Row]:
    columns = table.columns
    text_name = columns.names[columns.text]
    label_name = None if columns.label is None else columns.names[columns.label]
    for number, line in enumerate(lines, 1):
        if line.isspace():
            continue
        row = _object(path, line, number, table.otherwise)
        text = row.get(text_name)
        if text is not None and not isinstance(text, str):
            raise CorpusError(f"{path}: {text_name} is not a string ({json.dumps(text)[:40]}, line {number})")
        yield Row(number, text, None if label_name is None else _label(path, row, label_name, number))


def _label(path: Path, row: Mapping[str, Any], name: str, line: int) -> str | None:
    value = row.get(name)
    if value is None or isinstance(value, str):
        return (value or "").strip() or None
    if isinstance(value, list | dict):
        raise CorpusError(f"{path}: {name} is not one value ({json.dumps(value)[:40]}, line {line})")
    return json.dumps(value)


def _object(path: Path, line: str, number: int, otherwise: str | None) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as err:
        what = f"{err.msg[:1].lower()}{err.msg[1:]} at column {err.colno}, line {number}"
        raise CorpusError(f"{path}: not JSON ({what})", hint=otherwise) from err
    except (RecursionError, ValueError) as err:
        raise CorpusError(f"{path}: not JSON that can be read (line {number})") from err
    if not isinstance(row, dict):
        raise CorpusError(f"{path}: not a JSON object (line {number})", hint=otherwise)
    return row


def _hint(what: str, otherwise: str | None) -> str:
    return what if otherwise is None else f"{what}; {otherwise}"


_TO_LINES = "one object a line: jq -c '.[]' FILE > NEW.jsonl"
_JSON_SUFFIXES = frozenset((".json", ".jsonl", ".ndjson"))


def _csv_rows(path: Path, lines: Iterator[str], table: Table, form: CsvFormat) -> Iterator[Row]:
    reader, columns = form.reader(lines), table.columns
    width, text, label = len(columns.names), columns.text, columns.label
    line = 1
    try:
        for index, record in enumerate(reader):
            if index or not columns.has_header:
                if len(record) > width and any(record[width:]):
                    raise _too_wide(path, record, width, line, table.otherwise)
                yield Row(
                    line,
                    record[text] if text < len(record) else None,
                    (record[label].strip() or None) if label is not None and label < len(record) else None,
                    0 < len(record) < width,
                )
            line = reader.line_num + 1
    except csv.Error as err:
        hint = _hint('a quotation mark inside a quoted field is written twice ("")', table.otherwise)
        raise CorpusError(f"{path}: not CSV ({err}, line {line})", hint=hint) from err


def _too_wide(path: Path, record: Sequence[str], width: int, line: int, otherwise: str | None) -> CorpusError:
    return CorpusError(
        f"{path}: a row of {len(record)} fields where there are {width} columns (line {line})",
        hint=_hint('a text that holds the delimiter stands in quotation marks ("...")', otherwise),
    )


def _csv_format(
    head: str, names_columns: Callable[[Sequence[str]], bool], *, is_whole: bool
) -> tuple[CsvFormat, list[list[str]]]:
    """Returns the format of the fields, and the rows of the beginning."""
    best: tuple[float, CsvFormat, list[list[str]]] | None = None
    for delimiter in _DELIMITERS:
        form, records = _quoted_or_not(head, delimiter, is_whole=is_whole)
        share = 1.0 if records and names_columns(records[0]) else _share(records)
        if share >= _MIN_SHARE and (best is None or share > best[0]):
            best = share, form, records
    return best[1:] if best is not None else _quoted_or_not(head, _NO_DELIMITER, is_whole=is_whole)


def _quoted_or_not(head: str, delimiter: str, *, is_whole: bool) -> tuple[CsvFormat, list[list[str]]]:
    """Returns the format of a delimiter; quotation marks are ordinary characters in it if no field stands in some."""
    quoted = CsvFormat(delimiter, csv.QUOTE_MINIMAL, skips_space=f'{delimiter} "' in head)
    records, is_sound = _records(head, quoted, is_whole=is_whole)
    edge = re.escape(delimiter)
    if is_sound or re.search(rf'(?m)(?:^|{edge} ?)"(?:[^"]|"")*"(?:{edge}|$)', head):
        return quoted, records
    plain = CsvFormat(delimiter, csv.QUOTE_NONE)
    return plain, _records(head, plain, is_whole=is_whole)[0]


def _share(records: Sequence[Sequence[str]]) -> float:
    """Returns how many of the rows have as many fields as the first; 0 if that has one."""
    rows = [record for record in records if record]
    if not rows or len(rows[0]) < 2:
        return 0.0
    return sum(len(row) == len(rows[0]) for row in rows) / len(rows)


def _records(head: str, form: CsvFormat, *, is_whole: bool) -> tuple[list[list[str]], bool]:
    """Returns the rows at the beginning of a file, and whether all could be read."""
    records: list[list[str]] = []
    lines = io.StringIO(head if is_whole else head[: head.rfind(LINE_END) + 1], newline=LINE_END)
    reader = form.reader(iter(lines))
    try:
        records.extend(record for record in reader if record)
    except csv.Error:
        is_cut = not is_whole and not lines.read(1)  # a quoted field goes on behind the beginning
        return records, is_cut
    return records, True


def _head(path: Path, reading: Reading) -> tuple[str, bool]:
    """Returns the beginning of a file, and whether that is the whole file."""
    head = ""
    for part in text_parts(path, _plain(reading)):
        if len(head) >= HEAD:
            return head, False
        head += part.text
    return head, True


def _lines(path: Path, reading: Reading) -> Iterator[str]:
    """Yields the lines of a text with their ends; only LF ends one, whatever else Unicode takes for a line's end."""
    held: list[str] = []
    for part in text_parts(path, _plain(reading)):
        cut = part.text.rfind(LINE_END) + 1
        if cut:
            yield from io.StringIO("".join((*held, part.text[:cut])), newline=LINE_END)
            held = []
        held.append(part.text[cut:])
        if len(held) > MAX_FIELD // CHUNK_BYTES:
            raise CorpusError(f"{path}: a line of more than {MAX_FIELD} characters")
    if last := "".join(held):
        yield last


def _plain(reading: Reading) -> Reading:
    return replace(reading, documents="files", text_column=None, label_column=None, target_column=None)
