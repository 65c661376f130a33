"""Reading and writing text files, by the rules that every text codec shares.

    compressed        a file by gzip, bzip2 or xz is read as what it holds
    byte order mark   decides the encoding where UTF-8 is asked for (UTF-8, UTF-16, UTF-32); it is no part of the text,
                      nor is one that stands inside, where files were joined
    bad bytes         what is not valid in the encoding is an error, or, if that is asked for, replaced or skipped
    line ends         CRLF and lone CR become LF
    NUL               a text that holds one is taken for a binary file and refused
    normal form       as it is, or NFC or NFKC if that is asked for
    anything else     is kept as it is

Files are read in small parts, so that the size of a file does not matter.
"""

import codecs
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gen.codec import NO_ENDS
from gen.codecs.text.foreign import Foreign, foreign_kind
from gen.codecs.text.forms import Normaliser, form_of, num_changed
from gen.codecs.text.undecodable import (
    MAX_SHOWN,
    SAMPLE_BYTES,
    Fault,
    Place,
    UndecodableError,
    binary,
    conversion,
    handler_name,
    num_faults,
    undecodable,
    without_mark,
)
from gen.config import Reading
from gen.errors import CorpusError
from gen.files.compressed import open_unpacked, read_head
from gen.files.disk import reason, special_file, write_atomically

CHUNK_BYTES = 1 << 15  # larger parts are slower: their arrays are given back to the system each time
LINE_END = "\n"
MARK = "\ufeff"
LINE_ENDS = "line ends made LF"
BYTE_ORDER_MARK = "byte order mark removed"
INNER_MARKS = "byte order marks inside left out"

Chunks = Iterator[tuple[bytes, bool]]

# UTF-32 first: its little-endian mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class TextPart(NamedTuple):
    """A part of a text file."""

    text: str
    start: int  # the number of characters before it
    findings: Mapping[str, int]
    ends: NDArray[np.int64] = NO_ENDS  # as in `gen.codec.Part`
    gaps: NDArray[np.int64] = NO_ENDS  # the number of characters left out after each of these documents
    labels: Sequence[str | None] | None = None  # as in `gen.codec.Part`
    lines: NDArray[np.int64] = NO_ENDS  # of a table: the line of the file on which each of these documents begins

    def file_offset(self, offset: int) -> int:
        """Returns the number of characters of the file before a character of this part."""
        return self.start + offset + int(self.gaps[self.ends <= offset].sum())


def text_parts(path: Path, reading: Reading, chunks: Chunks | None = None) -> Iterator[TextPart]:
    """Reads a text file part by part. Raises CorpusError if it cannot be read, is binary or not in its encoding.

    Args:
        chunks: of a text that is still being written to the file: its bytes, and whether they are the last. The file
            itself is then read only to describe an error.
    """
    start, held = 0, ""
    form = form_of(reading.normalize)
    normaliser = None if form is None else Normaliser(form)
    for decoded, is_last, findings in _decoded(path, reading, chunks):
        text = held + decoded
        held = ""
        if text.endswith("\r") and not is_last:  # perhaps half a CRLF
            text, held = text[:-1], "\r"
        if "\r" in text:
            findings[LINE_ENDS] = text.count("\r")
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        if normaliser is not None:
            before, text = normaliser.push(text, is_last=is_last)
            if num := num_changed(before, text):
                findings[f"characters changed by --normalize {reading.normalize}"] = num
        if text or findings:
            yield TextPart(text, start, findings)
        start += len(text)


def line_of(path: Path, part: TextPart, offset: int, reading: Reading) -> int:
    """Returns the number of the line, from 1, that holds a character of a part."""
    if len(part.lines):
        return int(part.lines[np.searchsorted(part.ends, offset, side="right")])
    return line_at(path, part.file_offset(offset), reading)


def line_at(path: Path, start: int, reading: Reading) -> int:
    """Returns the number of the line, from 1, that holds a character of a text that could be read up to there."""
    return _place((part.text for part in text_parts(path, reading)), start).line


def read_text(path: Path, reading: Reading) -> str:
    """Reads a whole text file, such as a prompt, by the same rules. Raises as `text_parts` does."""
    try:
        return "".join(part.text for part in text_parts(path, reading))
    except CorpusError as err:
        if (foreign := _foreign(path)) is not None and not foreign.is_characters:
            raise CorpusError(f"{path}: {foreign.name}, not text", hint=foreign.hint) from err
        if not isinstance(err, UndecodableError):
            raise
        raise CorpusError(str(err), hint=f"make it UTF-8: {conversion(path, err.encoding)}") from err


def write_text(path: Path, text: str) -> None:
    """Writes a text file in UTF-8; it appears whole or not at all. Raises SettingError if it cannot be written."""
    write_atomically(path, lambda beside: beside.write_bytes(text.encode("utf-8", "surrogatepass")))


def _foreign(path: Path) -> Foreign | None:
    try:
        return foreign_kind(read_head(path).data, suffix=path.suffix)
    except (CorpusError, OSError):
        return None


