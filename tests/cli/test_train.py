import json
import re
from pathlib import Path

from tests.cli.conftest import TINY, Gen

KEYS = {
    "run",
    "steps",
    "tokens",
    "seconds",
    "valid_nats",
    "valid_bits_per_unit",
    "unit",
    "parameters",
    "tokens_per_second",
}


def test_json_is_one_object_on_stdout_and_nothing_else(gen: Gen, text_file: Path, tmp_path: Path) -> None:
    outcome = gen("train", text_file, "--run", "a", "--out", tmp_path, *TINY, "--json")
    assert outcome.code == 0
    assert outcome.out.count("\n") == 1
    result = json.loads(outcome.out)
    assert result.keys() >= KEYS
    assert (result["run"], result["steps"], result["unit"]) == ("a", 3, "char")


def test_progress_goes_to_stderr_as_plain_lines(gen: Gen, text_file: Path, tmp_path: Path) -> None:
    outcome = gen("train", text_file, "--run", "a", "--out", tmp_path, *TINY)
    assert outcome.out == ""
    assert "\x1b" not in outcome.err
    assert re.search(r"step +3 +epoch .* valid \d\.\d{3} nats \(\d\.\d{3} bits per char\)", outcome.err)
    assert re.search(r"yardsticks, bits per char: .*unigram \d\.\d\d", outcome.err)


def test_every_option_of_the_command_line_reaches_the_run(gen: Gen, text_file: Path, tmp_path: Path) -> None:
    options = ["--cell", "gru", "--layers", "2", "--hidden", "6", "--embedding", "5", "--dropout", "0.25"]
    options += ["--bptt", "12", "--batch-size", "3", "--lr", "0.01", "--seed", "7", "--precision", "fp32"]
    options += ["--steps", "2", "--epochs", "9", "--minutes", "5", "--patience", "4", "--valid", "0.2"]
    assert gen("train", text_file, "--run", "a", "--out", tmp_path, "--codec", "byte", *options).code == 0
    facts = json.loads(gen("info", tmp_path / "a", "--json").out)
    shape = ("cell", "num_layers", "hidden_size", "embedding_size", "dropout")
    assert [facts["model"][name] for name in shape] == ["gru", 2, 6, 5, 0.25]
    rates = ("bptt", "batch_size", "learning_rate", "seed", "precision", "steps", "epochs", "minutes", "patience")
    assert [facts["training"][name] for name in rates] == [12, 3, 0.01, 7, "fp32", 2, 9.0, 5.0, 4]
    assert facts["codec"]["name"] == "byte"


def test_resume_needs_no_corpus_and_goes_on(gen: Gen, text_file: Path, tmp_path: Path) -> None:
    gen("train", text_file, "--run", "a", "--out", tmp_path, *TINY)
    outcome = gen("train", "--run", "a", "--out", tmp_path, "--resume", "--steps", "5", "--json")
    assert json.loads(outcome.out)["steps"] == 5


def test_a_run_that_is_there_already_is_not_overwritten(gen: Gen, text_run: Path, text_file: Path) -> None:
    before = (text_run / "model.safetensors").read_bytes()
    outcome = gen("train", text_file, "--run", text_run.name, "--out", text_run.parent, *TINY)
    assert outcome.code == 2
    assert (text_run / "model.safetensors").read_bytes() == before


def test_standard_input_is_a_corpus(text_file: Path, tmp_path: Path) -> None:
    import subprocess
    import sys

    command = [sys.executable, "-m", "gen", "train", "-", "--run", "a", "--out", str(tmp_path), *TINY, "--json"]
    with text_file.open("rb") as stdin:
        done = subprocess.run(command, stdin=stdin, capture_output=True, check=False)
    assert json.loads(done.stdout)["steps"] == 3
