"""Finds the ends of documents inside a text file: at every line end, at blank lines, or at a separator.

Text between two documents is part of neither. A separator at the end of a line includes that line's end. A file is read
part by part. The end of a part that may be the beginning of a separator, or of a blank line, is held back until the
next part is known; no more is ever held back than that.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from gen.codec import NO_ENDS
from gen.codecs.text.files import LINE_END, TextPart, text_parts
from gen.codecs.text.forms import normalised
from gen.codecs.text.tables.parts import is_table, table_parts
from gen.config import Reading

_BLANK_LINES = re.compile(r"\n(?:[ \t]*\n)+")
_LEADING_BLANK_LINES = re.compile(r"(?:[ \t]*\n)*")
_BLANKS = " \t"
NO_SEPARATOR = "files without the separator"


class _Found(NamedTuple):
    """The gaps between documents in a text."""

    first: int  # the text before it belongs to no document
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    decided: int  # the end of the text in which all gaps are known


class _Finder(Protocol):
    """Finds gaps; takes a file's text in order, each time with the undecided end of the text before."""

    def find(self, text: str, *, is_last: bool) -> _Found: ...
    def keep(self, text: str, found: _Found) -> str:
        """Returns the decided text without the gaps."""
        ...


def document_parts(path: Path, reading: Reading) -> Iterator[TextPart]:
    """Reads a text file as `text_parts` does, with the ends of documents. Raises as it does."""
    if is_table(path, reading):
        return table_parts(path, reading)
    parts = text_parts(path, reading)
    if reading.documents in ("auto", "files"):
        return parts
    return _split(parts, _finder(normalised(reading.documents, reading.normalize)))


def _finder(documents: str) -> _Finder:
    if documents == "lines":
        return _Lines()
    if documents == "blank":
        return _Paragraphs()
    return _Separators(documents.replace("\r\n", LINE_END).replace("\r", LINE_END))


def _split(parts: Iterator[TextPart], finder: _Finder) -> Iterator[TextPart]:
    held, start = "", 0
    is_parted = False
    part = next(parts, None)
    while part is not None:
        following = next(parts, None)
        text = held + part.text
        found = finder.find(text, is_last=following is None)
        gaps = found.stops - found.starts
        ends = found.starts - found.first - (np.cumsum(gaps) - gaps)
        kept = finder.keep(text, found)
        is_parted = is_parted or len(ends) > 0
        is_in_vain = following is None and not is_parted and isinstance(finder, _Separators)
        findings = {**part.findings, NO_SEPARATOR: 1} if is_in_vain else part.findings
        if kept or len(ends) or findings:
            yield TextPart(kept, start + found.first, findings, ends, gaps)
        held, start, part = text[found.decided :], start + found.decided, following


class _Lines:
    """Every line end."""

    def find(self, text: str, *, is_last: bool) -> _Found:  # noqa: ARG002 - a line end is always decided
        ends = _indices(text, LINE_END) if LINE_END in text else NO_ENDS
        return _Found(0, ends, ends + 1, len(text))

    def keep(self, text: str, found: _Found) -> str:  # noqa: ARG002 - all line ends were found
        return text.replace(LINE_END, "")


class _Paragraphs:
    """One or more lines of nothing but blanks and tabs; also before the first line and after the last."""

    def __init__(self) -> None:
        self._is_between = True  # nothing but blank lines has come since the last document

    def find(self, text: str, *, is_last: bool) -> _Found:
        padded = text + 2 * LINE_END if is_last else text
        leading = _LEADING_BLANK_LINES.match(padded) if self._is_between else None
        first = leading.end() if leading else 0
        spans = [match.span() for match in _BLANK_LINES.finditer(padded, first)]
        stop = spans[-1][1] if spans else first
        self._is_between = (bool(spans) or self._is_between) and not padded[stop:].strip(_BLANKS)
        starts, stops = np.minimum(_columns(spans), len(text))
        return _Found(min(first, len(text)), starts, stops, len(text) if is_last else self._decided(text, stop))

    def _decided(self, text: str, stop: int) -> int:
        """Returns the start of the blanks at the end, with a line end before them, which may be a blank line."""
        if self._is_between:
            return stop
        decided = len(text.rstrip(_BLANKS))
        return decided - 1 if text[:decided].endswith(LINE_END) else len(text)

    def keep(self, text: str, found: _Found) -> str:
        return _without_gaps(text, found)


class _Separators:
    """A separator, with the end of the line if it stands there."""

    def __init__(self, separator: str) -> None:
        self._size = len(separator)
        self._pattern = re.compile(re.escape(separator) + ("" if separator.endswith(LINE_END) else f"{LINE_END}?"))

    def find(self, text: str, *, is_last: bool) -> _Found:
        decided = len(text) if is_last else max(0, len(text) - self._size)
        spans = [span for match in self._pattern.finditer(text) if (span := match.span())[0] < decided]
        starts, stops = _columns(spans)
        return _Found(0, starts, stops, max(decided, spans[-1][1] if spans else 0))

    def keep(self, text: str, found: _Found) -> str:
        return _without_gaps(text, found)


def _indices(text: str, character: str) -> NDArray[np.int64]:
    """Returns the indices of an ASCII character."""
    data = text.encode("utf-8" if text.isascii() else "utf-32-le", "surrogatepass")
    return np.flatnonzero(np.frombuffer(data, np.uint8 if text.isascii() else np.dtype("<u4")) == ord(character))


def _columns(spans: list[tuple[int, int]]) -> NDArray[np.int64]:
    """Returns the (2, N) starts and stops."""
    return np.array(spans, np.int64).reshape(-1, 2).T


def _without_gaps(text: str, found: _Found) -> str:
    starts = (found.first, *found.stops.tolist())
    stops = (*found.starts.tolist(), found.decided)
    return "".join(text[start:stop] for start, stop in zip(starts, stops, strict=True))
