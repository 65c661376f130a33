import errno
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gen.cli.main import problem_of
from gen.errors import SettingError
from tests.cli.conftest import Gen, spawn


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["trian"], "gen: unknown command (trian)"),
        (["train", "x"], "--run: missing"),
        (["train", "x", "--run"], "--run: needs a value"),
        (["train", "x", "--run", "a", "--lr", "fast"], "--lr: not a number (fast)"),
        (["train", "x", "--run", "a", "--steps", "1.5"], "--steps: not a whole number (1.5)"),
        (["train", "x", "--run", "a", "--cell", "tree"], "--cell: unknown (tree)"),
        (["train", "x", "--run", "a", "--device", "tpu"], "--device: unknown (tpu)"),
        (["train", "x", "--run", "a", "--codec", "words"], "--codec: unknown (words)"),
        (["train", "--colour"], "--colour: unknown option"),
        (["train", "--json=yes"], "--json: takes no value"),
        (["sample"], "RUN: missing"),
        (["sample", "a", "b", "c"], "gen sample: unexpected argument (b c)"),
        (["sample", "a", "--temperature", "-1"], "--temperature: must be at least 0 (-1.0)"),
        (["sample", "a", "--top-p", "nan"], "--top-p: must be"),
        (["sample", "a", "--length", "long"], "--length: neither a whole number nor inf (long)"),
        (["sample", "a", "--length", "inf", "--num-samples", "2"], "--length: only one sample on stdout"),
        (["sample", "a", "--num-samples", "0"], "--num-samples: must be at least 1 (0)"),
        (["sample", "a", "--out", "x.mp3"], "x.mp3: unknown suffix (.mp3)"),
        (["sample", "a", "--out", "nowhere/x.txt"], "nowhere/x.txt: no such folder (nowhere)"),
        (["sample", "no-such-run"], "no-such-run: no such run"),
        (["eval", "a", "valid", "--context", "far"], "--context: neither carry nor a number of tokens (far)"),
        (["info", "no-such-run"], "no-such-run: no such run"),
        (["corpus", "no-such-file"], "no-such-file: no such file, folder or built-in corpus"),
        (["export", "x.mid"], "--out: missing"),
        (["export", "x.wav", "--out", "x.mid"], "x.wav: neither MIDI nor token ids (.wav)"),
        (["export", "none.json", "--out", "x.mid"], "none.json: no such file"),
    ],
)
def test_a_wrong_command_line_is_one_line_with_exit_code_2(
    gen: Gen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = gen(*arguments)
    first, *others = err.splitlines()
    assert (code, out) == (2, "")
    assert first.startswith(f"error: {line}")
    assert [other.partition(":")[0] for other in others] in ([], ["hint"])


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("train x --run a --seed 1 --seed 2", "--seed: given twice (1, 2)"),
        ("train x --run a --name b", "--run: given twice (a, b)"),
        ("train x --run a --lr 1 --lr=1 --lr 2", "--lr: given 3 times (1, 1, 2)"),
        ("train x --run a --augment --no-augment", "--augment: given twice (--augment, --no-augment)"),
        ("sample a --prompt A --length 3 --prompt -B", "--prompt: given twice (A, -B)"),
        ("play a --port A --port B", "--port: given twice (A, B)"),
        ("eval a valid --context 9 --context carry", "--context: given twice (9, carry)"),
        ("info a --json --json", "--json: given twice (--json, --json)"),
        ("corpus x --codec char --codec byte", "--codec: given twice (char, byte)"),
        ("export x.mid --out y.mid --out z.mid", "--out: given twice (y.mid, z.mid)"),
        ("bench --num-samples 1 --num-samples 2 --cell gru --cell rnn", "--cell: given twice (gru, rnn)"),
    ],
)
def test_an_option_of_which_one_counts_is_refused_twice(gen: Gen, arguments: str, line: str) -> None:
    assert gen(*arguments.split()) == (2, "", f"error: {line}\n")


def test_an_option_that_is_a_list_is_given_as_often_as_one_likes(gen: Gen) -> None:
    assert gen("sample", "no-such-run", "--stop", "A", "--stop", "B").err.startswith("error: no-such-run: no such run")


