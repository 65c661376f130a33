"""The lines and the JSON object that a command prints, and its exit code.

stdout is the product, stderr is for people.
"""

import os
import sys
from typing import Any, TextIO

from gen.files.json_text import json_text

DONE = 0  # also when the reader of our output stopped reading
BUG = 1  # of ours
MENDABLE = 2  # by the user
INTERRUPTED = 130


def say(text: str) -> None:
    """Writes a line for people, on stderr."""
    print(text, file=sys.stderr, flush=True)


def has_screen() -> bool:
    """Returns whether lines on stderr can be written over: on a terminal alone, whatever FORCE_COLOR asks for."""
    is_off = "0" in (os.environ.get("TTY_COMPATIBLE"), os.environ.get("TTY_INTERACTIVE"))
    return sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", "unknown") and not is_off


def has_colour(stream: TextIO) -> bool:
    """Returns whether to write in colours."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def write_json(data: dict[str, Any]) -> None:
    """Writes one JSON object on stdout; numbers that JSON cannot hold become null."""
    print(json_text(data), flush=True)
