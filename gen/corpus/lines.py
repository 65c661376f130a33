"""Lines of plain text as they come: from files, or from a pipe or a keyboard that has not ended yet."""

import tempfile
from collections.abc import Iterator, Sequence
from io import BufferedReader
from pathlib import Path
from shlex import quote
from typing import BinaryIO, cast

from gen.codecs.text.files import CHUNK_BYTES, LINE_END, Chunks, text_parts
from gen.config import Reading
from gen.corpus.sources import STDIN_NAME, standard_input
from gen.errors import CorpusError


def read_lines(names: Sequence[str], reading: Reading) -> Iterator[list[str]]:
    """Yields the lines that can be read at once, without their ends; those of standard input as they come.

    Args:
        names: of files; "-" for standard input.
        reading: the encoding, and what is done with bytes that are not in it.

    Raises CorpusError if a file cannot be read, or is empty.
    """
    for name in names:
        is_empty = True
        texts = _of_stdin(reading) if name == "-" else (part.text for part in text_parts(Path(name), reading))
        held = ""
        for text in texts:
            is_empty = is_empty and not text
            *lines, held = (held + text).split(LINE_END)
            if lines:
                yield lines
        if held:
            yield [held]
        if is_empty:
            raise CorpusError(f"{STDIN_NAME if name == '-' else name}: empty")


def _of_stdin(reading: Reading) -> Iterator[str]:
    """Yields the text of standard input, each time as much as there is without waiting.

    Raises CorpusError as for a file: a copy of what has come so far is there to describe the place of an error.
    """
    with tempfile.TemporaryDirectory(prefix="gen-lines-") as folder:
        path = Path(folder) / "copy"
        with path.open("wb") as copy:
            try:
                for part in text_parts(path, reading, _as_they_come(cast(BufferedReader, standard_input()), copy)):
                    yield part.text
            except CorpusError as err:
                hint = err.hint and err.hint.replace(quote(str(path)), "FILE")
                raise CorpusError(str(err).replace(str(path), STDIN_NAME), hint=hint) from err


def _as_they_come(stream: BufferedReader, copy: BinaryIO) -> Chunks:
    while raw := stream.read1(CHUNK_BYTES):
        copy.write(raw)
        copy.flush()
        yield raw, False
    yield b"", True
