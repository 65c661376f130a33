"""Reading and writing text files, by the rules that every text codec shares.

    byte order mark   decides the encoding where UTF-8 is asked for (UTF-8, UTF-16, UTF-32); it is no part of the text
    line ends         CRLF and lone CR become LF
    NUL               a text that holds one is taken for a binary file and refused
    anything else     is kept as it is; what is not valid in the encoding is an error, never replaced

Files are read in small parts, so that the size of a file does not matter.
"""

import codecs
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gen.codec import NO_ENDS
from gen.config import Reading
from gen.errors import CorpusError
from gen.files import reason, write_atomically

CHUNK_BYTES = 1 << 15  # larger parts are slower: their arrays are given back to the system each time
LINE_END = "\n"
LINE_ENDS = "line ends made LF"
BYTE_ORDER_MARK = "byte order mark removed"

# UTF-32 first: its little-endian mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}


class TextPart(NamedTuple):
    """A stretch of a text file."""

    text: str
    start: int  # how many characters stand before it
    findings: Mapping[str, int]
    ends: NDArray[np.int64] = NO_ENDS  # as in `gen.codec.Part`
    gaps: NDArray[np.int64] = NO_ENDS  # how many characters, left out here, follow each of these documents
    labels: Sequence[str | None] | None = None  # as in `gen.codec.Part`
    lines: NDArray[np.int64] = NO_ENDS  # of a table: on which line of the file each of these documents begins

    def place(self, offset: int) -> int:
        """Returns how many characters of the file stand before one of the text."""
        return self.start + offset + int(self.gaps[self.ends <= offset].sum())


def text_parts(path: Path, reading: Reading) -> Iterator[TextPart]:
    """Reads a text file part by part. Raises CorpusError if it cannot be read, is binary or not in its encoding."""
    encoding = reading.encoding
    decoder: codecs.IncrementalDecoder | None = None
    held, start, num_bytes = "", 0, 0
    for raw, is_last in _chunks(path):
        if is_first := decoder is None:
            encoding = _encoding_of(raw, encoding)
            decoder = codecs.getincrementaldecoder(encoding)()
        num_bytes += len(raw)
        try:
            text = held + decoder.decode(raw, is_last)
        except UnicodeError as err:
            raise _undecodable(path, err, encoding=encoding, num_bytes=num_bytes, start=start, reading=reading) from err
        findings: dict[str, int] = {}
        if is_first and text.startswith("\ufeff"):
            text, findings[BYTE_ORDER_MARK] = text[1:], 1
        elif is_first and encoding in ("utf-16", "utf-32") and _starts_with_mark(raw):
            findings[BYTE_ORDER_MARK] = 1
        held = ""
        if text.endswith("\r") and not is_last:  # half a CRLF, perhaps
            text, held = text[:-1], "\r"
        if "\r" in text:
            findings[LINE_ENDS] = text.count("\r")
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        if (nul := text.find("\0")) >= 0:
            raise _binary(path, f"NUL on line {line_at(path, start, reading) + text[:nul].count(LINE_END)}")
        if text or findings:
            yield TextPart(text, start, findings)
        start += len(text)


def line_of(path: Path, part: TextPart, offset: int, reading: Reading) -> int:
    """Returns the number of the line, from 1, that holds a character of a part."""
    if len(part.lines):
        return int(part.lines[np.searchsorted(part.ends, offset, side="right")])
    return line_at(path, part.place(offset), reading)


def line_at(path: Path, start: int, reading: Reading) -> int:
    """Returns the number of the line, from 1, that holds a character of a text that could be read up to there."""
    line = 1
    parts = text_parts(path, reading) if start else iter(())
    for part in parts:
        line += part.text[: start - part.start].count(LINE_END)
        if part.start + len(part.text) >= start:
            break  # what follows may be what cannot be read
    return line


def read_text(path: Path, reading: Reading) -> str:
    """Reads a whole text file by the same rules. Raises as `text_parts` does."""
    return "".join(part.text for part in text_parts(path, reading))


def write_text(path: Path, text: str) -> None:
    """Writes a text file in UTF-8; it appears whole or not at all. Raises SettingError if it cannot be written."""
    write_atomically(path, lambda beside: _write(beside, text.encode("utf-8", "surrogatepass")))


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _chunks(path: Path) -> Iterator[tuple[bytes, bool]]:
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
        if kind != stat.S_IFREG:  # opening a FIFO would wait for ever
            raise CorpusError(f"{path}: not a regular file ({_KINDS.get(kind, 'a device')})")
        with path.open("rb") as file:
            raw = file.read(CHUNK_BYTES)
            while True:
                following = file.read(CHUNK_BYTES)
                yield raw, not following
                if not following:
                    return
                raw = following
    except OSError as err:
        raise CorpusError(f"{path}: cannot be read ({reason(err)})") from err


def _starts_with_mark(raw: bytes) -> bool:
    return any(raw.startswith(mark) for mark, _ in _MARKS)


def _encoding_of(raw: bytes, encoding: str) -> str:
    name = codecs.lookup(encoding).name
    if name in ("utf-8", "utf-8-sig"):
        return next((marked for mark, marked in _MARKS if raw.startswith(mark)), "utf-8")
    return name


def _undecodable(
    path: Path, err: UnicodeError, *, encoding: str, num_bytes: int, start: int, reading: Reading
) -> CorpusError:
    if not isinstance(err, UnicodeDecodeError):
        return CorpusError(f"{path}: not {encoding} ({err})")
    is_wide = encoding.startswith(("utf-16", "utf-32"))
    if not is_wide and b"\0" in err.object:
        return _binary(path, f"NUL at byte {num_bytes - len(err.object) + err.object.index(0)}")
    offset = num_bytes - len(err.object) + err.start  # err.object is what the decoder held back, then the chunk
    where = f"0x{err.object[err.start]:02x} at byte {offset}"
    if not is_wide:
        line = line_at(path, start, reading) + err.object[: err.start].count(LINE_END.encode())
        where += f", line {line}"
    hint = "say which encoding it is in, such as --encoding latin-1, cp1252, koi8-r, gbk or shift_jis"
    return CorpusError(f"{path}: not {encoding} ({where})", hint=hint)


def _binary(path: Path, where: str) -> CorpusError:
    hint = "a text holds no NUL; UTF-16 without a byte order mark needs --encoding utf-16-le or utf-16-be"
    return CorpusError(f"{path}: binary, not text ({where})", hint=hint)
