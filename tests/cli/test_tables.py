"""Corpora in tables, as a user has them: CSV and JSON lines, in folders and on standard input, from run to run."""

import io
import json
import random
import sys
from pathlib import Path

import pytest

from gen.config import Reading
from gen.corpus.prepare import prepare
from gen.runs.checkpoint import read_checkpoint, write_checkpoint
from tests.cli.conftest import TINY, Gen
from tests.cli.test_given_again import assert_refused

FIRST, LAST, MOODS = ("Ada", "Emil", "Cleo"), ("Marsh", "Oak"), ("glad", "sad")


def csv_of(num_rows: int = 60) -> str:
    draw = random.Random(0)  # noqa: S311 - names, not secrets
    rows = (f'"{draw.choice(FIRST)} {draw.choice(LAST)}, ""you""",{draw.choice(MOODS)}' for _ in range(num_rows))
    return "\n".join(("text,label", *rows, ""))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a table."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text(csv_of())
    return tmp_path


@pytest.mark.usefixtures("here")
def test_gen_corpus_says_that_it_reads_rows_and_of_which_column(gen: Gen) -> None:
    outcome = gen("corpus", "a.csv", "--label-column", "2")

    assert "documents  60; rows of a.csv, column text, labels of column label" in outcome.out
    assert "labels     glad, sad" in outcome.out
    facts = json.loads(gen("corpus", "a.csv", "--json").out)
    assert (facts["documents"], facts["labels"], facts["files"][0]["way"]) == (60, [], "rows, column text")
    assert "documents  1\n" in gen("corpus", "a.csv", "--documents", "files").out


@pytest.mark.usefixtures("here")
def test_a_run_on_a_table_has_its_labels_and_goes_on(gen: Gen) -> None:
    trained = gen("train", "a.csv", "--label-column", "label", "--valid-file", "a.csv", "--run", "a", *TINY)

    assert "rows of a.csv, column text, labels of column label" in trained.err
    assert gen("sample", "a", "--label", "sad", "--length", "5").code == 0
    assert gen("eval", "a", "valid").out == gen("eval", "a", "a.csv").out
    assert gen("train", "--run", "a", "--resume", "--steps", "5").code == 0
    assert_refused(gen("train", "--run", "a", "--resume", "--label-column", "text"), "label column cannot change")


@pytest.mark.usefixtures("here")
def test_a_run_on_a_table_is_measured_on_plain_text_as_well(gen: Gen, here: Path) -> None:
    (here / "plain.txt").write_text("Ada Oak")
    gen("train", "a.csv", "--text-column", "text", "--run", "a", *TINY)

    assert "7 chars" in gen("eval", "a", "plain.txt").out


@pytest.mark.usefixtures("here")
def test_standard_input_is_a_table_where_a_column_is_named(gen: Gen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(csv_of().encode())))

    outcome = gen("corpus", "-", "--text-column", "text", "--label-column", "label")

    assert "documents  60; rows of standard input, column text, labels of column label" in outcome.out


@pytest.mark.usefixtures("here")
def test_labels_of_tables_are_not_asked_for_in_vain(gen: Gen, here: Path) -> None:
    (here / "b.txt").write_text(csv_of())

    assert_refused(gen("corpus", "b.txt", "--label-column", "label"), "--label-column: no file is a table (label)")
    assert gen("corpus", "b.txt", "--text-column", "text", "--label-column", "label").code == 0


def test_of_columns_of_one_name_the_number_is_asked(gen: Gen, here: Path) -> None:
    (here / "b.csv").write_text("text,text,label\n" + "Ada,Bea,sad\nCy,Dan,glad\n" * 5)

    assert_refused(gen("corpus", "b.csv", "--text-column", "text"), "b.csv: several columns text (columns: text, text")
    assert "documents  10; " in gen("corpus", "b.csv", "--text-column", "2").out


@pytest.mark.parametrize("indent", [None, 1])
def test_a_json_array_is_named_as_such(gen: Gen, here: Path, indent: int | None) -> None:
    (here / "b.jsonl").write_text(json.dumps([{"text": "Ada"}, {"text": "Bea"}], indent=indent))

    assert_refused(gen("corpus", "b.jsonl"), "b.jsonl: a JSON array, not an object on every line")


def test_in_a_folder_tables_stand_beside_texts_and_sub_folders_label_them(gen: Gen, here: Path) -> None:
    for place, text in (("x/a.csv", csv_of(5)), ("y/b.jsonl", '{"text": "b"}\n'), ("y/c.txt", "c"), ("z.csv", "1,2\n")):
        (here / "d" / place).parent.mkdir(parents=True, exist_ok=True)
        (here / "d" / place).write_text(text)

    outcome = gen("corpus", "d")

    assert "documents  7; rows of 2 files, column text" in outcome.out
    assert "labels     x, y" in outcome.out
    assert "refused   d/z.csv: a table, but not clear which column holds the texts" in outcome.out


def test_a_character_that_a_model_lacks_is_found_on_the_line_of_its_row(gen: Gen, here: Path) -> None:
    gen("train", "a.csv", "--run", "a", *TINY)
    (here / "b.csv").write_text('text,label\nAda,"sad\n"\nEmil !,sad\n')

    assert_refused(gen("eval", "a", "b.csv"), "('!', U+0021, line 4)")


def test_a_run_that_read_a_table_as_plain_text_before_there_were_any_goes_on(gen: Gen, here: Path) -> None:
    gen("train", "a.csv", "--documents", "files", "--run", "a", *TINY)
    now = gen("eval", "a", "valid").out
    for name, kind in (("training.safetensors", "training"), ("model.safetensors", "model")):
        path = here / "checkpoints" / "a" / name
        tensors, header = read_checkpoint(path, kind)  # type: ignore[arg-type]
        del header["corpus"]["options"]["documents"]
        write_checkpoint(path, kind, tensors, header)  # type: ignore[arg-type]

    assert gen("eval", "a", "valid").out == now
    assert gen("train", "--run", "a", "--resume", "--steps", "5").code == 0


def test_a_store_depends_on_the_columns_and_on_what_is_a_table(here: Path) -> None:
    (here / "a.txt").write_text(csv_of())
    readings = [
        Reading(),
        Reading(documents="files"),
        Reading(label_column="label"),
        Reading(text_column="label"),
        Reading(text_column="label", label_column="text"),
    ]

    assert len({prepare(["a.csv"], reading=reading).key for reading in readings}) == len(readings)
    assert prepare(["a.txt"]).key == prepare(["a.csv"], reading=Reading(documents="files")).key


def test_a_column_of_thousands_of_different_values_is_none_of_labels(gen: Gen, here: Path) -> None:
    (here / "ids.csv").write_text("id,text\n" + "".join(f"{number},some text\n" for number in range(5000)))

    outcome = gen("train", "ids.csv", "--label-column", "id", "--run", "a", *TINY)

    assert_refused(outcome, "ids.csv: too many different labels (5000; at most 4096)")


def test_music_has_no_columns(gen: Gen, music_folder: Path) -> None:
    assert_refused(gen("corpus", music_folder, "--text-column", "1"), "--text-column: only for text (1)")
