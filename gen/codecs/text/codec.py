"""The part that the codecs of text share: files, prompts, and the normal form of Unicode in specs."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self, cast, get_args

import numpy as np
from numpy.typing import NDArray

from gen.codec import Adapted, Codec, IdArray, Kind, Pieces, SymbolClasses, decode
from gen.codecs.text.classes import character_classes
from gen.codecs.text.features import text_features
from gen.codecs.text.files import read_text, write_text
from gen.codecs.text.forms import in_form_of
from gen.codecs.text.tables.parts import is_table
from gen.codecs.text.tables.rows import look_at_table
from gen.config import Normalize, Reading
from gen.errors import CheckpointError


class TextCodec:
    """The part of `gen.codec.Codec` that the codecs of text share."""

    kind: ClassVar[Kind] = "text"
    suffix: ClassVar[str] = ".txt"
    controls: ClassVar[None] = None

    reading: Reading
    normalize: Normalize

    def read(self, path: Path) -> str:
        """Reads a text file. Raises CorpusError."""
        return read_text(path, in_form_of(self.reading, self.normalize))

    def way(self, path: Path) -> str | None:
        """Returns the way in which a file is divided into documents, if the options do not determine it."""
        return look_at_table(path, self.reading).describe() if is_table(path, self.reading) else None

    def write(self, path: Path, whole: str) -> None:
        """Writes a text file in UTF-8, whole or not at all."""
        write_text(path, whole)

    def join(self, pieces: Iterable[str]) -> str:
        """Joins decoded characters."""
        return "".join(pieces)

    def variation(self, *, is_augmented: bool) -> None:  # noqa: ARG002 - a text is read unchanged
        """Returns None: a text has no variations."""
        return

    def adapted(self, prompt: str) -> Adapted[str]:
        """Returns the prompt; `encode` refuses a character that the codec does not know."""
        return Adapted(prompt, ())

    def continued(
        self: Codec[str, str],
        prompt: str,
        tokens: Sequence[int],
        *,
        name: str,  # noqa: ARG002 - a text does not say who wrote it
        with_prompt: bool = True,
    ) -> str:
        """Returns the prompt as it was typed, and the text of the ids."""
        return prompt * with_prompt + decode(self, tokens)

    def pieces(self: Codec[str, str], ids: IdArray) -> Pieces[str]:
        """Returns the characters of (N,) ids; all ids of a character, such as its bytes, belong to it."""
        decoder = self.decoder()
        pieces: list[str] = []
        owners = np.empty(len(ids), np.int64)
        for at, token in enumerate(ids.tolist()):
            owners[at] = len(pieces)
            if text := "".join(decoder.push(token)):
                pieces.append(text)
        if rest := "".join(decoder.finish()):
            pieces.append(rest)
        owners[owners == len(pieces)] = -1
        return Pieces(pieces, owners)

    def units(self: Codec[str, str]) -> NDArray[np.int64]:
        """Returns (V,): every character or byte is a unit, Begin and End are none."""
        units = np.ones(len(self.vocab), np.int64)
        units[-2:] = 0
        return units

    def features(self: Codec[str, str], ids: IdArray) -> dict[str, NDArray[np.float32]]:
        """Returns (N,) the features of the text by name, after each id: those of the last character that is whole."""
        decoder = self.decoder()
        pieces = ["".join(decoder.push(token)) for token in ids.tolist()]
        last = np.cumsum([len(piece) for piece in pieces], dtype=np.int64)  # 0 before the first character is whole
        return {name: np.append(np.float32(0), of)[last] for name, of in text_features("".join(pieces)).items()}

    def symbol_classes(self: Codec[str, str]) -> SymbolClasses:
        """Returns the kind of character of each symbol; one that is no character is of a kind of its own."""
        return character_classes(self.vocab.symbols)

    def fitted(self, ids: IdArray) -> Self:  # noqa: ARG002 - there is nothing to fit
        """Returns itself."""
        return self


def normalize_of(spec: Mapping[str, Any]) -> Normalize:
    """Returns the normal form in which a codec reads. Raises CheckpointError if its spec names an unknown one."""
    normalize = spec.get("normalize", "none")
    if normalize not in get_args(Normalize):
        raise CheckpointError(f"codec: no normal form of Unicode ({normalize})")
    return cast(Normalize, normalize)


def normalize_spec(normalize: Normalize) -> dict[str, str]:
    """Returns the entry of a spec for the normal form; no entry for none, as in specs before there was a choice."""
    return {} if normalize == "none" else {"normalize": normalize}
