"""A run is trained by one process at a time: the lock of its folder, among real processes, and the names of runs."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import gen
from gen.config import TrainingSettings
from gen.errors import CheckpointError, SettingError, TrainingError
from gen.files.disk import LOCK_FILE
from gen.runs.checkpoint import MODEL_FILE, TRAINING_FILE, read_checkpoint, write_checkpoint
from gen.runs.opening import train_session
from gen.runs.options import CorpusOptions
from gen.runs.session import Session
from tests.cli.conftest import TINY, Gen, spawn

TINY_SETTINGS: dict[str, Any] = {"hidden_size": 8, "num_layers": 1, "embedding_size": 4, "batch_size": 4, "bptt": 16}
FOREVER = [option for option in TINY if option not in ("--steps", "3")] + ["--minutes", "9", "--patience", "0"]
REFUSED = "another process is training this run"
# Opens a run as `with`, says so, and does what it reads from its standard input while the session is open.
PROGRAM = """
import sys
from pathlib import Path
from gen.runs.opening import train_session
from gen.config import TrainingSettings
from gen.runs.options import CorpusOptions
options = CorpusOptions((sys.argv[1],))
session = train_session(options, TrainingSettings(hidden_size=8, steps=3), run="r", out=Path(sys.argv[2]))
with session:
    print("open", flush=True)
    exec(sys.stdin.readline())
print("closed", flush=True)
sys.stdin.readline()
"""


@contextmanager
def running(process: "subprocess.Popen[bytes]") -> Iterator["subprocess.Popen[bytes]"]:
    """Kills the process and closes its pipes at the end."""
    with process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def trained_elsewhere(text_file: Path, out: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process in whose Python program a session of the run `r` is open."""
    command = [sys.executable, "-c", PROGRAM, str(text_file), str(out)]
    with running(
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        yield process


def tell(process: "subprocess.Popen[bytes]", line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n".encode())
    process.stdin.flush()


def wait_for(path: Path, *, process: "subprocess.Popen[bytes]") -> None:
    while not path.exists():
        assert process.poll() is None
        time.sleep(0.02)


def open_session(text_file: Path, out: Path, *, resume: bool = False) -> Session:
    return train_session(
        CorpusOptions((str(text_file),)), TrainingSettings(**TINY_SETTINGS, steps=3), run="r", out=out, resume=resume
    )


@pytest.fixture
def training(text_file: Path, tmp_path: Path) -> Iterator[Path]:
    """The folder of a run that another process trains, after its first checkpoint."""
    folder = tmp_path / "runs" / "two"
    with running(spawn(["train", text_file, "--run", "two", "--out", tmp_path / "runs", *FOREVER])) as process:
        wait_for(folder / TRAINING_FILE, process=process)
        yield folder


@pytest.mark.parametrize("more", [["--steps", "1"], ["--minutes", "0.001"]])
def test_a_run_is_not_resumed_while_another_process_trains_it(gen: Gen, training: Path, more: list[str]) -> None:
    half_written = training / ".model.safetensors.abc.safetensors"
    half_written.write_bytes(b"half")

    outcome = gen("train", "--run", "two", "--out", training.parent, "--resume", *more)

    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.splitlines()[0] == f"error: {training}: {REFUSED}"
    assert half_written.exists()


def test_a_run_is_locked_under_every_path_that_leads_to_it(gen: Gen, training: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(training.parent)
    (training.parent / "alias").symlink_to(training)

    outcomes = [
        gen("train", "--run", "two", "--out", tmp_path / "link", "--resume", "--steps", "1"),
        gen("train", "--run", "alias", "--out", training.parent, "--resume", "--steps", "1"),
    ]

    assert [outcome.code for outcome in outcomes] == [2, 2]
    assert all(REFUSED in outcome.err for outcome in outcomes)


def test_a_run_that_trains_can_be_sampled_and_looked_at(gen: Gen, training: Path) -> None:
    assert gen("sample", training, "--length", "5").code == 0
    assert gen("eval", training, "valid").code == 0
    assert gen("info", training).code == 0


def test_a_run_is_locked_before_its_first_checkpoint(gen: Gen, text_file: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gen", "train", "-", "--run", "two", "--out", str(tmp_path), *TINY]
    waiting = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    with running(waiting) as process:
        wait_for(tmp_path / "two" / LOCK_FILE, process=process)

        outcome = gen("train", text_file, "--run", "two", "--out", tmp_path, *TINY)

    assert (outcome.code, outcome.err.splitlines()[0]) == (2, f"error: {tmp_path / 'two'}: {REFUSED}")
    assert not (tmp_path / "two" / MODEL_FILE).exists()


def test_a_run_of_a_killed_process_can_be_resumed(gen: Gen, text_file: Path, tmp_path: Path) -> None:
    with running(spawn(["train", text_file, "--run", "two", "--out", tmp_path, *FOREVER])) as process:
        wait_for(tmp_path / "two" / TRAINING_FILE, process=process)

    assert gen("train", "--run", "two", "--out", tmp_path, "--resume", "--steps", "1").code == 0
    assert not (tmp_path / "two" / LOCK_FILE).exists()


def test_a_run_that_was_removed_and_begun_anew_is_left_alone(text_file: Path, tmp_path: Path) -> None:
    with trained_elsewhere(text_file, tmp_path) as other:
        (tmp_path / "r").rename(tmp_path / "moved")
        with open_session(text_file, tmp_path) as session:
            list(session.reports())
            before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "r").iterdir()}
            tell(other, "list(session.reports())")
            assert other.wait() == 1
            assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "r").iterdir()} == before
            with pytest.raises(SettingError, match=REFUSED):
                open_session(text_file, tmp_path, resume=True)


