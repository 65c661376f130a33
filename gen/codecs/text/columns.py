"""Reads files of two columns, as the shared tasks of CoNLL have them: a token and its tag a line.

    # a comment
    EU      B-ORG
    rejects O

    Peter   B-PER

The token is the first column and the tag the last; columns between them are not read. Columns are separated by a tab,
or by blanks in a line without a tab; every line of a file has the same number of them. A no-break space, like every
space beyond ASCII, is a character of a token, and so is a blank between tabs. Blank lines stand between sentences.

Lines that begin with `-DOCSTART-` are skipped, and so are comments. Like a comment looks a line without a tab that
begins with `#` and a blank, or is one word that begins with `#`. It is one where the line before it has a tab, and
outside a sentence. Within a sentence whose columns are separated by blanks, it is a token if it has as many columns as
the other lines.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from gen.codecs.text.files import LINE_END, text_parts
from gen.config import Reading
from gen.errors import CorpusError

DOCUMENT_START = "-DOCSTART-"
BLANKS = " \t\v\f"  # and no other: str.split() would cut at no-break spaces, too
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
    columns = [column.strip(BLANKS) for column in line.split("\t")] if "\t" in line else _between_blanks(line)
    if len(columns) < 2 or not columns[0] or not columns[-1]:
        raise CorpusError(f"text: {_without_tag(line)}", hint=HINT)
    return columns


def words_of(line: str) -> list[str]:
    """Returns the words of a line of plain text, which has no tags: what stands between tabs, or else between blanks.

    So words with a blank inside can be asked for as they can be learnt.
    """
    if "\t" not in line:
        return _between_blanks(line)
    return [word for part in line.split("\t") if (word := part.strip(BLANKS))]


class _Reader:
    """Reads the lines of a file in order."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._line = 0
        self._num_columns: int | None = None
        self._is_in_sentence = False
        self._has_tabs = False  # the last line with a tag

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
        """Tells whether a line within a sentence, all without tabs, has as many columns as others: its token is "#"."""
        return self._is_in_sentence and not self._has_tabs and len(_between_blanks(line)) == self._num_columns

    def _columns(self, line: str) -> tuple[str, str]:
        try:
            columns = columns_of(line)
        except CorpusError as err:
            raise CorpusError(f"{self._path}: {_without_tag(line, f', line {self._line}')}", hint=HINT) from err
        if self._num_columns not in (None, len(columns)):
            where = f"{len(columns)} on line {self._line}, {self._num_columns} before"
            raise CorpusError(f"{self._path}: not as many columns as on other lines ({where})", hint=HINT)
        self._num_columns, self._has_tabs = len(columns), "\t" in line
        return columns[0], columns[-1]


_BLANK = re.compile(f"[{BLANKS}]+")


def _is_comment(line: str) -> bool:
    return "\t" not in line and (line[1:2] in ("", " ") or len(_between_blanks(line)) == 1)


def _between_blanks(line: str) -> list[str]:
    return [word for word in _BLANK.split(line) if word]


def _without_tag(line: str, where: str = "") -> str:
    shown = line.strip()
    return f"a token without a tag ({shown[:MAX_SHOWN]}{'...' if len(shown) > MAX_SHOWN else ''}{where})"
