"""The one place where errors become lines and exit codes.

    0    done, also when whoever read our output stopped reading
    1    a bug of ours: one line; the traceback only with GEN_DEBUG=1
    2    something the user can mend: `error: PLACE: WHAT (VALUE)` and perhaps `hint: ...`
    130  interrupted

Commands raise and catch nothing. stdout is the product, stderr is for people.
"""

import errno
import io
import json
import math
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NamedTuple

import typer

from gen.cli.usage import usage_words
from gen.errors import GenError

DONE, BUG, MENDABLE, INTERRUPTED = 0, 1, 2, 130


class Problem(NamedTuple):
    """What the user is told, and the exit code."""

    code: int
    message: str
    hint: str | None = None


def main() -> None:
    """Runs the command line and ends the process."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Runs one command line; returns the exit code."""
    _prepare_streams()
    try:
        _invoke(arguments)
        code = DONE
    except typer.Exit as done:
        code = done.exit_code
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Exception as err:  # noqa: BLE001 - whatever escapes a command ends here
        if is_closed_pipe(err):
            return _flushed(DONE)
        if os.environ.get("GEN_DEBUG"):
            traceback.print_exc()
        code = _report(problem_of(err))
    return _flushed(code)


def say(text: str) -> None:
    """Writes a line for people, on stderr."""
    print(text, file=sys.stderr, flush=True)


def has_screen() -> bool:
    """Returns whether lines on stderr can be written over: on a terminal alone, whatever FORCE_COLOR asks for."""
    is_off = "0" in (os.environ.get("TTY_COMPATIBLE"), os.environ.get("TTY_INTERACTIVE"))
    return sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", "unknown") and not is_off


def write_json(data: dict[str, Any]) -> None:
    """Writes one JSON object on stdout; numbers that JSON cannot hold become null."""
    print(json.dumps(_finite(data), ensure_ascii=False, allow_nan=False), flush=True)


def is_closed_pipe(err: BaseException) -> bool:
    """Returns whether whoever read our output has stopped; Windows then finds an argument invalid."""
    if sys.platform == "win32" and isinstance(err, OSError) and err.errno == errno.EINVAL and err.filename is None:
        return True
    return isinstance(err, BrokenPipeError)


def problem_of(err: BaseException) -> Problem:
    """Returns what to tell the user about an exception."""
    if isinstance(err, GenError):
        return Problem(MENDABLE, str(err), err.hint)
    if isinstance(err, typer.TyperException):
        return Problem(MENDABLE, *usage_words(err))
    if isinstance(err, typer.Abort):
        return Problem(INTERRUPTED, "gen: given up")
    if isinstance(err, OSError) and err.strerror:
        place = err.filename if isinstance(err.filename, str | bytes | os.PathLike) else "gen"
        return Problem(MENDABLE, f"{os.fsdecode(place)}: {_lower_first(err.strerror)}")
    if isinstance(err, MemoryError) or _is_out_of_memory(err):
        return Problem(MENDABLE, "memory: not enough", "a smaller --batch-size, --bptt or --hidden needs less")
    what = f"{type(err).__name__}: {err}".rstrip(": ")
    return Problem(BUG, f"gen: this is a bug ({what})", "GEN_DEBUG=1 shows where; please report it")


def _invoke(arguments: Sequence[str]) -> None:
    """Parses and calls a command. Typer's own main() is not used: it would end a closed pipe with exit code 1."""
    from gen.cli.app import app  # the commands import this module

    command = typer.main.get_command(app)
    with command.make_context("gen", list(arguments)) as context:
        command.invoke(context)


def _report(problem: Problem) -> int:
    lines = [("error", "31", problem.message)]
    if problem.hint:
        lines.append(("hint", "36", problem.hint))
    try:
        for word, colour, text in lines:
            head = f"\x1b[1;{colour}m{word}:\x1b[0m" if _has_colour() else f"{word}:"
            say(f"{head} {_one_line(text)}")
    except OSError:  # stderr is gone too: the exit code must do
        pass
    return problem.code


def _has_colour() -> bool:
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _one_line(text: str) -> str:
    """Returns the text with line ends and control characters escaped: a file name may hold anything."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


def _prepare_streams() -> None:
    """Makes both streams UTF-8 with LF on every system; one that was closed by the caller swallows what it gets."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - open to the end
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", newline="\n")


def _flushed(code: int) -> int:
    """Flushes stdout while errors can still be told: at interpreter shutdown each would be a traceback."""
    try:
        sys.stdout.flush()
    except OSError as err:
        _discard_stdout()
        return _report(problem_of(err)) if code == DONE and not is_closed_pipe(err) else code
    return code


def _discard_stdout() -> None:
    """Points stdout at nothing, so that what is still buffered raises no second error at shutdown."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.close(devnull)


def _is_out_of_memory(err: BaseException) -> bool:
    """Tells torch's two ways of running out of memory without importing torch."""
    return type(err).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(err)


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def _finite(data: Any) -> Any:
    if isinstance(data, dict):
        return {str(key): _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    if isinstance(data, float) and not math.isfinite(data):
        return None
    return data