def test_a_run_that_is_moved_while_it_trains_ends_in_one_line(text_file: Path, tmp_path: Path) -> None:
    with running(spawn(["train", text_file, "--run", "two", "--out", tmp_path, *FOREVER])) as process:
        wait_for(tmp_path / "two" / TRAINING_FILE, process=process)
        (tmp_path / "two").rename(tmp_path / "moved")
        assert process.stderr is not None
        lines = process.stderr.read().decode().splitlines()

        assert process.wait() == 2
    assert lines[-2:] == [
        f"error: {tmp_path / 'two'}: no longer the folder that was locked",
        "hint: it was moved, removed or made anew",
    ]


def test_a_session_in_another_program_holds_its_run_until_it_is_closed(text_file: Path, tmp_path: Path) -> None:
    with trained_elsewhere(text_file, tmp_path) as other:
        with pytest.raises(SettingError, match=REFUSED):
            open_session(text_file, tmp_path, resume=True)
        with pytest.raises(SettingError, match=REFUSED):
            gen.train(text_file, run="r", out=tmp_path, resume=True)
        tell(other, "pass")
        assert other.stdout is not None
        assert other.stdout.readline() == b"closed\n"
        open_session(text_file, tmp_path, resume=True).close()


def test_a_forked_process_does_not_hold_the_run_of_its_killed_parent(text_file: Path, tmp_path: Path) -> None:
    with trained_elsewhere(text_file, tmp_path) as parent:
        tell(parent, "import os, time; os.fork() or time.sleep(3); print('forked', flush=True); time.sleep(99)")
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"forked\n"  # of the parent: its child sleeps
        with pytest.raises(SettingError, match=REFUSED):
            open_session(text_file, tmp_path, resume=True)
        parent.kill()
        parent.wait()
        open_session(text_file, tmp_path, resume=True).close()


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of its metrics: it is let go, not closed
def test_one_program_has_one_session_of_a_run_until_it_lets_it_go(text_file: Path, tmp_path: Path) -> None:
    session = open_session(text_file, tmp_path)
    with pytest.raises(SettingError, match=REFUSED):
        open_session(text_file, tmp_path, resume=True)
    del session

    open_session(text_file, tmp_path, resume=True).close()
    assert not (tmp_path / "r" / LOCK_FILE).exists()


def test_a_run_is_free_after_an_interrupt(text_file: Path, tmp_path: Path) -> None:
    def interrupt(_report: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gen.train(text_file, run="r", out=tmp_path, on_report=interrupt, steps=3, **TINY_SETTINGS)

    open_session(text_file, tmp_path, resume=True).close()


def test_a_run_is_free_after_an_interrupt_while_its_corpus_is_read(text_file: Path, tmp_path: Path) -> None:
    def interrupt(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    new_text = tmp_path / "new.txt"
    new_text.write_text(text_file.read_text() + "and again", encoding="utf-8")
    with pytest.raises(KeyboardInterrupt):
        train_session(CorpusOptions((str(new_text),)), run="r", out=tmp_path, on_progress=interrupt)

    open_session(text_file, tmp_path, resume=True).close()


def test_a_run_whose_checkpoint_does_not_fit_is_free(text_file: Path, tmp_path: Path) -> None:
    gen.train(text_file, run="r", out=tmp_path, steps=3, **TINY_SETTINGS)
    path = tmp_path / "r" / TRAINING_FILE
    tensors, header = read_checkpoint(path, "training")
    write_checkpoint(path, "training", {"nothing": next(iter(tensors.values()))}, header)

    for _ in range(2):
        with pytest.raises(CheckpointError, match="does not fit its own header"):
            open_session(text_file, tmp_path, resume=True)


def test_a_closed_session_trains_no_more(text_file: Path, tmp_path: Path) -> None:
    with open_session(text_file, tmp_path) as session:
        reports = session.reports()
        next(reports)
    before = (tmp_path / "r" / TRAINING_FILE).read_bytes()

    with pytest.raises(TrainingError, match="the session is closed"):
        list(reports)
    with pytest.raises(TrainingError, match="the session is closed"):
        next(session.reports())
    assert (tmp_path / "r" / TRAINING_FILE).read_bytes() == before


@pytest.mark.parametrize("name", ["con", "NUL", "aux.txt", "com1", "LPT9.2", "conin$", "demo.", "a:b", "a b", ".a", ""])
def test_a_run_gets_no_name_that_windows_reserves_or_cannot_keep(gen: Gen, text_file: Path, name: str) -> None:
    outcome = gen("train", text_file, f"--run={name}")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("error: --run: not a name")


@pytest.mark.parametrize("name", ["console", "com10", "nullable", "my.con"])
def test_a_run_gets_a_name_that_only_looks_reserved(text_file: Path, tmp_path: Path, name: str) -> None:
    train_session(CorpusOptions((str(text_file),)), run=name, out=tmp_path).close()
    assert (tmp_path / name).is_dir()
