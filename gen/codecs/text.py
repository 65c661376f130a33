"""The `char` codec: every code point of the corpus is a symbol.

Nothing is normalised but what `gen.codecs.textfile` states; a character outside the alphabet is an error that names it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from gen.codec import BEGIN, END, NOTHING_ASKED, Envelope, IdArray, Part, Vocab
from gen.codecs.documents import document_parts
from gen.codecs.plain import PlainText
from gen.codecs.textfile import line_of, read_text, write_text
from gen.config import Reading
from gen.errors import CheckpointError, CorpusError, SettingError

VERSION = 1
NUM_CODE_POINTS = 0x110000
_HINT_RANGES = 24


class UnknownCharacterError(CorpusError):
    """A text of a corpus holds a character outside the alphabet of the model that shall read it."""


@dataclass(frozen=True)
class CharCodec(PlainText):
    """Text as code points.

    Args:
        alphabet: the distinct characters in ascending order; a character's place is its id.
        reading: how files become text; no part of the spec, for ids do not tell.
    """

    alphabet: str
    reading: Reading = field(default=Reading(), compare=False)

    name: ClassVar[str] = "char"
    unit: ClassVar[str] = "char"
    suffix: ClassVar[str] = ".txt"
    controls: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def build(cls, text: str, reading: Reading = Reading()) -> Self:
        """Returns the codec whose alphabet is the characters of a text."""
        return cls("".join(sorted(set(text))), reading)

    @classmethod
    def from_spec(cls, spec: dict[str, Any]) -> Self:
        """Returns the codec that `spec` describes. Raises CheckpointError if it describes none."""
        alphabet = spec.get("alphabet")
        if not isinstance(alphabet, str) or list(alphabet) != sorted(set(alphabet)):
            raise CheckpointError("codec: not an alphabet (characters missing, repeated or out of order)")
        return cls(alphabet)

    @cached_property
    def vocab(self) -> Vocab:
        """One symbol a character, then Begin and End."""
        return Vocab((*self.alphabet, BEGIN, END))

    @cached_property
    def _table(self) -> IdArray:
        """(0x110000,) from code point to id; the size of the alphabet where it is unknown."""
        size = len(self.alphabet)
        table = np.full(NUM_CODE_POINTS, size, np.min_scalar_type(size))
        table[code_points(self.alphabet)] = np.arange(size)
        return table

    def knowing(self, spec: Mapping[str, Any]) -> Self:
        """Returns the codec whose alphabet has the other's characters as well."""
        alphabet = {*self.alphabet, *self.from_spec(dict(spec)).alphabet}
        return self if len(alphabet) == len(self.alphabet) else replace(self, alphabet="".join(sorted(alphabet)))

    def read(self, path: Path) -> str:
        """Reads a text file. Raises CorpusError."""
        return read_text(path, self.reading)

    def write(self, path: Path, whole: str) -> None:
        """Writes a text file in UTF-8, whole or not at all."""
        write_text(path, whole)

    def encode(self, whole: str) -> IdArray:
        """Returns the (N,) ids of a text. Raises SettingError at the first unknown character."""
        ids, unknown = self._lookup(whole)
        if unknown is not None:
            raise SettingError(f"prompt: {_unknown(whole[unknown])}", hint=self._hint())
        return ids

    def encode_file(self, path: Path) -> Iterator[Part]:
        """Reads and encodes a text file part by part. Raises CorpusError."""
        for part in document_parts(path, self.reading):
            ids, unknown = self._lookup(part.text)
            if unknown is not None:
                line = line_of(path, part, unknown, self.reading)
                where = _unknown(part.text[unknown], line=line)
                raise UnknownCharacterError(f"{path}: {where}", hint=self._hint())
            yield Part(ids, part.findings, part.ends, part.labels)

    def join(self, pieces: Iterable[str]) -> str:
        """Joins decoded characters."""
        return "".join(pieces)

    def decoder(self) -> "CharDecoder":
        """Returns a decoder that gives each character at once."""
        return CharDecoder(self.alphabet)

    def grammar(self, asked: Mapping[str, Envelope] = NOTHING_ASKED) -> None:  # noqa: ARG002 - it has no controls
        """Returns None: every sequence of characters is a text."""
        return

    def units(self) -> NDArray[np.int64]:
        """Returns (V,): every character is a unit, Begin and End are none."""
        units = np.ones(len(self.vocab), np.int64)
        units[-2:] = 0
        return units

    def spec(self) -> dict[str, Any]:
        """Returns the codec as JSON data."""
        return {"name": self.name, "version": VERSION, "alphabet": self.alphabet}

    def _lookup(self, text: str) -> tuple[IdArray, int | None]:
        """Returns the ids, and the place of the first unknown character."""
        size = len(self.alphabet)
        ids = self._table.take(code_points(text))
        if len(ids) and ids.max() == size:
            return ids, int(np.argmax(ids == size))
        return ids.astype(np.min_scalar_type(max(size - 1, 0)), copy=False), None

    def _hint(self) -> str:
        return f"the alphabet has {len(self.alphabet)} characters: {_ranges(self.alphabet)}"


class CharDecoder:
    """Gives each id's character at once."""

    def __init__(self, alphabet: str) -> None:
        self._alphabet = alphabet

    def push(self, token: int) -> tuple[str, ...]:
        """Returns the id's character."""
        return (self._alphabet[token],)

    def finish(self) -> tuple[str, ...]:
        """Returns nothing: no character is ever held back."""
        return ()


def code_points(text: str) -> NDArray[np.uint32]:
    """Returns the (N,) code points of a text; lone surrogates count as themselves."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.dtype("<u4"))


def _unknown(character: str, *, line: int | None = None) -> str:
    place = "" if line is None else f", line {line}"
    return f"character not in the model's vocabulary ({character!r}, U+{ord(character):04X}{place})"


def _ranges(alphabet: str) -> str:
    """Shows an alphabet in a line: `\\n ! ' , - . 0-9 A-Z a-z`; a long one is cut."""
    ranges: list[list[str]] = []
    for character in alphabet:
        if ranges and ord(character) == ord(ranges[-1][-1]) + 1:
            ranges[-1][1:] = [character]
        else:
            ranges.append([character])
    shown = ["-".join(map(_shown, ends)) for ends in ranges[:_HINT_RANGES]]
    return " ".join(shown + ["..."] * (len(ranges) > _HINT_RANGES))


def _shown(character: str) -> str:
    return "space" if character == " " else repr(character)[1:-1]
