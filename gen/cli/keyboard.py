"""The arrow keys that are pressed on a terminal; reading them does not wait.

While they are read, the terminal passes each key on at once and shows none. Ctrl-C stays a signal. There are no keys
if stdin is no terminal, on Windows, and in the background, where reading would stop the program.
"""

import os
import re
import select
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final

from gen.live.knobs import ArrowKey

try:
    import termios
    import tty
except ImportError:  # Windows
    HAS_TERMIOS = False
else:
    HAS_TERMIOS = True

_ARROWS: Final[dict[bytes, ArrowKey]] = {b"A": "up", b"B": "down", b"C": "right", b"D": "left"}
_SEQUENCE: Final = re.compile(rb"\x1b[\[O]([ABCD])")  # CSI as terminals send them, SS3 in application mode
_MAX_BYTES: Final = 1024


@contextmanager
def arrow_keys() -> Iterator[Callable[[], Sequence[ArrowKey]] | None]:
    """Gives a function that returns the keys pressed since its last call; None if there can be no keys.

    The end of the context restores the terminal.
    """
    if not HAS_TERMIOS or not sys.stdin.isatty() or not _is_in_foreground(sys.stdin.fileno()):
        yield None
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    tty.setcbreak(terminal)
    try:
        yield partial(_pressed, terminal)
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _pressed(terminal: int) -> list[ArrowKey]:
    if not _is_in_foreground(terminal) or not select.select([terminal], [], [], 0)[0]:
        return []
    return [_ARROWS[letter] for letter in _SEQUENCE.findall(os.read(terminal, _MAX_BYTES))]


def _is_in_foreground(terminal: int) -> bool:
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:  # another terminal than the one that started us: it has no background
        return True
