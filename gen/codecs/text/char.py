"""The `char` codec: every code point of the corpus is a symbol.

Text is kept as it is, except for the rules of `gen.codecs.text.files`. A character outside the alphabet is an error
that names it. Unicode can write the same letter in several normal forms (NFC: one code point, NFD: letter and accent).
So a prompt whose characters are not all in the alphabet is tried in these forms before it is refused.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from gen.codec import BEGIN, END, NOTHING_ASKED, Adapted, Envelope, IdArray, Part, Vocab
from gen.codecs.text.codec import TextCodec, normalize_of, normalize_spec
from gen.codecs.text.documents import document_parts
from gen.codecs.text.files import TextPart, line_of
from gen.codecs.text.forms import Form, MixedForms, in_form_of, normalised
from gen.config import Normalize, Reading
from gen.errors import CheckpointError, CorpusError, SettingError

VERSION = 1
NUM_CODE_POINTS = 0x110000
_HINT_RANGES = 24
UNKNOWN = "unknown character left out: "  # and the character: a finding
KNOWN_FORMS: tuple[Form, ...] = ("NFC", "NFD")


class UnknownCharacterError(CorpusError):
    """A text of a corpus holds a character outside the alphabet of the model that reads it."""


@dataclass(frozen=True)
class CharCodec(TextCodec):
    """Text as code points.

    Args:
        alphabet: the distinct characters in ascending order; a character's index is its id.
        reading: how files become text. It is not in the spec, because decoding does not depend on it.
        normalize: the normal form of Unicode into which every text and prompt is brought; "none" for no change.
    """

    alphabet: str
    reading: Reading = field(default=Reading(), compare=False)
    normalize: Normalize = "none"

    name: ClassVar[str] = "char"
    unit: ClassVar[str] = "char"
    skipping: ClassVar[str] = "--unknown skip leaves it out; "  # of the hint for an unknown character in a file

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
        return cls(alphabet, normalize=normalize_of(spec))

    @cached_property
    def vocab(self) -> Vocab:
        """One symbol a character, then Begin and End."""
        return Vocab((*self.alphabet, BEGIN, END))

    @cached_property
    def _table(self) -> IdArray:
        """(0x110000,) the id of every code point; the size of the alphabet stands for an unknown one."""
        size = len(self.alphabet)
        table = np.full(NUM_CODE_POINTS, size, np.min_scalar_type(size))
        table[code_points(self.alphabet)] = np.arange(size)
        return table

    @property
    def characters(self) -> str:
        """The characters that texts may hold."""
        return self.alphabet

    def merged_with(self, spec: Mapping[str, Any]) -> Self:
        """Returns the codec whose alphabet has the other's characters as well."""
        alphabet = {*self.alphabet, *self.from_spec(dict(spec)).alphabet}
        return self if len(alphabet) == len(self.alphabet) else replace(self, alphabet="".join(sorted(alphabet)))

    def encode(self, whole: str) -> IdArray:
        """Returns the (N,) ids of a text after `in_known_form`. Raises SettingError if a character is unknown."""
        known, _ = self.in_known_form(whole)
        ids, unknown = self._lookup(known)
        if unknown is not None:
            raise SettingError(f"prompt: {_unknown(known[unknown])}", hint=self._hint())
        return ids

    def in_known_form(self, whole: str) -> tuple[str, Form | None]:
        """Returns a text in a normal form whose characters are all in the alphabet, and that form.

        Returns None as the form if the text is unchanged: it has only known characters, or no form has.
        """
        whole = normalised(whole, self.normalize)
        if set(whole) <= self._known:
            return whole, None
        for form in KNOWN_FORMS:
            if set(changed := unicodedata.normalize(form, whole)) <= self._known:
                return changed, form
        return whole, None

    def adapted(self, prompt: str) -> Adapted[str]:
        """Returns a prompt `in_known_form`, with a line if that changed it."""
        known, form = self.in_known_form(prompt)
        return Adapted(known, (f"the prompt's characters as they stand, but in {form}: it is read so",) if form else ())

    def encode_file(self, path: Path) -> Iterator[Part]:
        """Reads and encodes a text file part by part. Raises CorpusError.

        An unknown character is an error, or, if `reading.unknown` says so, is left out and counted.
        """
        reading = in_form_of(self.reading, self.normalize)
        forms = MixedForms(self.alphabet)
        num_known = num_unknown = 0
        for part in self.parts(path, reading):
            ids, unknown = self._lookup(part.text)
            findings, ends = Counter(part.findings), part.ends
            if unknown is not None and reading.unknown == "error":
                line = line_of(path, part, unknown, reading)
                where = _unknown(part.text[unknown], line=line)
                raise UnknownCharacterError(f"{path}: {where}", hint=self._hint_for_file(part.text))
            if unknown is not None:
                is_known = ids < len(self.alphabet)
                left_out = _count_unknown(code_points(part.text)[~is_known])
                findings.update(left_out)
                num_unknown += left_out.total()
                ids = ids[is_known].astype(self._id_type, copy=False)
                ends = np.append(0, np.cumsum(is_known))[ends]  # counted in the ids that are left
            findings.update(forms.push(part.text))
            num_known += len(ids)
            yield Part(ids, findings, ends, part.labels)
        if found := forms.push("", is_last=True):
            yield Part(np.zeros(0, self._id_type), found)
        if num_unknown and not num_known:
            raise CorpusError(f"{path}: no character of it is in the model's vocabulary", hint=self._hint())

    def parts(self, path: Path, reading: Reading) -> Iterator[TextPart]:
        """Reads a file of a corpus as text, with the ends of its documents. Raises CorpusError."""
        return document_parts(path, reading)

    def decoder(self) -> "CharDecoder":
        """Returns a decoder that returns the character of each id at once."""
        return CharDecoder(self.alphabet)

    def grammar(self, asked: Mapping[str, Envelope] = NOTHING_ASKED) -> None:  # noqa: ARG002 - it has no controls
        """Returns None: every sequence of characters is a text."""
        return

    def spec(self) -> dict[str, Any]:
        """Returns the codec as JSON data."""
        return {"name": self.name, "version": VERSION, "alphabet": self.alphabet, **normalize_spec(self.normalize)}

    def _lookup(self, text: str) -> tuple[IdArray, int | None]:
        """Returns the (N,) ids, and the index of the first unknown character or None.

        The id of an unknown character is the size of the alphabet.
        """
        size = len(self.alphabet)
        ids = self._table.take(code_points(text))
        if len(ids) and ids.max() == size:
            return ids, int(np.argmax(ids == size))
        return ids.astype(self._id_type, copy=False), None

    @cached_property
    def _id_type(self) -> np.dtype[Any]:
        return np.min_scalar_type(max(len(self.alphabet) - 1, 0))

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.alphabet)

    def _hint_for_file(self, text: str) -> str:
        known, form = self.in_known_form(text)
        if form == "NFC" and set(known) <= self._known:
            return "--normalize nfc brings it into the form of the model's alphabet"
        return f"{self.skipping}{self._hint()}"

    def _hint(self) -> str:
        return f"the alphabet has {len(self.characters)} characters: {_ranges(self.characters)}"


class CharDecoder:
    """A `gen.codec.StreamDecoder` that returns the character of each id at once."""

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


def unknown_of(findings: Mapping[str, int]) -> dict[str, int]:
    """Returns which unknown characters were left out, and how often, by the findings of a corpus."""
    return {name.removeprefix(UNKNOWN): num for name, num in findings.items() if name.startswith(UNKNOWN)}


def _count_unknown(codes: NDArray[np.uint32]) -> Counter[str]:
    """Returns how often each unknown character is left out, as findings."""
    characters, counts = np.unique(codes, return_counts=True)
    return Counter({UNKNOWN + chr(code): int(num) for code, num in zip(characters, counts, strict=True)})


def _unknown(character: str, *, line: int | None = None) -> str:
    where = "" if line is None else f", line {line}"
    return f"character not in the model's vocabulary ({character!r}, U+{ord(character):04X}{where})"


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
