"""The commands where the system does what Windows does, as far as it can be emulated (`tests.cli.windows`)."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.cli.conftest import TINY, Outcome

pytestmark = pytest.mark.slow

WINDOWS = Path(__file__).with_name("windows.py")
# Runs gen after a change of the system that the first argument makes.
PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
import windows
exec(sys.argv[2])
sys.argv[1:] = sys.argv[3:]
from gen.cli.main import main
main()
"""
SLOWLY_LET_GO = """
import threading, time
from pathlib import Path
windows.become_windows()
from gen.files.disk import write_atomically
path = Path("a.txt")
path.write_bytes(b"old")
held = path.open("rb")
threading.Timer(0.3, held.close).start()
write_atomically(path, lambda beside: beside.write_bytes(b"new") and None)
print(path.read_bytes())
sys.exit()
"""
READER_GONE = """
import errno
windows.become_windows()
class Gone:
    is_discarded, number = False, sys.stdout.fileno()
    def write(self, text=""):
        if not self.is_discarded: raise OSError(errno.EINVAL, "Invalid argument")
    flush = write
    def fileno(self):
        self.is_discarded = True
        return self.number
sys.stdout = Gone()
"""
NO_LOCKS = """
import errno, fcntl
def refuse(*_): raise OSError(errno.ENOLCK, "No locks available")
fcntl.flock = refuse
"""
NO_POSIX = "sys.modules.update(dict.fromkeys(windows.POSIX_MODULES))"


def windows(*arguments: object, folder: Path) -> Outcome:
    """Runs a command line of gen on an emulated Windows."""
    return finished([sys.executable, str(WINDOWS), *map(str, arguments)], folder)


def changed(change: str, *arguments: object, folder: Path) -> Outcome:
    """Runs a command line of gen on a system that was changed."""
    return finished([sys.executable, "-c", PROGRAM, str(WINDOWS.parent), change, *map(str, arguments)], folder)


def finished(command: Sequence[str], folder: Path) -> Outcome:
    done = subprocess.run(command, cwd=folder, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, text_file: Path, music_folder: Path) -> Path:
    """A folder with a run of text and one of music that were trained on an emulated Windows."""
    folder = tmp_path_factory.mktemp("windows")
    for name, corpus in (("fox", text_file), ("tunes", music_folder)):
        outcome = windows("train", corpus, "--run", name, *TINY, folder=folder)
        assert outcome.code == 0, outcome.err
    return folder


def test_a_run_can_be_resumed(home: Path) -> None:
    outcome = windows("train", "--run", "fox", "--resume", "--steps", "5", "--json", folder=home)

    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["steps"] == 5
    files = {path.name for path in (home / "checkpoints" / "fox").iterdir()}
    assert files == {"model.safetensors", "training.safetensors", "metrics.jsonl", "samples"}


@pytest.mark.parametrize(
    "command",
    [
        "sample fox --length 99 --num-samples 2 --seed 1",
        "sample tunes --length 20 --roll --seed 1",
        "eval fox valid --json",
        "info tunes --json",
        "corpus chorales",
        "corpus --json",
        "--help",
    ],
)
def test_stdout_has_no_carriage_return(home: Path, command: str) -> None:
    outcome = windows(*command.split(), folder=home)

    assert outcome.code == 0, outcome.err
    assert outcome.out.endswith("\n") or command.startswith("sample")
    assert "\r" not in outcome.out


@pytest.mark.parametrize("name", ["x.txt", "x.json"])
def test_a_text_can_be_written(home: Path, name: str) -> None:
    outcome = windows("sample", "fox", "--length", "99", "--seed", "1", "--out", name, folder=home)

    assert outcome.code == 0, outcome.err
    assert b"\r" not in (home / name).read_bytes()


def test_music_can_be_written_and_exported(home: Path) -> None:
    for command in ("sample tunes --length 60 --seed 1 --out t.mid", "export t.mid --out t.json"):
        assert windows(*command.split(), folder=home).code == 0
    assert windows("export", "t.mid", "--out", "t.json", folder=home).code == 0  # over the first


def test_the_files_of_a_run_have_no_carriage_return(home: Path) -> None:
    run = home / "checkpoints" / "fox"

    for path in (run / "metrics.jsonl", *(run / "samples").iterdir()):
        assert b"\r" not in path.read_bytes()


def test_two_processes_do_not_train_one_run(text_file: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(WINDOWS), "train", str(text_file), "--run", "a", "--minutes", "9"]
    with subprocess.Popen([*command, "--hidden", "8"], cwd=tmp_path, stderr=subprocess.DEVNULL) as first:
        try:
            while not (tmp_path / "checkpoints" / "a" / "training.safetensors").exists():
                assert first.poll() is None
                time.sleep(0.05)
            second = windows("train", "--run", "a", "--resume", "--steps", "1", folder=tmp_path)
        finally:
            first.kill()

    assert second.code == 2
    assert "another process is training this run" in second.err
    assert windows("train", "--run", "a", "--resume", "--steps", "1", folder=tmp_path).code == 0


def test_a_file_is_replaced_when_its_reader_lets_it_go(tmp_path: Path) -> None:
    outcome = changed(SLOWLY_LET_GO, folder=tmp_path)

    assert (outcome.code, outcome.out.strip(), outcome.err) == (0, "b'new'", "")


def test_a_closed_pipe_is_silent(tmp_path: Path) -> None:
    assert changed(READER_GONE, "corpus", folder=tmp_path) == (0, "", "")


def test_a_disk_without_locks_is_told_of(text_file: Path, tmp_path: Path) -> None:
    outcome = changed(NO_LOCKS, "train", text_file, "--run", "a", *TINY, folder=tmp_path)

    assert outcome.code == 0
    assert "lock  none  this disk has no locks" in outcome.err
    assert not (tmp_path / "checkpoints" / "a" / ".lock").exists()


def test_a_system_without_the_modules_of_posix_trains_and_reads_music(music_folder: Path, tmp_path: Path) -> None:
    outcome = changed(NO_POSIX, "train", music_folder, "--run", "a", *TINY, folder=tmp_path)

    assert outcome.code == 0, outcome.err
