"""One run trained by two processes that torchrun started: the same run as with one, also across a stop and a resume."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from gen.cli.main import run as run_gen
from gen.config import TrainingSettings
from gen.runs.checkpoint import read_checkpoint, read_header
from gen.runs.opening import train_session
from gen.runs.options import CorpusOptions

pytestmark = pytest.mark.slow

# Rows that two processes, and two parts in each, cannot share evenly. In fp32: bf16 rounds sums of parts otherwise.
SETTINGS: dict[str, Any] = {
    "hidden_size": 16,
    "embedding_size": 8,
    "batch_size": 7,
    "bptt": 16,
    "precision": "fp32",
    "dropout": 0.2,
}
STEPS, STOPPED = 40, 25  # a line of metrics, a mean over the steps since the last, falls on the stop
OPTIONS = ["--hidden", "16", "--embedding", "8", "--batch-size", "7", "--bptt", "16"]
OPTIONS += ["--precision", "fp32", "--dropout", "0.2"]
# Both orders of a sum round, at about 1e-7 of a loss of some nats.
TOLERANCE = 1e-6


@pytest.fixture
def straight(text_file: Path, tmp_path: Path) -> Path:
    """The folder of a run that one process trained without a stop."""
    command = ["train", str(text_file), "--run", "one", "--out", str(tmp_path), *OPTIONS, "--steps", str(STEPS)]
    assert run_gen(command) == 0
    return tmp_path / "one"


def torchrun(*arguments: object, module: tuple[str, ...] = ("-m", "gen")) -> subprocess.Popen[str]:
    """Starts two processes of gen."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *module]
    return subprocess.Popen(
        [*command, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )


def losses(run: Path) -> list[tuple[int, float]]:
    """Returns step and mean training loss of each line of the metrics."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [(line["step"], line["train_nats"]) for line in lines]


def assert_same_run(one: Path, other: Path) -> None:
    """Compares the losses on the way, and the weights at the end."""
    steps, nats = zip(*losses(one), strict=True)
    other_steps, other_nats = zip(*losses(other), strict=True)
    assert other_steps == steps
    assert other_nats == pytest.approx(nats, abs=TOLERANCE)
    ours, _ = read_checkpoint(one / "training.safetensors", "training")
    theirs, _ = read_checkpoint(other / "training.safetensors", "training")
    assert ours.keys() == theirs.keys()
    weights = [name for name in ours if name.startswith(("model.", "memory."))]
    for name in weights:
        assert torch.allclose(theirs[name], ours[name], rtol=0, atol=1e-4), name


def wait_for_line(run: Path, process: subprocess.Popen[str]) -> None:
    """Waits until the run has written its first line of metrics."""
    while process.poll() is None and not ((run / "metrics.jsonl").exists() and losses(run)):
        time.sleep(0.02)


@pytest.mark.parametrize("more", [(), ("--accumulate", "2")])
def test_two_processes_train_the_same_run_and_the_first_alone_prints(
    straight: Path, text_file: Path, more: tuple[str, ...]
) -> None:
    out = straight.parent
    process = torchrun(
        *("train", text_file, "--name", "two", "--out", out, *OPTIONS, "--steps", STEPS, "--json", *more)
    )
    printed, told = process.communicate(timeout=120)

    assert process.returncode == 0, told
    assert json.loads(printed)["steps"] == STEPS  # one object: two would not parse
    assert told.count(f"step {STEPS:>6}") == 1
    assert_same_run(straight, out / "two")


def test_two_processes_share_the_speed_that_the_first_has_measured(text_file: Path, tmp_path: Path) -> None:
    sizes = ["--hidden", "16", "--embedding", "8", "--batch-size", "7", "--bptt", "16"]
    process = torchrun("train", text_file, "--name", "two", "--out", tmp_path, *sizes, "--minutes", "0.05")
    _, told = process.communicate(timeout=120)

    assert process.returncode == 0, told
    assert told.count("tokens/s measured") == 1
    assert read_header(tmp_path / "two" / "model.safetensors", "model")["training"]["measured_speed"] > 0


def test_a_run_that_one_process_stopped_goes_on_with_two(straight: Path, text_file: Path) -> None:
    out = straight.parent
    options, settings = CorpusOptions((str(text_file),)), TrainingSettings(**SETTINGS, steps=STEPS)
    with train_session(options, settings, run="two", out=out) as session:
        for report in session.reports():
            if report.step == STOPPED - 1:
                session.stop()

    process = torchrun("train", "--run", "two", "--out", out, "--resume", module=("-m", "--", "gen"))
    _, told = process.communicate(timeout=120)

    assert process.returncode == 0, told
    assert_same_run(straight, out / "two")


STOP_AND_LIST_THREADS = f"""
import sys
from pathlib import Path
from typing import Any
from gen.config import TrainingSettings
from gen.runs.opening import train_session
from gen.runs.options import CorpusOptions

options, settings = CorpusOptions((sys.argv[1],)), TrainingSettings(**{SETTINGS | {"steps": STEPS}})
with train_session(options, settings, run="two", out=Path(sys.argv[2])) as session:
    for report in session.reports():
        if report.step == {STOPPED - 1}:
            session.stop()
print(*(path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc names the threads")
def test_a_run_that_two_processes_stopped_goes_on_with_one_and_no_thread_of_theirs_is_left(
    straight: Path, text_file: Path
) -> None:
    out = straight.parent
    script = out / "stop.py"
    script.write_text(STOP_AND_LIST_THREADS, encoding="utf-8")
    printed, told = torchrun(text_file, out, module=(str(script),)).communicate(timeout=120)
    assert run_gen(["train", "--run", "two", "--out", str(out), "--resume"]) == 0, told

    assert_same_run(straight, out / "two")
    assert len(printed.splitlines()) == 2
    assert "gloo" not in printed  # such a thread aborts the process if the interpreter ends before it


def test_sigterm_stops_and_saves_a_run_of_two_processes(text_file: Path, tmp_path: Path) -> None:
    process = torchrun("train", text_file, "--name", "two", "--out", tmp_path, *OPTIONS, "--steps", "100000")
    wait_for_line(tmp_path / "two", process)
    process.send_signal(signal.SIGTERM)  # torchrun passes it on
    _, told = process.communicate(timeout=120)

    assert process.returncode != 0
    assert told.count("stopped and saved: two") == 1
    _, header = read_checkpoint(tmp_path / "two" / "training.safetensors", "training")
    assert 25 <= header["place"]["step"] < 100_000


@pytest.fixture
def pair(text_file: Path, tmp_path: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Two processes of one long run, started as torchrun would, that may be killed one by one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "gen", "train", str(text_file), "--run", "two", "--out", str(tmp_path), *OPTIONS]
    shared = os.environ | {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    processes = [
        subprocess.Popen(
            [*command, "--steps", "100000"],
            env=shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        for rank in range(2)
    ]
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("killed", [0, 1])
def test_when_one_of_two_is_killed_the_other_says_so_and_the_run_can_be_resumed(
    pair: list[subprocess.Popen[str]], tmp_path: Path, killed: int
) -> None:
    wait_for_line(tmp_path / "two", pair[killed])
    pair[killed].kill()
    _, told = pair[1 - killed].communicate(timeout=60)

    assert pair[1 - killed].returncode == 2
    assert [line for line in told.splitlines() if line.startswith(("error:", "Traceback"))] == [
        "error: training: another of its 2 processes has ended, or cannot be reached"
    ]
    assert run_gen(["train", "--run", "two", "--out", str(tmp_path), "--resume", "--steps", "5"]) == 0


def test_two_processes_start_from_the_weights_of_another_run_as_one_does(straight: Path, tmp_path: Path) -> None:
    corpus = tmp_path / "other.txt"
    corpus.write_text("what is bred in the bone will come out in the flesh\n" * 100, encoding="utf-8")
    rest = ["--out", tmp_path, "--from", straight, "--steps", str(STEPS), *OPTIONS]
    assert run_gen(["train", str(corpus), "--run", "alone", *map(str, rest)]) == 0
    process = torchrun("train", corpus, "--name", "two", *rest)
    _, told = process.communicate(timeout=120)

    assert process.returncode == 0, told
    assert_same_run(tmp_path / "alone", tmp_path / "two")


@pytest.mark.parametrize("arguments", [("missing.txt",), ("CORPUS", "--batch-size", "1"), ("CORPUS", "--lr", "1e6")])
def test_an_error_of_two_processes_is_reported_once(
    text_file: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    given = [str(text_file) if word == "CORPUS" else word for word in arguments]
    process = torchrun("train", *given, "--name", "two", "--out", tmp_path, "--steps", "500", "--hidden", "16")
    _, told = process.communicate(timeout=120)

    assert process.returncode != 0
    assert told.count("error: ") == 1
    assert "bug" not in told


def test_two_processes_train_a_classifier_as_one_does(tmp_path: Path) -> None:
    table = tmp_path / "letters.csv"
    rows = (f"{'ab'[n % 2] * (3 + n % 5)}c{'cd'[n % 3 == 0] * (n % 7)},{'ab'[n % 2]}" for n in range(90))
    table.write_text("\n".join(("text,label", *rows, "")), encoding="utf-8")
    command = ["train", table, "--label-column", "label", "--task", "classify", "--out", tmp_path, *OPTIONS]
    command += ["--steps", STEPS]
    assert run_gen([*map(str, command), "--run", "one"]) == 0

    process = torchrun(*command, "--name", "two")
    _, messages = process.communicate(timeout=120)

    assert process.returncode == 0, messages
    assert_same_run(tmp_path / "one", tmp_path / "two")


def test_two_processes_train_a_tagger_as_one_does(tmp_path: Path) -> None:
    corpus = tmp_path / "words.txt"
    sentences = (
        "".join(f"{'abc'[n % 3] * (1 + n % 4)}\t{'XYZ'[n % 3]}\n" for n in range(m, m + 3 + m % 5)) for m in range(90)
    )
    corpus.write_text("\n".join(sentences), encoding="utf-8")
    command = ["train", corpus, "--task", "tag", "--out", tmp_path, *OPTIONS, "--steps", STEPS]
    assert run_gen([*map(str, command), "--run", "one"]) == 0

    process = torchrun(*command, "--name", "two")
    _, messages = process.communicate(timeout=120)

    assert process.returncode == 0, messages
    assert_same_run(tmp_path / "one", tmp_path / "two")


def test_two_processes_train_a_translator_as_one_does(tmp_path: Path) -> None:
    table = tmp_path / "turned.csv"
    words = [f"{'ab'[n % 2] * (1 + n % 4)}{'cd'[n % 3 == 0] * (1 + n % 5)}" for n in range(90)]
    table.write_text("\n".join(("source,target", *(f"{word},{word[::-1]}" for word in words), "")), encoding="utf-8")
    command = ["train", table, "--task", "pairs", "--out", tmp_path, *OPTIONS, "--steps", STEPS]
    assert run_gen([*map(str, command), "--run", "one"]) == 0

    process = torchrun(*command, "--name", "two")
    _, messages = process.communicate(timeout=120)

    assert process.returncode == 0, messages
    assert_same_run(tmp_path / "one", tmp_path / "two")
