"""The command `gen`: one typer application, whose errors end as one line and an exit code.

The line is `error: PLACE: WHAT (VALUE)`, perhaps with `hint: ...` below it; the codes stand in `gen.cli.console`.
GEN_DEBUG=1 adds the traceback of a bug. Commands raise and catch nothing.

Each command has a file of its own. Nothing heavy is imported at the top of those files: the help appears at once.
"""

import errno
import io
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, NamedTuple

import typer

from gen.cli.bench import bench
from gen.cli.classify import classify
from gen.cli.command import Command
from gen.cli.console import BUG, DONE, INTERRUPTED, MENDABLE, has_colour, say
from gen.cli.corpus import corpus
from gen.cli.eval import evaluate
from gen.cli.export import export
from gen.cli.info import info
from gen.cli.play import play
from gen.cli.probe import probe
from gen.cli.sample import sample
from gen.cli.tag import tag
from gen.cli.train import train
from gen.cli.usage import usage_words
from gen.errors import GenError
from gen.version import __version__

EPILOG = "Examples:\n\n\b\ngen train shakespeare --run demo --minutes 3\ngen sample demo --prompt 'ROMEO:'"

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=False,
)


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"gen {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True, epilog=EPILOG)
def gen(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 - its callback does the work
        bool,
        typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version and exit"),
    ] = False,
) -> None:
    """Train recurrent networks on text and MIDI, and stream what they write."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _add(function: object, name: str, *examples: str) -> None:
    """Adds a command; its help ends with commands that run."""
    app.command(name, cls=Command, epilog="Examples:\n\n\b\n" + "\n".join(examples))(function)  # type: ignore[type-var]


_add(
    train,
    "train",
    "gen train shakespeare --run plays --minutes 3",
    "gen train chorales --run tunes --cell gru --hidden 512 --epochs 20",
)
_add(
    sample,
    "sample",
    "gen sample plays --prompt 'ROMEO:' --temperature 0.8",
    "gen sample tunes --num-samples 4 --out tune.mid",
)
_add(play, "play", "gen play tunes", "gen play tunes --port FLUID --input Keystation --temperature 0.9")
_add(
    classify,
    "classify",
    "gen classify authors letter.txt",
    "gen classify authors letters.csv --text-column text --top 3",
)
_add(tag, "tag", "gen tag words novel.txt", "echo 'The old man the boat .' | gen tag words -")
_add(evaluate, "eval", "gen eval plays valid", "gen eval plays shakespeare --context 256 --json")
_add(probe, "probe", "gen probe plays --find --out plays.html", "gen probe --gradient --picture gradient.png")
_add(info, "info", "gen info plays", "gen info checkpoints/plays/model.safetensors --json")
_add(corpus, "corpus", "gen corpus", "gen corpus chorales --json")
_add(export, "export", "gen export tune-1.mid --out tune.json", "gen export tune.json --out tune.png")
_add(bench, "bench", "gen bench", "gen bench --cell gru --hidden 1024 --num-samples 1 --json")


class Problem(NamedTuple):
    """The words and the exit code for an exception."""

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
    except Exception as err:  # noqa: BLE001 - every error of a command ends here
        if is_closed_pipe(err):
            return _flushed(DONE)
        if os.environ.get("GEN_DEBUG"):
            traceback.print_exc()
        code = _report(problem_of(err))
    return _flushed(code)


def is_closed_pipe(err: BaseException) -> bool:
    """Returns whether the reader of our output has stopped; Windows then finds an argument invalid."""
    if sys.platform == "win32" and isinstance(err, OSError) and err.errno == errno.EINVAL and err.filename is None:
        return True
    return isinstance(err, BrokenPipeError)


def problem_of(err: BaseException) -> Problem:
    """Returns the words for an exception."""
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
    command = typer.main.get_command(app)
    with command.make_context("gen", list(arguments)) as context:
        command.invoke(context)


def _report(problem: Problem) -> int:
    lines = [("error", "31", problem.message)]
    if problem.hint:
        lines.append(("hint", "36", problem.hint))
    try:
        for word, colour, text in lines:
            head = f"\x1b[1;{colour}m{word}:\x1b[0m" if has_colour(sys.stderr) else f"{word}:"
            say(f"{head} {_one_line(text)}")
    except OSError:  # stderr is gone too: the exit code must do
        pass
    return problem.code


def _one_line(text: str) -> str:
    """Returns the text with line ends and control characters escaped: a file name may hold anything."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


def _prepare_streams() -> None:
    """Makes both streams UTF-8 with LF on every system; a stream that the caller has closed discards its text."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - open to the end
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", newline="\n")


def _flushed(code: int) -> int:
    """Flushes stdout while an error can still become a line: at interpreter shutdown it would be a traceback."""
    try:
        sys.stdout.flush()
    except OSError as err:
        _discard_stdout()
        return _report(problem_of(err)) if code == DONE and not is_closed_pipe(err) else code
    return code


def _discard_stdout() -> None:
    """Points stdout at nothing: the rest of its buffer then raises no second error at shutdown."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.close(devnull)


def _is_out_of_memory(err: BaseException) -> bool:
    """Recognises torch's two errors for too little memory without importing torch."""
    return type(err).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(err)


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
