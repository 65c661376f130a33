"""The prompt of `gen sample` and `gen play`, from an option, a file, standard input or a pipe."""

import stat
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, BinaryIO

from gen.cli.console import say
from gen.codec import stream
from gen.corpus.sources import STDIN_NAME, announce_terminal, spool, standard_input
from gen.errors import GenError, MidiError, SettingError
from gen.music.midi.recognise import is_midi
from gen.music.score import NoteEvent, Tempo, TimeSignature

if TYPE_CHECKING:
    from gen.generation.prompt import Prompt
    from gen.runs.request import SampleRequest, SampleSettings
    from gen.runs.run import Run

STDIN = Path("-")
_SCORE = "score: "  # before an error in the notes of a primer


@dataclass(frozen=True, slots=True)
class PromptOptions:
    """The options that name a prompt."""

    text: str | None = None
    file: Path | None = None  # "-" for standard input
    from_bar: int | None = None


def request_samples(run: "Run", options: PromptOptions, settings: "SampleSettings") -> "SampleRequest":
    """Returns the request for samples that continue a prompt; says on stderr what the run does not know of it.

    Raises GenError if the options contradict each other, or the run cannot continue the prompt.
    """
    try:
        request = run.request(_whole(run, options), **settings)
    except MidiError as err:
        if str(err).startswith(_SCORE):
            raise MidiError(f"{options.file}: {str(err).removeprefix(_SCORE)}") from err
        raise
    for line in request.prompt.unknown:
        say(f"{run.name} does not know {line}")
    return request


def from_the_start(pieces: Iterator[Any], prompt: "Prompt") -> Iterator[Any]:
    """Yields the pieces that follow a prompt as a piece of its own: it begins at 0, with its metre and tempo."""
    from gen.music.continuation import continuation_alone

    codec = prompt.codec
    timings = [piece for piece in stream(codec, prompt.ids) if isinstance(piece, Tempo | TimeSignature)]
    coming: deque[Tempo | TimeSignature] = deque()
    start_seconds, start_ticks = None, 0
    for piece in pieces:
        if not isinstance(piece, NoteEvent | Tempo | TimeSignature):
            yield piece
        elif isinstance(piece, Tempo | TimeSignature) and start_seconds is None:
            timings.append(piece)
        elif isinstance(piece, Tempo | TimeSignature):
            timings.append(piece)
            coming.append(piece._replace(onset_ticks=piece.onset_ticks - start_ticks))
        else:
            timing = codec.join(timings)
            ticks = int(timing.ticks([piece.onset_seconds])[0])
            if start_seconds is None:
                start_seconds, start_ticks = piece.onset_seconds, ticks
                alone = continuation_alone(timing, codec.join([*timings, piece]), name="")
                coming.extend(sorted((*alone.time_signatures, *alone.tempos)) if timings else ())
            while coming and coming[0].onset_ticks <= ticks - start_ticks:
                yield coming.popleft()
            yield piece._replace(onset_seconds=piece.onset_seconds - start_seconds)


def _whole(run: "Run", options: PromptOptions) -> Any:
    """Returns the text or the Score that the options name; None for none."""
    text, path, from_bar = options.text, options.file, options.from_bar
    if text is not None and path is not None:
        raise SettingError("--prompt-file: --prompt is given too", hint="give one of the two")
    if text is not None and run.codec.kind == "music":
        raise SettingError(
            f"--prompt: {run.name} writes music, not text ({text})", hint="give a primer: --prompt-file x.mid"
        )
    if from_bar is not None and (path is None or run.codec.kind == "text"):
        raise SettingError("--from-bar: only with --prompt-file FILE.mid")
    whole: Any = text if path is None else _read_prompt(path, run)
    if from_bar is None:
        return whole
    from gen.music.excerpt import before_bar

    return before_bar(whole, from_bar)


def _read_prompt(path: Path, run: "Run") -> Any:
    """Returns the document of a file, of the kind of the run's codec: a text, or a Score.

    Args:
        path: a file, "-" for standard input, or a file that can be read only once: a FIFO, a terminal.

    Raises GenError if it cannot be read, or is of the other kind.
    """
    if path == STDIN:
        return _read_once(standard_input(), run, name=STDIN_NAME)
    if not _is_read_once(path):
        return _read(path, run)
    with path.open("rb") as stream:
        announce_terminal(stream)
        return _read_once(stream, run, name=str(path))


def _read(path: Path, run: "Run", *, name: str | None = None) -> Any:
    if run.codec.kind == "text" and is_midi(path):
        raise SettingError(f"{name or path}: {run.name} writes text, not music", hint="give a text file")
    return run.codec.read(path)


def _read_once(stream: BinaryIO, run: "Run", *, name: str) -> Any:
    with _kept(stream) as path:
        try:
            return _read(path, run, name=name)
        except GenError as err:
            hint = err.hint and err.hint.replace(quote(str(path)), "FILE")
            raise type(err)(str(err).replace(str(path), name), hint=hint) from err


@contextmanager
def _kept(stream: BinaryIO) -> Iterator[Path]:
    path = spool(stream)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _is_read_once(path: Path) -> bool:
    """Returns whether a path is a pipe or a terminal; some other devices have no end."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISCHR(mode):
            with path.open("rb", buffering=0) as device:
                return device.isatty()
    except (OSError, ValueError):
        return False  # reading it raises the error
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
