"""Prompts that come through standard input and pipes, as a shell gives them."""

import os
import pty
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.cli.conftest import Gen, Outcome


def piped(data: bytes | Path, *arguments: object) -> Outcome:
    """Runs a command line in a process of its own that reads these bytes, or this file, as standard input."""
    command = [sys.executable, "-m", "gen", *map(str, arguments)]
    if isinstance(data, bytes):
        done = subprocess.run(command, input=data, capture_output=True, check=False)
    else:
        with data.open("rb") as stdin:
            done = subprocess.run(command, stdin=stdin, capture_output=True, check=False)
    return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())


def test_a_prompt_comes_through_standard_input_as_it_is(gen: Gen, text_run: Path) -> None:
    arguments = ("sample", text_run, "--length", "20", "--seed", "0")
    expected = gen(*arguments, "--prompt", "The fox\n").out
    assert expected.startswith("The fox\n")
    assert piped(b"The fox\n", *arguments, "--prompt-file", "-") == (0, expected, "")
    assert piped(b"The fox\n", *arguments, "--prompt-file", "/dev/stdin") == (0, expected, "")


def test_a_prompt_comes_through_a_fifo(gen: Gen, text_run: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    writer = threading.Thread(target=lambda: (tmp_path / "fifo").write_bytes(b"The fox"), daemon=True)
    writer.start()
    outcome = gen("sample", text_run, "--length", "9", "--seed", "0", "--prompt-file", tmp_path / "fifo")
    writer.join(10)
    assert outcome == gen("sample", text_run, "--length", "9", "--seed", "0", "--prompt", "The fox")


def test_a_primer_comes_through_a_pipe_and_from_a_file(gen: Gen, music_run: Path, music_folder: Path) -> None:
    primer = music_folder / "bwv2.6.mid"
    arguments = ("sample", music_run, "--from-bar", "3", "--length", "30", "--seed", "0", "--prompt-file")
    expected = gen(*arguments, primer)
    assert expected.code == 0
    assert piped(primer.read_bytes(), *arguments, "-") == expected
    assert piped(primer, *arguments, "-") == expected


@pytest.mark.parametrize("is_text", [True, False])
def test_a_prompt_of_the_other_kind_is_one_line_that_names_standard_input(
    text_run: Path, music_run: Path, music_folder: Path, is_text: bool
) -> None:
    run, data = (text_run, (music_folder / "bwv2.6.mid").read_bytes()) if is_text else (music_run, b"The fox")
    code, out, err = piped(data, "sample", run, "--prompt-file", "-")
    what = "fox writes text, not music" if is_text else "not a MIDI file (no MThd header)"
    assert (code, out) == (2, "")
    assert err.splitlines()[0] == f"error: standard input: {what}"


def test_what_is_said_of_a_prompt_on_standard_input_names_no_file_that_is_gone(text_run: Path) -> None:
    code, _, err = piped("caf\u00e9 au lait\n".encode("latin-1"), "sample", text_run, "--prompt-file", "-")
    assert code == 2
    assert err.splitlines()[1] == "hint: make it UTF-8: iconv -f iso-8859-1 -t utf-8 FILE > NEW"


def test_midi_without_a_suffix_is_no_text(gen: Gen, text_run: Path, music_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "tune").write_bytes((music_folder / "bwv2.6.mid").read_bytes())
    outcome = gen("sample", text_run, "--prompt-file", tmp_path / "tune")
    assert outcome.err.splitlines()[0] == f"error: {tmp_path / 'tune'}: fox writes text, not music"


def test_a_device_that_has_no_end_is_refused(gen: Gen, text_run: Path) -> None:
    outcome = gen("sample", text_run, "--prompt-file", "/dev/zero")
    assert (outcome.code, outcome.err) == (2, "error: /dev/zero: not a regular file (a device)\n")


@pytest.mark.parametrize("option", ["-", "/dev/stdin"])
def test_a_terminal_is_told_how_to_end_what_is_typed(gen: Gen, text_run: Path, option: str) -> None:
    here, there = pty.openpty()
    os.write(here, b"The fox\n\x04")
    command = [sys.executable, "-m", "gen", "sample", str(text_run), "--length", "9", "--seed", "0"]
    done = subprocess.run([*command, "--prompt-file", option], stdin=there, capture_output=True, check=True, timeout=60)
    assert done.stderr == b"reading standard input; end it with Ctrl-D\n"
    assert done.stdout.decode() == gen(*command[3:], "--prompt", "The fox\n").out


def test_a_corpus_of_midi_comes_through_standard_input(music_folder: Path) -> None:
    code, out, err = piped((music_folder / "bwv2.6.mid").read_bytes(), "corpus", "-")
    assert (code, err) == (0, "")
    assert out.startswith("codec      beat")
    assert "round trip" not in out
