"""Lines of plain text as they come: from files, or from a pipe or a keyboard that has not ended yet."""

import codecs
from collections.abc import Iterator, Sequence
from io import BufferedReader
from pathlib import Path
from typing import cast

from gen.codecs.text.files import CHUNK_BYTES, LINE_END, MARK, text_parts
from gen.codecs.text.undecodable import handler_name
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
    """Yields the text of standard input, each time as much as there is without waiting."""
    stream = cast(BufferedReader, standard_input())
    decoder = codecs.getincrementaldecoder(reading.encoding)(handler_name(reading.errors))
    is_first, is_last = True, False
    while not is_last:
        raw = stream.read1(CHUNK_BYTES)
        is_last = not raw
        try:
            text = decoder.decode(raw, is_last)
        except UnicodeError as err:
            hint = "--encoding latin-1, or --errors replace"
            raise CorpusError(f"{STDIN_NAME}: not {reading.encoding} ({err})", hint=hint) from err
        yield text.removeprefix(MARK) if is_first else text
        is_first = is_first and not text
