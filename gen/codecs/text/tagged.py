"""The `tagged` codec: sentences whose words have a tag each, spelt in characters.

    The  DET        T h e Tag_DET d o g Tag_NOUN
    dog  NOUN

A word is its characters, then the symbol of its tag. No blanks stand between words: the tag marks the end of a word. A
sentence is a document. `gen.codecs.text.columns` reads the files. Characters that are not in the alphabet become
`Unknown`, and tags that are not among those of the codec become `Tag`, so that every file of two columns can be read.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from gen.codec import BEGIN, END, NOTHING_ASKED, Envelope, IdArray, Part, Vocab
from gen.codecs.text.char import NUM_CODE_POINTS, code_points
from gen.codecs.text.codec import TextCodec, normalize_of, normalize_spec
from gen.codecs.text.columns import TaggedWords, columns_of, tagged_parts
from gen.codecs.text.files import LINE_END
from gen.codecs.text.forms import in_form_of, normalised
from gen.config import Normalize, Reading
from gen.errors import CheckpointError

VERSION = 1
UNKNOWN, TAG = "Unknown", "Tag"
REPLACEMENT = "\ufffd"
UNKNOWN_CHARACTERS = "characters that the model lacks, read as unknown"
UNKNOWN_TAGS = "tags that the model lacks"


@dataclass(frozen=True)
class TaggedCodec(TextCodec):
    """Words as code points, each word closed by its tag.

    The whole of a document is a text of two columns: a token, a tab and a tag a line.

    Args:
        alphabet: the distinct characters in ascending order; a character's index is its id.
        tags: their names in ascending order.
        reading: the options of reading files; no part of the spec, for ids do not tell.
        normalize: the normal form of Unicode in which all words are read.
    """

    alphabet: str
    tags: tuple[str, ...]
    reading: Reading = field(default=Reading(), compare=False)
    normalize: Normalize = "none"

    name: ClassVar[str] = "tagged"
    unit: ClassVar[str] = "word"

    @classmethod
    def from_spec(cls, spec: dict[str, Any]) -> Self:
        """Returns the codec that `spec` describes. Raises CheckpointError if it describes none."""
        alphabet, tags = spec.get("alphabet"), spec.get("tags")
        if not isinstance(alphabet, str) or list(alphabet) != sorted(set(alphabet)):
            raise CheckpointError("codec: not an alphabet (characters missing, repeated or out of order)")
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags) or tags != sorted(set(tags)):
            raise CheckpointError("codec: no list of tags (names missing, repeated or out of order)")
        return cls(alphabet, tuple(tags), normalize=normalize_of(spec))

    @cached_property
    def vocab(self) -> Vocab:
        """One symbol a character, Unknown, Tag for an unknown tag, one symbol a tag, then Begin and End."""
        return Vocab((*self.alphabet, UNKNOWN, TAG, *(f"{TAG}_{tag}" for tag in self.tags), BEGIN, END))

    @property
    def first_tag(self) -> int:
        """The lowest id of a tag: that of an unknown one. The id before it is that of an unknown character."""
        return len(self.alphabet) + 1

    def encode(self, whole: str) -> IdArray:
        """Returns the (N,) ids of a text of two columns, as if it were one sentence. Raises CorpusError."""
        lines = normalised(whole, self.normalize).split(LINE_END)
        rows = [columns_of(line) for line in lines if line]
        return self.encode_words([row[0] for row in rows], [row[-1] for row in rows])

    def encode_words(self, words: Sequence[str], tags: Sequence[str] | None = None) -> IdArray:
        """Returns the (N,) ids of words, each closed by its tag; None closes each by the symbol of an unknown tag."""
        characters = self._table[code_points("".join(words))]
        sizes = np.fromiter(map(len, words), np.int64, len(words))
        ends = np.cumsum(sizes) + np.arange(len(words))
        numbers = self._numbers
        ids = np.empty(len(characters) + len(words), np.min_scalar_type(len(self.vocab) - 3))
        is_tag = np.zeros(len(ids), np.bool_)
        is_tag[ends] = True
        ids[~is_tag] = characters
        ids[is_tag] = self.first_tag if tags is None else [numbers.get(tag, self.first_tag) for tag in tags]
        return ids

    def encode_file(self, path: Path) -> Iterator[Part]:
        """Reads and encodes a file of two columns part by part. Raises CorpusError."""
        for part in tagged_parts(path, in_form_of(self.reading, self.normalize)):
            ids = self.encode_words(part.words, part.tags)
            found = Counter({UNKNOWN_CHARACTERS: int(np.count_nonzero(ids == self.first_tag - 1))})
            found[UNKNOWN_TAGS] = int(np.count_nonzero(ids == self.first_tag))
            yield Part(ids, Counter(part.findings) + found, self._ends(part))

    def way(self, path: Path) -> None:
        """Returns nothing: sentences always stand between blank lines."""

    def decoder(self) -> "TaggedDecoder":
        """Returns a decoder that returns the character or the tag of each id at once."""
        return TaggedDecoder(self.alphabet, self.tags)

    def grammar(self, asked: Mapping[str, Envelope] = NOTHING_ASKED) -> None:  # noqa: ARG002 - it has no controls
        """Returns None: nothing is written with this codec."""
        return

    def units(self) -> NDArray[np.int64]:
        """Returns (V,) the words that each id completes: a tag completes one."""
        units = np.zeros(len(self.vocab), np.int64)
        units[self.first_tag : -2] = 1
        return units

    def merged_with(self, spec: Mapping[str, Any]) -> Self:
        """Returns the codec that has the other's characters and tags as well."""
        other = self.from_spec(dict(spec))
        alphabet, tags = {*self.alphabet, *other.alphabet}, {*self.tags, *other.tags}
        return replace(self, alphabet="".join(sorted(alphabet)), tags=tuple(sorted(tags)))

    def spec(self) -> dict[str, Any]:
        """Returns the codec as JSON data."""
        names = {"alphabet": self.alphabet, "tags": list(self.tags)}
        return {"name": self.name, "version": VERSION, **names, **normalize_spec(self.normalize)}

    def _ends(self, part: TaggedWords) -> NDArray[np.int64]:
        """Returns the ends of the sentences of a part, counted in ids."""
        sizes = np.cumsum([0, *(len(word) + 1 for word in part.words)])
        found: NDArray[np.int64] = sizes[np.array(part.ends, np.int64)]
        return found

    @cached_property
    def _table(self) -> IdArray:
        """(0x110000,) the id of every code point."""
        table = np.full(NUM_CODE_POINTS, len(self.alphabet), np.min_scalar_type(len(self.alphabet)))
        table[code_points(self.alphabet)] = np.arange(len(self.alphabet))
        return table

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {tag: self.first_tag + number for number, tag in enumerate(self.tags, 1)}


class TaggedDecoder:
    """A `gen.codec.StreamDecoder` that returns the text of each id at once."""

    def __init__(self, alphabet: str, tags: Sequence[str]) -> None:
        self._texts = (*alphabet, REPLACEMENT, *(f"\t{tag}\n" for tag in (REPLACEMENT, *tags)))

    def push(self, token: int) -> tuple[str, ...]:
        """Returns a character, or a tag with the end of its line."""
        return (self._texts[token],)

    def finish(self) -> tuple[str, ...]:
        """Returns nothing: no character is ever held back."""
        return ()
