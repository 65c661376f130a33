"""Keys on a real terminal: a pseudo-terminal, whose other end types."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from gen.cli.keyboard import arrow_keys
from gen.live.knobs import ArrowKey

pty = pytest.importorskip("pty", reason="Windows has no pseudo-terminals")
termios = pytest.importorskip("termios")

PATIENCE = 5.0  # seconds


@pytest.fixture
def hand(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The end that a hand types at; the other one is stdin."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        yield ours
    os.close(ours)


def waited(pressed: Callable[[], Sequence[ArrowKey]]) -> list[ArrowKey]:
    end = time.monotonic() + PATIENCE
    found: list[ArrowKey] = []
    while not found and time.monotonic() < end:
        found += pressed()
    return found


@pytest.mark.parametrize("form", [b"\x1b[", b"\x1bO"])
def test_arrow_keys_come_in_order_and_others_are_nothing(hand: int, form: bytes) -> None:
    with arrow_keys() as pressed:
        assert pressed is not None
        assert pressed() == []
        os.write(hand, b"x" + form + b"A?" + form + b"B" + form + b"C\n" + form + b"D" + form + b"H")
        assert waited(pressed) == ["up", "down", "right", "left"]
        assert pressed() == []


def test_the_terminal_shows_no_key_while_it_listens_and_is_as_before_afterwards(hand: int) -> None:
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)

    def interrupted() -> None:
        with arrow_keys():
            local = termios.tcgetattr(terminal)[3]
            assert not local & (termios.ECHO | termios.ICANON)
            assert local & termios.ISIG, "Ctrl-C stays a signal"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert termios.tcgetattr(terminal) == before
    assert hand


def test_there_are_none_where_stdin_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        with arrow_keys() as pressed:
            assert pressed is None