def _decoded(path: Path, reading: Reading, coming: Chunks | None = None) -> Iterator[tuple[str, bool, dict[str, int]]]:
    """Yields the characters of a file without byte order marks, whether they are the last, and the findings."""
    encoding = reading.encoding
    decoder: codecs.IncrementalDecoder | None = None
    recent: deque[bytes] = deque(maxlen=SAMPLE_BYTES // CHUNK_BYTES)
    start = num_bytes = 0
    chunks = _chunks(path) if coming is None else coming
    for raw, is_last in chunks:
        if is_first := decoder is None:
            encoding = _encoding_of(raw, encoding)
            decoder = codecs.getincrementaldecoder(encoding)(handler_name(reading.errors))
        recent.append(raw)
        num_bytes += len(raw)
        findings: dict[str, int] = {}
        num_before = num_faults()
        try:
            text = decoder.decode(raw, is_last)
        except UnicodeError as err:
            following = islice(chunks, 2 if coming is None else 0)  # the next of a pipe may take for ever
            sample = b"".join((*recent, *(after for after, _ in following)))
            text = _up_to(decoder, raw, err)
            raise _fault(path, err, reading, encoding, text=text, start=start, offset=num_bytes, sample=sample) from err
        if num := num_faults() - num_before:
            findings[f"bytes invalid in {encoding} {'replaced' if reading.errors == 'replace' else 'skipped'}"] = num
        text = _without_marks(text, findings, is_first=is_first, had_mark=is_first and _is_marked(raw, encoding))
        if "\0" in text:
            place = _place(_texts(path, reading), start).push(text[: text.index("\0")])
            raise binary(path, f"on line {place.line}", b"".join(recent), encoding)
        yield text, is_last, findings
        start += len(text)


def _without_marks(text: str, findings: dict[str, int], *, is_first: bool, had_mark: bool) -> str:
    """Returns the text without byte order marks, and notes them in `findings`."""
    if is_first and text.startswith(MARK):
        text, had_mark = text[1:], True
    if had_mark:
        findings[BYTE_ORDER_MARK] = 1
    if MARK in text:
        findings[INNER_MARKS] = text.count(MARK)
        text = text.replace(MARK, "")
    return text


def _chunks(path: Path) -> Chunks:
    try:
        if kind := special_file(path.stat().st_mode):  # opening a FIFO would wait for ever
            raise CorpusError(f"{path}: not a regular file ({kind})")
        with open_unpacked(path) as file:
            raw = file.read(CHUNK_BYTES)
            while True:
                following = file.read(CHUNK_BYTES)
                yield raw, not following
                if not following:
                    return
                raw = following
    except OSError as err:
        raise CorpusError(f"{path}: cannot be read ({reason(err)})") from err


def _is_marked(raw: bytes, encoding: str) -> bool:
    """Returns whether a mark stands at the beginning that the decoder removes itself."""
    return encoding in ("utf-16", "utf-32") and any(raw.startswith(mark) for mark, _ in _MARKS)


def _encoding_of(raw: bytes, encoding: str) -> str:
    name = codecs.lookup(encoding).name
    if name in ("utf-8", "utf-8-sig"):
        return next((marked for mark, marked in _MARKS if raw.startswith(mark)), "utf-8")
    return name


def _up_to(decoder: codecs.IncrementalDecoder, raw: bytes, err: UnicodeError) -> str:
    """Returns the text of a chunk before an error; the decoder cannot be used again."""
    if not isinstance(err, UnicodeDecodeError):
        return ""
    num_held = len(err.object) - len(raw)  # of the chunk before
    try:
        return decoder.decode(raw[: max(0, err.start - num_held)])
    except UnicodeError:
        return ""


def _fault(
    path: Path,
    err: UnicodeError,
    reading: Reading,
    encoding: str,
    *,
    text: str,
    start: int,
    offset: int,
    sample: bytes,
) -> CorpusError:
    """Returns the error for a chunk that cannot be decoded.

    Args:
        text: what could be decoded of the chunk.
        start: how many characters stand before it.
        offset: where the chunk ends, in bytes.
    """
    if not isinstance(err, UnicodeDecodeError):
        return without_mark(path, encoding, sample)
    first = offset - len(err.object)  # err.object is the bytes that the decoder held back, then the chunk
    if not encoding.startswith(("utf-16", "utf-32")) and b"\0" in err.object:
        return binary(path, f"at byte {first + err.object.index(0)}", sample, encoding)
    place = _place(_texts(path, reading), start).push(text.replace(MARK, ""))
    what = err.object[err.start : err.end]
    after = err.object[err.end : err.end + 4 * MAX_SHOWN]
    return undecodable(Fault(path, encoding, first + err.start, what, place, after, sample))


def _texts(path: Path, reading: Reading) -> Iterator[str]:
    return (text for text, _, _ in _decoded(path, reading))


def _place(texts: Iterator[str], start: int) -> Place:
    """Returns the place after `start` characters; the text after it, which may be unreadable, is not read."""
    place = Place()
    while start > 0 and (text := next(texts, None)) is not None:
        place.push(text[:start])
        start -= len(text)
    return place
