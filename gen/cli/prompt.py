"""The prompt that `gen sample` and `gen play` read from a file, from standard input or from a pipe."""

import stat
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, BinaryIO

from gen.cli.console import say
from gen.codec import stream
from gen.codecs.export import is_music
from gen.corpus.sources import STDIN_NAME, announce_terminal, spool, standard_input
from gen.errors import GenError, SettingError
from gen.music.midi.recognise import is_midi
from gen.music.score import NoteEvent, Tempo, TimeSignature

if TYPE_CHECKING:
    from gen.generation.prompt import Prompt
    from gen.runs.run import Run

STDIN = Path("-")


def read_prompt(path: Path, run: "Run") -> Any:
    """Returns what a file holds, of the kind of the run's codec: a text, or a Score.

    Args:
        path: a file, "-" for standard input, or what can be read only once: a FIFO, a terminal.

    Raises GenError if it cannot be read, or is of the other kind.
    """
    if path == STDIN:
        return _read_once(standard_input(), run, name=STDIN_NAME)
    if not _is_read_once(path):
        return _read(path, run)
    with path.open("rb") as stream:
        announce_terminal(stream)
        return _read_once(stream, run, name=str(path))


def say_unknown(run: "Run", prompt: "Prompt") -> None:
    """Says on stderr what a run does not know of a prompt."""
    for line in prompt.unknown:
        say(f"{run.name} does not know {line}")


def from_the_start(pieces: Iterator[Any], prompt: "Prompt") -> Iterator[Any]:
    """Yields what goes on from a prompt as if it began there: music at 0, with the metre and tempo that it has."""
    from gen.music.continuation import gone_on_alone

    codec = prompt.codec
    told = [piece for piece in stream(codec, prompt.ids) if isinstance(piece, Tempo | TimeSignature)]
    coming: deque[Tempo | TimeSignature] = deque()
    start_seconds, start_ticks = None, 0
    for piece in pieces:
        if not isinstance(piece, NoteEvent | Tempo | TimeSignature):
            yield piece
        elif isinstance(piece, Tempo | TimeSignature) and start_seconds is None:
            told.append(piece)
        elif isinstance(piece, Tempo | TimeSignature):
            told.append(piece)
            coming.append(piece._replace(onset_ticks=piece.onset_ticks - start_ticks))
        else:
            timing = codec.join(told)
            ticks = int(timing.ticks([piece.onset_seconds])[0])
            if start_seconds is None:
                start_seconds, start_ticks = piece.onset_seconds, ticks
                alone = gone_on_alone(timing, codec.join([*told, piece]), name="")
                coming.extend(sorted((*alone.time_signatures, *alone.tempos)) if told else ())
            while coming and coming[0].onset_ticks <= ticks - start_ticks:
                yield coming.popleft()
            yield piece._replace(onset_seconds=piece.onset_seconds - start_seconds)


def _read(path: Path, run: "Run", *, name: str | None = None) -> Any:
    if not is_music(run.codec) and is_midi(path):
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
    """Returns whether a path is a pipe or a terminal; of other devices some have no end."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISCHR(mode):
            with path.open("rb", buffering=0) as device:
                return device.isatty()
    except (OSError, ValueError):
        return False  # reading it will say why
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
