"""Where the live screens of the commands are: on a terminal, never in a file, whatever asks for colour."""

import os
import pty
import re
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.cli.conftest import TINY

# Whatever is no colour: sequences that end otherwise than in m, and a line that is written over.
MOVES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-ln-z]|\r(?!\n)")
COLOURS = re.compile(rb"\x1b\[[0-9;]*m")
FORCED = [
    {"FORCE_COLOR": "1"},
    {"CLICOLOR_FORCE": "1"},
    {"TTY_COMPATIBLE": "1"},
    {"TTY_INTERACTIVE": "1"},
    {"FORCE_COLOR": "3", "TTY_COMPATIBLE": "1", "TTY_INTERACTIVE": "1", "TERM": "xterm-256color"},
]
UNSET = ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE", "TTY_INTERACTIVE")


def environment(changes: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in UNSET}
    return {**kept, "TERM": "xterm", **changes}


def in_a_file(arguments: Sequence[object], changes: Mapping[str, str], log: Path) -> bytes:
    """Returns what a command leaves on both streams, sent to a file."""
    with log.open("wb") as file:
        command = [sys.executable, "-m", "gen", *map(str, arguments)]
        subprocess.run(command, stdout=file, stderr=file, env=environment(changes), check=False)
    return log.read_bytes()


def on_a_terminal(arguments: Sequence[object], changes: Mapping[str, str]) -> bytes:
    """Returns what a command leaves on a terminal that is its stderr."""
    ours, theirs = pty.openpty()
    parts: list[bytes] = []

    def read() -> None:
        try:
            while part := os.read(ours, 4096):
                parts.append(part)
        except OSError:  # the other end is closed
            pass

    reader = threading.Thread(target=read)
    reader.start()
    command = [sys.executable, "-m", "gen", *map(str, arguments)]
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=theirs, env=environment(changes), check=True)
    os.close(theirs)
    reader.join()
    os.close(ours)
    return b"".join(parts)


@pytest.mark.parametrize("changes", FORCED, ids=",".join)
def test_a_log_of_training_holds_colours_at_most(text_file: Path, tmp_path: Path, changes: dict[str, str]) -> None:
    log = in_a_file(["train", text_file, "--run", "a", "--out", tmp_path, *TINY], changes, tmp_path / "log")

    assert MOVES.findall(log) == []
    assert b"valid " in log
    assert b"sample  " in log


def test_colours_are_in_a_log_where_they_are_asked_for(text_file: Path, tmp_path: Path) -> None:
    arguments = ["train", text_file, "--run", "a", "--out", tmp_path, *TINY]

    assert COLOURS.search(in_a_file(arguments, {"FORCE_COLOR": "1"}, tmp_path / "log"))


def test_a_log_holds_no_colours_by_itself(text_file: Path, tmp_path: Path) -> None:
    log = in_a_file(["train", text_file, "--run", "a", "--out", tmp_path, *TINY], {}, tmp_path / "log")

    assert b"\x1b" not in log


@pytest.mark.parametrize(
    "command",
    [
        ["bench", "--seconds", "0.001", "--hidden", "8", "--num-samples", "1"],
        ["corpus", "chorales"],
        ["train", "--help"],
        ["train", "--bad"],
    ],
    ids=lambda command: command[0] + command[1],
)
def test_no_command_moves_the_cursor_in_a_file(command: list[str], tmp_path: Path) -> None:
    log = in_a_file(command, FORCED[-1], tmp_path / "log")

    assert log
    assert MOVES.findall(log) == []


def test_a_roll_in_a_file_has_no_cursor(music_run: Path, tmp_path: Path) -> None:
    log = in_a_file(["sample", music_run, "--roll", "--length", "20", "--seed", "1"], FORCED[-1], tmp_path / "log")

    assert log
    assert MOVES.findall(log) == []


def test_a_terminal_shows_a_screen(text_file: Path, tmp_path: Path) -> None:
    shown = on_a_terminal(["train", text_file, "--run", "a", "--out", tmp_path, *TINY], {})

    assert b"\x1b[?25l" in shown  # the cursor is hidden
    assert b"\x1b[?25h" in shown


@pytest.mark.parametrize("changes", [{"TERM": "dumb"}, {"TTY_INTERACTIVE": "0"}, {"TTY_COMPATIBLE": "0"}], ids=str)
def test_a_terminal_that_is_said_to_have_no_cursor_shows_lines(
    text_file: Path, tmp_path: Path, changes: dict[str, str]
) -> None:
    shown = on_a_terminal(["train", text_file, "--run", "a", "--out", tmp_path, *TINY], changes)

    assert MOVES.findall(shown) == []
    assert b"valid " in shown
