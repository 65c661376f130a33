"""Corpora of many documents a file, from training to samples, and a test part beside the validation."""

import json
from pathlib import Path

import pytest

import gen as library
from gen.runs.checkpoint import read_header
from tests.cli.conftest import TINY, Gen

FIRST, LAST = ("Ada", "Bob", "Cy", "Dora", "Emil", "Fay"), ("Hill", "Stone", "Marsh", "Ford", "Lake")


@pytest.fixture
def names(tmp_path: Path) -> Path:
    """90 names, one a line, each three times."""
    path = tmp_path / "names.txt"
    path.write_text("".join(f"{first} {last}\n" for first in FIRST for last in LAST) * 3)
    return path


def test_a_run_on_lines_ends_its_samples_and_reads_other_files_as_lines(gen: Gen, names: Path, tmp_path: Path) -> None:
    options = ("--documents", "lines", "--run", "a", "--out", tmp_path, "--hidden", 24, "--steps", 40, "--seed", 0)
    assert gen("train", names, *options).code == 0
    run = tmp_path / "a"
    assert gen("sample", run, "--seed", 0, "--stats").code == 0
    assert len(library.load(run).sample(seed=0)[0]) < 100, "it ends by itself"

    other = tmp_path / "other.txt"
    other.write_bytes(b"Ada Ford\r\n\r\nBob Hill")
    measured = json.loads(gen("eval", run, other, "--json").out)
    assert (measured["tokens"], measured["units"]) == (16 + 2, 16)
    valid = json.loads(gen("eval", run, "valid", "--json").out)
    assert valid["tokens"] - valid["units"] == 9, "a tenth of the names, each with its end"


@pytest.mark.parametrize(("option", "other"), [("--documents", "blank"), ("--test", 0.3)])
def test_how_documents_are_parted_and_drawn_cannot_change_on_resume(
    gen: Gen, names: Path, tmp_path: Path, option: str, other: object
) -> None:
    gen("train", names, "--documents", "lines", "--test", 0.2, "--run", "a", "--out", tmp_path, *TINY)
    assert gen("train", "--run", "a", "--out", tmp_path, "--resume", "--steps", 5).code == 0
    outcome = gen("train", "--run", "a", "--out", tmp_path, "--resume", "--steps", 6, option, other)
    assert outcome.code == 2
    assert f"--resume: {option[2:]} cannot change" in outcome.err


def test_options_that_are_not_used_are_not_in_the_header(gen: Gen, names: Path, tmp_path: Path) -> None:
    gen("train", names, "--run", "a", "--out", tmp_path, *TINY)
    assert (
        not {"documents", "test_fraction"}
        & read_header(tmp_path / "a" / "training.safetensors", "training")["corpus"]["options"].keys()
    )


@pytest.mark.parametrize(("documents", "num"), [("\\n", 90), ("Ada", 15), ("\\t", 1), ("x\\\\y", 1), ("blank", 1)])
def test_separators_may_be_written_with_escapes(gen: Gen, names: Path, documents: str, num: int) -> None:
    assert json.loads(gen("corpus", names, "--documents", documents, "--json").out)["documents"] == num


def test_the_report_counts_documents_and_empty_ones(gen: Gen, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n\n\ntwo\n")
    outcome = gen("corpus", tmp_path / "a.txt", "--documents", "lines")
    assert "documents  2" in outcome.out
    assert "left out:\n         2  empty documents\n" in outcome.out
    assert "6 tokens in 2 documents" in outcome.out


@pytest.mark.parametrize("codec", ["char", "byte"])
def test_files_without_the_separator_are_counted(gen: Gen, tmp_path: Path, codec: str) -> None:
    for name, text in (("a", "one<|end|>two"), ("b", "one\n"), ("c", "x" * 70000)):
        (tmp_path / "d" / f"{name}.txt").parent.mkdir(exist_ok=True)
        (tmp_path / "d" / f"{name}.txt").write_text(text)

    found = json.loads(gen("corpus", tmp_path / "d", "--documents", "<|end|>", "--codec", codec, "--json").out)

    assert (found["documents"], found["findings"]) == (4, {"files without the separator": 2})


@pytest.mark.parametrize("documents", ["lines", "files"])
def test_a_test_part_is_named_measured_and_no_part_of_the_others(
    gen: Gen, names: Path, tmp_path: Path, documents: str
) -> None:
    options = ("--documents", documents, "--test", 0.2, "--run", "a", "--out", tmp_path, *TINY)
    outcome = gen("train", names, *options)
    assert " to test" in next(line for line in outcome.err.splitlines() if "split" in line)
    part = json.loads(gen("eval", tmp_path / "a", "test", "--json").out)
    run = library.load(tmp_path / "a")
    assert 0.1 < part["tokens"] / len(names.read_text()) < 0.3
    test, valid = (run.excerpt(name).stretches for name in ("test", "valid"))
    assert not {stretch.start for stretch in test} & {stretch.start for stretch in valid}
    with names.open("a") as file:
        file.write("Eve Lake\n")
    assert "no longer what" in gen("eval", tmp_path / "a", "test").err


def test_a_test_part_may_stand_beside_a_validation_file(gen: Gen, names: Path, tmp_path: Path) -> None:
    options = ("--test", 0.5, "--valid-file", names, "--run", "a", "--out", tmp_path, *TINY)
    outcome = gen("train", names, *options, "--json")
    assert json.loads(outcome.out)["test_tokens"] == 431 + 1, "of 861 characters, and the end"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--test", 0.1, "--test-file", "names.txt"), "--test: not with --test-file"),
        (("--test", 1), "--test: must be at least 0 and below 1 (1)"),
        (("--test", -0.1), "--test: must be at least 0 and below 1 (-0.1)"),
        (("--test", 0.5, "--valid", 0.5), "--test: with --valid it must be below 1 (0.5 and 0.5)"),
        (("--documents", ""), "--documents: an empty separator"),
        (("--documents", "line"), "--documents: no separator (line)"),
    ],
)
def test_shares_and_separators_that_cannot_be_are_refused(
    gen: Gen, names: Path, tmp_path: Path, options: tuple[object, ...], message: str
) -> None:
    outcome = gen("train", names, *options, "--run", "a", "--out", tmp_path, *TINY)
    assert outcome.code == 2
    assert outcome.err.startswith(f"error: {message}")


def test_a_test_part_is_had_from_python(names: Path, tmp_path: Path) -> None:
    run = library.train(names, run="a", out=tmp_path, steps=2, hidden_size=8, documents="lines", test=0.2)
    assert run.evaluate("test").tokens > 100
