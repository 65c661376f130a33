"""Tables: what is a row, a header, a column, and every way in which a table can be bad."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from gen.codecs.text.documents import document_parts
from gen.codecs.text.tables.rows import look_at_table
from gen.config import Reading
from gen.errors import CorpusError, SettingError

ROWS = [("Hello, you", "glad"), ('"hm"\nand on', "sad"), ("plain", "glad"), ("a;b|c\td", "sad")]


def documents(path: Path, reading: Reading = Reading()) -> list[tuple[str, str | None]]:
    """Returns the texts and labels of a file."""
    found = []
    for part in document_parts(path, reading):
        starts = [0, *part.ends.tolist()]
        labels = part.labels or [None] * len(part.ends)
        found += [(part.text[a:b], label) for a, b, label in zip(starts[:-1], starts[1:], labels, strict=True) if b > a]
    return found


def csv_text(rows: list[tuple[str, ...]], delimiter: str = ",", line_end: str = "\r\n", quoting: int = 0) -> str:
    file = io.StringIO()
    writer = csv.writer(file, delimiter=delimiter, lineterminator=line_end, quoting=quoting)  # type: ignore[arg-type]
    writer.writerows(rows)
    return file.getvalue()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "table.csv"


LABELLED = Reading(label_column="label")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_every_row_is_a_document(table: Path, delimiter: str, quoting: int, encoding: str) -> None:
    text = csv_text([("text", "label"), *ROWS], delimiter, quoting=quoting)
    table.write_text(text, encoding=encoding, newline="")

    assert documents(table, LABELLED) == ROWS


def test_json_lines_are_read_by_their_keys(table: Path) -> None:
    path = table.with_suffix(".jsonl")
    rows = [{"id": n, "text": text, "label": label} for n, (text, label) in enumerate(ROWS)]
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")

    assert documents(path, LABELLED) == ROWS
    assert documents(path, Reading(text_column="2", label_column="3")) == ROWS


@pytest.mark.parametrize(
    ("first", "column"),
    [
        (("id", "text", "label"), "text"),
        (("number", "Content", "x"), "Content"),
        (("n", "zitat", "quelle"), None),
        (("a text", "glad"), None),
    ],
)
def test_the_column_of_the_texts_is_known_by_its_name(table: Path, first: tuple[str, ...], column: str | None) -> None:
    rows = [(str(number), text, "glad")[: len(first)] for number, (text, _) in enumerate(ROWS)]
    table.write_text(csv_text([first, *rows]), newline="")

    if column is None:
        with pytest.raises(CorpusError, match="not clear which column holds the texts"):
            look_at_table(table, Reading())
    else:
        assert look_at_table(table, Reading()).describe() == f"rows, column {column}"


@pytest.mark.parametrize(
    ("rows", "has_header"),
    [
        ([("quelle", "zitat"), ("A", "Wer rastet, der rostet"), ("B", "Morgenstund hat Gold im Mund")], True),
        ([("name", "score"), ("Ada", "3"), ("Emil", "4.5")], True),
        ([("Ada", "glad"), ("Emil", "sad"), ("Cleo", "glad")], False),
        ([("1", "Wer rastet"), ("2", "der rostet")], False),
        ([("text",), ("one",), ("two",)], True),
        ([("one",), ("two",), ("three",)], False),
        ([("Hello, you",), ("text",)], False),
    ],
)
def test_a_first_row_that_names_the_columns_is_no_document(
    table: Path, rows: list[tuple[str, ...]], has_header: bool
) -> None:
    table.write_text(csv_text(rows), newline="")
    last = str(len(rows[0]))

    found = [text for text, _ in documents(table, Reading(text_column=last))]

    assert found == [row[-1] for row in rows[1 if has_header else 0 :]]


def test_a_text_of_one_column_may_hold_commas_without_quotation_marks(table: Path) -> None:
    table.write_text("text\nHello, world\nfine\na, b, c\n")

    assert documents(table) == [("Hello, world", None), ("fine", None), ("a, b, c", None)]


def test_quotation_marks_in_a_file_that_quotes_nothing_are_characters(table: Path) -> None:
    path = table.with_suffix(".tsv")
    path.write_text('text\tlabel\n"yes he said\tglad\n5" of rain\tsad\n')

    assert documents(path, LABELLED) == [('"yes he said', "glad"), ('5" of rain', "sad")]


def test_rows_without_a_text_or_a_label_are_counted(table: Path) -> None:
    table.write_text("text,label\n,glad\nonly\nboth,sad\n\nnone,\n")

    parts = list(document_parts(table, LABELLED))

    assert documents(table, LABELLED) == [("only", None), ("both", "sad"), ("none", None)]
    assert parts[0].findings == {"rows without a label": 3, "rows with fewer fields than columns": 1}


def test_labels_none_ignores_the_column_of_the_labels(table: Path) -> None:
    table.write_text(csv_text([("text", "label"), *ROWS]), newline="")

    assert {label for _, label in documents(table, Reading(labels="none", label_column="label"))} == {None}


def test_other_ways_to_make_documents_read_a_table_as_plain_text(table: Path) -> None:
    table.write_text("text,label\na,b\n")

    assert "".join(part.text for part in document_parts(table, Reading(documents="files"))) == "text,label\na,b\n"
    assert [text for text, _ in documents(table, Reading(documents="lines"))] == ["text,label", "a,b"]


@pytest.mark.parametrize(
    ("name", "data", "reading", "what"),
    [
        (
            "a.csv",
            "text,label\na,b\nHello, you,glad\n",
            LABELLED,
            "a row of 3 fields where there are 2 columns (line 3)",
        ),
        ("a.csv", 'text,label\n"a\nb","c"\n"d" e,f\n', LABELLED, "not CSV (',' expected after '\"', line 4)"),
        ("a.csv", 'text,label\n"a","b"\n"c,d\ne,f\n', LABELLED, "not CSV (unexpected end of data, line 3)"),
        ("a.csv", "text,label\na,b\n", Reading(text_column="words"), "no column words (columns: text, label)"),
        ("a.csv", "text,label\na,b\n", Reading(text_column="3"), "no column 3 (columns: text, label)"),
        ("a.csv", "text,label\na,b\n", Reading(label_column="mood"), "no column mood (columns: text, label)"),
        ("a.csv", "text,label\na,b\n", Reading(text_column="1", label_column="text"), "texts and labels in one column"),
        ("a.csv", "text,label,text\na,b,c\n", Reading(), "several columns text (columns: text, label, text)"),
        ("a.csv", "text,Text\none,two\n", Reading(), "several columns text (columns: text, Text)"),
        ("a.csv", "text,label,label\na,b,c\n", LABELLED, "several columns label (columns: text, label, label)"),
        ("a.csv", "", Reading(), "empty"),
        ("a.jsonl", '{"text": "a"}\n{"text": 1}\n', Reading(), "text is not a string (1, line 2)"),
        (
            "a.jsonl",
            '{"text": "a"}\n{"text" "b"}\n',
            Reading(),
            "not JSON (expecting ':' delimiter at column 9, line 2)",
        ),
        ("a.jsonl", '{"text": "a"}\n["b"]\n', Reading(), "not a JSON object (line 2)"),
        ("a.jsonl", '{"text": "a", "label": [1]}\n', LABELLED, "label is not one value ([1], line 1)"),
        ("a.jsonl", '{"text": "a\\u0000"}\n', Reading(), "a NUL in a text (line 1)"),
        ("a.jsonl", '{"id": 1, "x": 2}\n', Reading(), "not clear which column holds the texts (columns: id, x)"),
        ("a.jsonl", "[" * 100_000, Reading(text_column="1"), "a.jsonl: "),
    ],
)
def test_a_bad_table_is_one_line(tmp_path: Path, name: str, data: str, reading: Reading, what: str) -> None:
    (tmp_path / name).write_text(data)

    with pytest.raises(CorpusError) as err:
        documents(tmp_path / name, reading)

    assert what in str(err.value)
    assert "\n" not in str(err.value)


def test_labels_of_json_may_be_numbers_and_line_ends_become_lf(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_text('{"text": "a\\r\\nb", "label": 1}\n\n{"text": "c", "label": true}\n{"label": null, "text": null}\n')

    assert documents(path, LABELLED) == [("a\nb", "1"), ("c", "true")]


@pytest.mark.parametrize("option", ["text_column", "label_column"])
def test_a_column_is_of_tables_alone(option: str) -> None:
    named: dict[str, Any] = {option: "text"}
    nameless: dict[str, Any] = {option: ""}

    with pytest.raises(SettingError, match="only for the rows of tables"):
        Reading(documents="lines", **named)
    with pytest.raises(SettingError, match="neither a name nor a number"):
        Reading(**nameless)
