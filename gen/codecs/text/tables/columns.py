"""Finds the columns of a table that hold the texts and the labels, and whether its first row names them."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from gen.config import Reading
from gen.errors import CorpusError

# Where no column is named, the first of these that a table has holds the texts.
TEXT_NAMES = (
    *("text", "content", "body", "sentence", "document", "message", "lyrics", "poem", "verse", "quote", "review"),
    *("comment", "article", "story", "tweet", "post", "utterance", "description", "title"),
)
_OTHER_NAMES = ("label", "class", "category", "genre", "author", "sentiment", "target", "score", "rating", "date", "id")
_NAMES = frozenset((*TEXT_NAMES, *_OTHER_NAMES))
_NAME = re.compile(r"[^\W\d][\w .:/()#-]{0,39}")
_NUMBER = re.compile(r"\s*[-+]?[\d.,]+(e[-+]?\d+)?%?\s*", re.IGNORECASE)
_SHOWN = 12  # columns in an error
_MUCH_LONGER = 2  # times its name is every text of a column


class Columns(NamedTuple):
    """The columns that are read.

    Args:
        names: of all columns; their numbers where the first row does not name them.
        has_header: whether it does.
        text: the index of the texts among the names.
        label: likewise; None if there are no labels, or they are not asked for.
    """

    names: tuple[str, ...]
    has_header: bool
    text: int
    label: int | None

    def describe(self) -> str:
        """Returns in a few words what is read."""
        label = "" if self.label is None else f", labels of column {shown(self.names[self.label])}"
        return f"column {shown(self.names[self.text])}{label}"


def has_header(records: Sequence[Sequence[str]], reading: Reading) -> bool:
    """Returns whether the first row of a table names its columns.

    It does if a column is asked for by a name there. Else all its fields look like names, and stand only there; and one
    of them is a usual one, or they differ and one names numbers, or is much shorter than whatever is below it.
    """
    if not records:
        return False
    if names_columns(records[0], reading):
        return True
    first, rest = [field.strip() for field in records[0]], records[1:]
    if not _are_like_names(first):
        return False
    columns = [[row[index].strip() for row in rest if index < len(row)] for index in range(len(first))]
    if any(name in column for name, column in zip(first, columns, strict=True)):
        return False
    if not _NAMES.isdisjoint(field.casefold() for field in first):
        return True
    are_different = len({*first}) == len(first)
    return are_different and any(_is_named(*both) for both in zip(first, columns, strict=True) if any(both[1]))


def names_columns(record: Sequence[str], reading: Reading) -> bool:
    """Returns whether a row of several fields certainly names columns: one that is asked for, or usual ones."""
    fields = [field.strip() for field in record]
    if len(fields) < 2:
        return False
    if {reading.text_column, reading.label_column} & {*fields}:
        return True
    return _are_like_names(fields) and len(_NAMES & {field.casefold() for field in fields}) > 1


def _are_like_names(fields: Sequence[str]) -> bool:
    return all(_NAME.fullmatch(field) for field in fields)


def _is_named(name: str, column: Sequence[str]) -> bool:
    if all(_NUMBER.fullmatch(field) for field in column if field):
        return True
    return min(len(field) for field in column) >= _MUCH_LONGER * len(name)


def choose_columns(path: Path, names: Sequence[str], reading: Reading, *, has_header: bool) -> Columns:
    """Returns the columns to read. Raises CorpusError if one that is asked for is missing, or it is not clear which."""
    label = None
    if reading.label_column is not None and reading.labels != "none":
        label = index_of(path, names, reading.label_column, "--label-column")
    if reading.text_column is not None:
        text = index_of(path, names, reading.text_column, "--text-column")
    else:
        text = _likely_text(path, names, label)
    if text == label:
        raise CorpusError(
            f"{path}: texts and labels in one column ({names[text]})", hint="--text-column, --label-column"
        )
    return Columns(tuple(names), has_header, text, label)


def index_of(path: Path, names: Sequence[str], asked: str, option: str) -> int:
    """Returns the index of a column by its name, or else by its number from 1. Raises CorpusError."""
    if names.count(asked) == 1:
        return names.index(asked)
    folded = [index for index, name in enumerate(names) if name.casefold() == asked.casefold()]
    if len(folded) == 1:
        return folded[0]
    if folded:
        raise _several(path, names, asked, option)
    if asked.isascii() and asked.isdecimal() and 1 <= int(asked) <= len(names):
        return int(asked) - 1
    raise CorpusError(f"{path}: no column {asked} (columns: {listed(names)})", hint=f"{option} NAME, or a number")


def _likely_text(path: Path, names: Sequence[str], label: int | None) -> int:
    others = [index for index in range(len(names)) if index != label]
    if len(others) == 1:
        return others[0]
    folded = [name.strip().casefold() for name in names]
    for name in TEXT_NAMES:
        found = [index for index in others if folded[index] == name]
        if len(found) > 1:
            raise _several(path, names, name, "--text-column")
        if found:
            return found[0]
    raise CorpusError(
        f"{path}: a table, but not clear which column holds the texts (columns: {listed(names)})",
        hint="--text-column NAME, or its number; --documents files reads the file as plain text",
    )


def _several(path: Path, names: Sequence[str], name: str, option: str) -> CorpusError:
    return CorpusError(
        f"{path}: several columns {shown(name)} (columns: {listed(names)})", hint=f"{option} takes a number, too"
    )


def listed(names: Sequence[str]) -> str:
    """Returns the names of columns for an error."""
    more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(shown, names[:_SHOWN])) + more


def shown(name: str) -> str:
    """Returns the name of a column in printable characters."""
    return name if name.isprintable() else repr(name)[1:-1]