def test_help_is_shown_whatever_else_is_given_twice(gen: Gen) -> None:
    assert gen("train", "--seed", "1", "--seed", "2", "--help").code == 0


def test_a_mistyped_option_is_pointed_at(gen: Gen) -> None:
    assert gen("train", "--hiden", "3").err.splitlines()[1] == "hint: did you mean --help, --hidden"


def test_an_unforeseen_exception_is_a_bug_in_one_line() -> None:
    assert problem_of(ValueError("boom")).code == 1
    assert problem_of(ValueError("boom")).message == "gen: this is a bug (ValueError: boom)"


def test_a_full_disk_is_the_users_to_mend() -> None:
    problem = problem_of(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "runs/x"))
    assert (problem.code, problem.message) == (2, "runs/x: no space left on device")


def test_line_ends_and_escapes_in_a_name_stay_on_one_line(gen: Gen) -> None:
    err = gen("corpus", "two\nlines\x1b7").err
    assert err.splitlines()[0].startswith(r"error: two\nlines\x1b7: no such file")


def test_the_hint_of_an_error_is_kept() -> None:
    assert problem_of(SettingError("a: b", hint="c")).hint == "c"


def test_version_is_printed(gen: Gen) -> None:
    assert gen("--version") == (0, "gen 0.1.0\n", "")


def test_gen_alone_shows_its_help(gen: Gen) -> None:
    outcome = gen()
    assert outcome.code == 0
    assert "Usage: gen" in outcome.out


@pytest.mark.parametrize("command", ["train", "sample", "eval", "info", "corpus", "export", "bench"])
def test_every_help_ends_with_two_commands(gen: Gen, command: str) -> None:
    lines = gen(command, "--help").out.rstrip().splitlines()
    assert all(line.strip().startswith("gen ") for line in lines[-2:])


@pytest.mark.parametrize("module", ["gen", "gen.cli.main"])
def test_help_waits_for_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; sys.exit(bool({{'torch', 'numpy', 'mido', 'safetensors'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_closed_pipe_is_silent(text_run: Path) -> None:
    process = spawn(["sample", text_run, "--length", "inf"])
    assert process.stdout is not None
    assert len(process.stdout.read(100)) == 100
    process.stdout.close()
    assert process.stderr is not None
    assert (process.stderr.read(), process.wait()) == (b"", 0)
    process.stderr.close()


@pytest.mark.parametrize("arguments", [["corpus"], ["--version"], ["corpus", "--json"], ["train", "--help"]])
def test_a_full_standard_output_is_one_line(arguments: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        process = spawn(arguments, stdout=full.fileno())
        _, err = process.communicate()
    assert process.returncode == 2
    assert err.decode() == "error: gen: no space left on device\n"


def test_a_closed_standard_output_is_no_error() -> None:
    command = f"{sys.executable} -m gen corpus >&-"
    assert subprocess.run(["sh", "-c", command], capture_output=True, check=False).stderr == b""


def test_colour_is_only_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert b"\x1b[" in _stderr_on_a_terminal(["info", "none"])
    monkeypatch.setenv("NO_COLOR", "1")
    assert b"\x1b[" not in _stderr_on_a_terminal(["info", "none"])


def _stderr_on_a_terminal(arguments: list[str]) -> bytes:
    ours, theirs = pty.openpty()
    subprocess.run([sys.executable, "-m", "gen", *arguments], stderr=theirs, check=False)
    os.close(theirs)
    shown = os.read(ours, 4096)
    os.close(ours)
    return shown


def test_ctrl_c_saves_what_was_trained_and_exits_130(text_file: Path, tmp_path: Path) -> None:
    process = spawn(
        ["train", text_file, "--run", "long", "--out", tmp_path, "--hidden", "8", "--layers", "1", "--minutes", "5"]
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith(b"step"):
            break
    process.send_signal(signal.SIGINT)
    rest = process.stderr.read().decode()
    assert process.wait() == 130
    assert "stopped and saved" in rest
    assert (tmp_path / "long" / "training.safetensors").exists()
    process.stderr.close()
    assert process.stdout is not None
    process.stdout.close()
