"""The `byte` codec: any text in any script as the bytes of its UTF-8, with a grammar that keeps samples valid.

Files of other encodings are read as text first (`gen.codecs.text.files`), so the model only ever sees UTF-8.
"""

import codecs
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from gen.codec import BEGIN, END, NOTHING_ASKED, Envelope, IdArray, Part, SymbolClasses, Vocab
from gen.codecs.text.char import code_points
from gen.codecs.text.classes import character_classes
from gen.codecs.text.codec import TextCodec, normalize_of, normalize_spec
from gen.codecs.text.documents import document_parts
from gen.codecs.text.files import line_of
from gen.codecs.text.forms import in_form_of, normalised
from gen.codecs.text.utf8 import Utf8Grammar
from gen.config import Normalize, Reading
from gen.errors import CorpusError, SettingError

VERSION = 1
_VOCAB = Vocab((*(f"Byte_{byte:02X}" for byte in range(256)), BEGIN, END))


@dataclass(frozen=True)
class ByteCodec(TextCodec):
    """Text as UTF-8 bytes: an id is a byte.

    Args:
        reading: how files become text; no part of the spec, for ids do not tell.
        normalize: the normal form of Unicode in which all texts are read, prompts too.
    """

    reading: Reading = field(default=Reading(), compare=False)
    normalize: Normalize = "none"

    name: ClassVar[str] = "byte"
    unit: ClassVar[str] = "byte"

    @classmethod
    def from_spec(cls, spec: dict[str, Any]) -> Self:
        """Returns the codec that `spec` describes. Raises CheckpointError if it describes none."""
        return cls(normalize=normalize_of(spec))

    @property
    def vocab(self) -> Vocab:
        """`Byte_00` to `Byte_FF`, then Begin and End."""
        return _VOCAB

    def encode(self, whole: str) -> IdArray:
        """Returns the (N,) bytes of a text. Raises SettingError at a lone surrogate, which UTF-8 cannot write."""
        try:
            return np.frombuffer(normalised(whole, self.normalize).encode("utf-8"), np.uint8)
        except UnicodeEncodeError as err:
            raise SettingError(f"prompt: not a character ({_surrogate(err)})", hint="give it in UTF-8") from err

    def encode_file(self, path: Path) -> Iterator[Part]:
        """Reads and encodes a text file part by part. Raises CorpusError."""
        reading = in_form_of(self.reading, self.normalize)
        for part in document_parts(path, reading):
            try:
                ids = np.frombuffer(part.text.encode("utf-8"), np.uint8)
            except UnicodeEncodeError as err:  # only some encodings, such as utf-7, can give a lone surrogate
                line = line_of(path, part, err.start, reading)
                raise CorpusError(f"{path}: not a character ({_surrogate(err)}, line {line})") from err
            yield Part(ids, part.findings, _byte_offsets(part.text, part.ends, num_bytes=len(ids)), part.labels)

    def decoder(self) -> "ByteDecoder":
        """Returns a decoder that gives each character when its last byte comes."""
        return ByteDecoder()

    def grammar(self, asked: Mapping[str, Envelope] = NOTHING_ASKED) -> Utf8Grammar:  # noqa: ARG002 - it has no controls
        """Returns the automaton of UTF-8."""
        return Utf8Grammar()

    def symbol_classes(self) -> SymbolClasses:
        """Returns the kind of character of each byte; the bytes of characters beyond ASCII are one kind."""
        return character_classes((*map(chr, range(128)), *_VOCAB.symbols[128:]))

    def merged_with(self, spec: Mapping[str, Any]) -> Self:  # noqa: ARG002 - it has no symbols to add
        """Returns itself."""
        return self

    def spec(self) -> dict[str, Any]:
        """Returns the codec as JSON data."""
        return {"name": self.name, "version": VERSION, **normalize_spec(self.normalize)}


class ByteDecoder:
    """Gives each character when its last byte comes; bytes that are no UTF-8 become U+FFFD."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token: int) -> tuple[str, ...]:
        """Takes a byte; returns the characters that are now whole."""
        return tuple(self._decoder.decode(bytes((token,))))

    def finish(self) -> tuple[str, ...]:
        """Returns U+FFFD if the last character is not whole."""
        return tuple(self._decoder.decode(b"", final=True))


def _byte_offsets(text: str, offsets: NDArray[np.int64], *, num_bytes: int) -> NDArray[np.int64]:
    """Returns offsets in the characters of a text as offsets in its bytes."""
    if num_bytes == len(text) or not len(offsets):
        return offsets
    codes = code_points(text)
    sizes = 1 + (codes >= 0x80).astype(np.int64) + (codes >= 0x800) + (codes >= 0x10000)
    return np.concatenate(([0], np.cumsum(sizes)))[offsets]


def _surrogate(err: UnicodeEncodeError) -> str:
    return f"lone surrogate U+{ord(err.object[err.start]):04X}"
