"""The arrow keys that are pressed on a terminal, without waiting for them.

While they are listened to, the terminal hands over each key at once and shows none. Ctrl-C stays a signal. There are
none where stdin is no terminal, in the background, where to ask would stop the program, and on Windows.
"""

import os
import re
import select
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final, Literal

try:
    import termios
    import tty
except ImportError:  # Windows
    HAS_TERMIOS = False
else:
    HAS_TERMIOS = True

ArrowKey = Literal["up", "down", "right", "left"]

_ARROWS: Final[dict[bytes, ArrowKey]] = {b"A": "up", b"B": "down", b"C": "right", b"D": "left"}
_SEQUENCE: Final = re.compile(rb"\x1b[\[O]([ABCD])")  # CSI as terminals send them, SS3 in application mode
_MAX_BYTES: Final = 1024


@contextmanager
def arrow_keys() -> Iterator[Callable[[], Sequence[ArrowKey]] | None]:
    """Gives what returns the keys that were pressed since it was last asked; None where there can be none.

    The terminal is as before when the context is left.
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
    except OSError:  # not the terminal that we were started from, which has no background
        return True
