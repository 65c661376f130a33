"""The `pairs` codec: each document is a source, the symbol `Separator`, and a target.

`gen.codecs.text.tables.pairs` reads them from tables. Source and target share one alphabet. In a text the separator is
a NUL, which comes first in the alphabet: no source and no target can hold one.
"""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from gen.codec import BEGIN, END, IdArray, Vocab
from gen.codecs.text import char
from gen.codecs.text.char import CharCodec, CharDecoder
from gen.codecs.text.codec import normalize_of
from gen.codecs.text.files import TextPart
from gen.codecs.text.tables import pairs
from gen.codecs.text.tables.pairs import SEPARATOR, look_at_pairs, pair_parts
from gen.config import Reading
from gen.errors import SettingError

NAME = "Separator"


class PairsCodec(CharCodec):
    """Pairs of texts as code points.

    Args:
        alphabet: as in `CharCodec`, with the separator as its first character.
    """

    name: ClassVar[str] = "pairs"
    skipping: ClassVar[str] = ""  # a target without one of its characters would be another target

    @classmethod
    def from_spec(cls, spec: dict[str, Any]) -> Self:
        """Returns the codec that `spec` describes. Raises CheckpointError if it describes none."""
        plain = CharCodec.from_spec(spec)
        return cls(SEPARATOR + plain.alphabet, normalize=normalize_of(spec))

    @cached_property
    def vocab(self) -> Vocab:
        """Separator, one symbol a character, then Begin and End."""
        return Vocab((NAME, *self.characters, BEGIN, END))

    @property
    def characters(self) -> str:
        """The characters of sources and targets."""
        return self.alphabet[1:]

    @property
    def separator(self) -> int:
        """The id between source and target."""
        return 0

    def parts(self, path: Path, reading: Reading) -> Iterator[TextPart]:
        """Reads the pairs of a table. Raises CorpusError."""
        return pair_parts(path, reading)

    def way(self, path: Path) -> str:
        """Returns the columns that are read."""
        return pairs.describe(look_at_pairs(path, self.reading))

    def encode_source(self, source: str) -> IdArray:
        """Returns the ids of a source, without blanks at its ends, and the separator.

        Raises SettingError if the source is empty or has an unknown character.
        """
        stripped = source.strip()
        if not stripped or SEPARATOR in stripped:
            raise SettingError(f"prompt: no source ({source!r})")
        return np.append(self.encode(stripped), self._id_type.type(self.separator))

    def decoder(self) -> CharDecoder:
        """Returns a decoder that returns the character of each id at once, and a tab between source and target."""
        return CharDecoder("\t" + self.characters)

    def units(self) -> NDArray[np.int64]:
        """Returns (V,): every character is a unit; Separator, Begin and End are none."""
        units = super().units()
        units[self.separator] = 0
        return units

    def spec(self) -> dict[str, Any]:
        """Returns the codec as JSON data."""
        return super().spec() | {"alphabet": self.characters, "version": char.VERSION}
