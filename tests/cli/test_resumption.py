"""What a run that goes on may not change, and the command of a new run that its refusal names."""

import shlex
from pathlib import Path

import pytest

from gen.runs.resumption import following
from tests.cli.conftest import TINY, Gen, trained

CHANGES = {
    "--lr 0.1": "--resume: learning rate cannot change (",
    "--batch-size 3": "--resume: batch size cannot change (4 then, 3 now)",
    "--bptt 9 --seed 5 --dropout 0.5": "--resume: ",
    "--hidden 9 --lr 0.1": "--resume: hidden size cannot change (8 then, 9 now)",
    "--codec byte": "--resume: codec cannot change (char then, byte now)",
    "--encoding latin-1": "--resume: encoding cannot change (utf-8 then, latin-1 now)",
    "--valid 0.5": "--resume: valid cannot change (0.1 then, 0.5 now)",
    "--documents blank": "--resume: documents cannot change (lines then, blank now)",
    "--text-column 1": "--resume: text column cannot change (none then, 1 now)",
}
WEIGHTS_DO_NOT_FIT = ("--hidden 9 --lr 0.1", "--codec byte")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run whose corpus has a space in its name and a document a line."""
    corpus = tmp_path / "the fox.txt"
    corpus.write_text("".join(f"Fox number {number} jumps.\n" for number in range(400)), encoding="utf-8")
    return trained(tmp_path / "runs", "fox", corpus, "--documents", "lines")


@pytest.mark.parametrize("change", CHANGES)
def test_a_refusal_names_the_command_that_does_what_was_asked(gen: Gen, run: Path, change: str) -> None:
    code, out, err = gen("train", "--run", run.name, "--out", run.parent, "--resume", *change.split())

    error, hint = err.splitlines()
    command = shlex.split(hint.partition("; a new run: ")[2])
    assert (code, out) == (2, "")
    assert error.startswith(f"error: {CHANGES[change]}")
    assert command[:2] == ["gen", "train"]
    assert ("--from" in command) == (change not in WEIGHTS_DO_NOT_FIT)
    assert set(change.split()) <= set(command)
    assert gen(*command[1:], "--steps", "1").code == 0
    assert (run.parent / "fox-2" / "model.safetensors").exists()


def test_a_run_at_home_is_called_by_its_name(
    gen: Gen, text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    gen("train", text_file, "--run", "fox", *TINY)
    (tmp_path / "checkpoints" / "fox-2").mkdir()

    outcome = gen("train", "--run", "fox", "--resume", "--lr", "0.5")

    assert outcome.err.endswith(f"gen train {text_file} --from fox --run fox-3 --lr 0.5\n")


@pytest.mark.parametrize("out", ["checkpoints", "else where"])
def test_the_command_that_is_named_next_runs_wherever_the_run_is(
    gen: Gen, text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    monkeypatch.chdir(tmp_path)
    err = gen("train", text_file, "--run", "fox", "--out", out, *TINY).err
    sampled = shlex.split(err.rpartition("next: ")[2])
    resumed = shlex.split(following(Path(out, "fox"), was_stopped=True))

    assert gen(*sampled[1:], "--length", "5").code == 0
    assert gen(*resumed[1:], "--steps", "4").code == 0
    assert ("else where" in " ".join(sampled)) == (out == "else where")


def test_a_changed_corpus_is_pointed_at_a_new_run(gen: Gen, run: Path) -> None:
    corpus = run.parents[1] / "the fox.txt"
    corpus.write_text(corpus.read_text() + "and again\n", encoding="utf-8")

    outcome = gen("train", corpus, "--run", run.name, "--out", run.parent, "--resume")

    assert outcome.code == 2
    assert f"--from {run} --run fox-2 --out {run.parent}" in outcome.err
