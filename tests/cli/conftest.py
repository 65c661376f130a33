"""Runs `gen` as a user does, in this process where that shows the same, and two tiny trained runs."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from gen.cli.main import run as run_gen
from gen.corpus.builtin import builtin_path

TINY = ("--steps", "3", "--hidden", "8", "--layers", "1", "--embedding", "4", "--batch-size", "4", "--bptt", "16")


class Outcome(NamedTuple):
    """What a command left."""

    code: int
    out: str
    err: str


Gen = Callable[..., Outcome]


@pytest.fixture
def gen(capsys: pytest.CaptureFixture[str]) -> Gen:
    """Runs a command line in this process."""

    def call(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = run_gen([str(argument) for argument in arguments])
        return Outcome(code, *capsys.readouterr())

    return call


def spawn(arguments: Sequence[object], *, stdout: int = subprocess.PIPE) -> subprocess.Popen[bytes]:
    """Starts a command line in a process of its own."""
    command = [sys.executable, "-m", "gen", *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "GEN_DEBUG")}
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE, env=environment)


@pytest.fixture(scope="session")
def text_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text of 6,000 characters."""
    path = tmp_path_factory.mktemp("text") / "fox.txt"
    path.write_text("The quick brown fox jumps over the lazy dog.\n" * 134, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def music_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three chorales and a file that only claims to be MIDI."""
    folder = tmp_path_factory.mktemp("music")
    chorales = builtin_path("chorales")
    assert chorales is not None
    for name in ("bwv2.6.mid", "bwv3.6.mid", "bwv4.8.mid"):
        shutil.copy(chorales / name, folder / name)
    (folder / "false.mid").write_bytes(b"not MIDI at all")
    return folder


def trained(folder: Path, name: str, *corpus: object) -> Path:
    """Returns the folder of a run of three steps."""
    assert run_gen(["train", *map(str, corpus), "--run", name, "--out", str(folder), *TINY]) == 0
    return folder / name


@pytest.fixture(scope="session")
def text_run(tmp_path_factory: pytest.TempPathFactory, text_file: Path) -> Path:
    """A run trained on characters."""
    return trained(tmp_path_factory.mktemp("runs"), "fox", text_file)


@pytest.fixture(scope="session")
def music_run(tmp_path_factory: pytest.TempPathFactory, music_folder: Path) -> Path:
    """A run trained on MIDI."""
    return trained(tmp_path_factory.mktemp("runs"), "tunes", music_folder)


@pytest.fixture(scope="session")
def writing_runs(tmp_path_factory: pytest.TempPathFactory, text_file: Path, music_folder: Path) -> Path:
    """A folder with a run of each codec that writes, by the codec's name, and one with the control `density`."""
    folder = tmp_path_factory.mktemp("runs")
    trained(folder, "char", text_file)
    trained(folder, "byte", text_file, "--codec", "byte")
    trained(folder, "performance", music_folder, "--codec", "performance")
    trained(folder, "beat", music_folder, "--codec", "beat")
    trained(folder, "density", music_folder, "--codec", "beat", "--controls", "density")
    return folder
