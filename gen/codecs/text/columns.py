"""Reads files of two columns, as the shared tasks of CoNLL have them: a token and its tag a line.

    # a comment
    EU      B-ORG
    rejects O

    Peter   B-PER

The token is the first column and the tag the last; columns between them are not read. Columns are separated by a tab,
or by blanks in a line without a tab; every line of a file has the same number of them. Blank lines stand between
sentences. Lines that begin with `-DOCSTART-` are skipped, and so are comments: lines without a tab that begin with `#`
and a blank, or are one word that begins with `#`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from gen.codecs.text.files import LINE_END, text_parts
from gen.config import Reading
from gen.errors import CorpusError

DOCUMENT_START = "-DOCSTART-"
COMMENTS = "comment lines skipped"
MAX_SHOWN = 30  # characters of a line in an error
HINT = "a token, a tab and its tag a line, and blank lines between sentences"


class TaggedWords(NamedTuple):
    """A part of a file of two columns."""

    words: list[str]
    tags: list[str]  # one a word
    ends: list[int]  # ascending: a sentence ends before words[end]
    findings: Counter[str]


def tagged_parts(path: Path, reading: Reading) -> Iterator[TaggedWords]:
    """Reads a file of two columns part by part. Raises CorpusError as `text_parts` does, or with the number of a line
    that has no tag, or another number of columns than the lines before.
    """
    reader, held = _Reader(path), ""
    for part in text_parts(path, reading):
        *lines, held = (held + part.text).split(LINE_END)
        yield reader.push(lines, part.findings)
    if held:
        yield reader.push([held], {})


def columns_of(line: str) -> list[str]:
    """Returns the columns of a line: two at least, the first and the last not empty. Raises CorpusError if not."""
    columns = [column.strip() for column in line.split("\t")] if "\t" in line else line.split()
    if len(columns) < 2 or not columns[0] or not columns[-1]:
        raise CorpusError(f"text: {_without_tag(line)}", hint=HINT)
    return columns


class _Reader:
    """Reads the lines of a file in order."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._line = 0
        self._num_columns: int | None = None
        self._is_in_sentence = False

    def push(self, lines: list[str], findings: Mapping[str, int]) -> TaggedWords:
        """Takes the next lines."""
        part = TaggedWords([], [], [], Counter(findings))
        for line in lines:
            self._line += 1
            if not line or line.isspace() or line.startswith(DOCUMENT_START):
                if self._is_in_sentence:
                    part.ends.append(len(part.words))
                self._is_in_sentence = False
            elif line[0] == "#" and _is_comment(line) and not self._is_token(line):
                part.findings[COMMENTS] += 1
            else:
                token, tag = self._columns(line)
                part.words.append(token)
                part.tags.append(tag)
                self._is_in_sentence = True
        return part

    def _is_token(self, line: str) -> bool:
        """Tells whether a line within a sentence has as many columns as the others, so that its token is "#"."""
        return self._is_in_sentence and len(line.split()) == self._num_columns

    def _columns(self, line: str) -> tuple[str, str]:
        try:
            columns = columns_of(line)
        except CorpusError as err:
            raise CorpusError(f"{self._path}: {_without_tag(line, f', line {self._line}')}", hint=HINT) from err
        if self._num_columns not in (None, len(columns)):
            where = f"{len(columns)} on line {self._line}, {self._num_columns} before"
            raise CorpusError(f"{self._path}: not as many columns as on other lines ({where})", hint=HINT)
        self._num_columns = len(columns)
        return columns[0], columns[-1]


def _is_comment(line: str) -> bool:
    return "\t" not in line and (line[1:2] in ("", " ") or len(line.split()) == 1)


def _without_tag(line: str, where: str = "") -> str:
    shown = line.strip()
    return f"a token without a tag ({shown[:MAX_SHOWN]}{'...' if len(shown) > MAX_SHOWN else ''}{where})"
