"""What a codec of text lacks: controls, variations, anything to learn of a corpus."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self, cast, get_args

from gen.codec import Codec, IdArray, Kind, Known, decode
from gen.codecs.text.files import read_text, write_text
from gen.codecs.text.forms import in_form_of
from gen.config import Normalize, Reading
from gen.errors import CheckpointError, SettingError


class PlainText:
    """The part of `gen.codec.Codec` that the codecs of text share."""

    kind: ClassVar[Kind] = "text"
    suffix: ClassVar[str] = ".txt"
    controls: ClassVar[tuple[str, ...]] = ()

    reading: Reading
    normalize: Normalize

    def read(self, path: Path) -> str:
        """Reads a text file. Raises CorpusError."""
        return read_text(path, in_form_of(self.reading, self.normalize))

    def write(self, path: Path, whole: str) -> None:
        """Writes a text file in UTF-8, whole or not at all."""
        write_text(path, whole)

    def join(self, pieces: Iterable[str]) -> str:
        """Joins decoded characters."""
        return "".join(pieces)

    def known_values(self, control: str) -> tuple[float | str, ...]:  # noqa: ARG002 - there is none
        """Returns ()."""
        return ()

    def with_controls(self, names: tuple[str, ...]) -> Self:
        """Returns itself. Raises SettingError if any control is asked for: texts have none."""
        if names:
            raise SettingError(f"--controls: only for music ({', '.join(names)})")
        return self

    def variation(self, *, is_augmented: bool) -> None:  # noqa: ARG002 - a text is read as it is
        """Returns None: a text has no variations."""
        return

    def known(self, prompt: str) -> Known[str]:
        """Returns the prompt: what a codec does not know of it, `encode` refuses."""
        return Known(prompt, ())

    def gone_on(
        self: Codec[str, str],
        prompt: str,
        tokens: Sequence[int],
        *,
        name: str,  # noqa: ARG002 - a text does not say who wrote it
        with_prompt: bool = True,
    ) -> str:
        """Returns the prompt as it was typed, and the text of the ids."""
        return prompt * with_prompt + decode(self, tokens)

    def neutral(self) -> None:
        """Returns None: no id is of a control."""
        return

    def fitted(self, ids: IdArray) -> Self:  # noqa: ARG002 - a corpus has nothing to teach it
        """Returns itself."""
        return self

    def knowing(self, spec: Mapping[str, Any]) -> Self:  # noqa: ARG002 - all texts are known
        """Returns itself."""
        return self


def normalize_of(spec: Mapping[str, Any]) -> Normalize:
    """Returns in which normal form a codec reads. Raises CheckpointError if its spec names one that is unknown."""
    normalize = spec.get("normalize", "none")
    if normalize not in get_args(Normalize):
        raise CheckpointError(f"codec: no normal form of Unicode ({normalize})")
    return cast(Normalize, normalize)


def normalize_spec(normalize: Normalize) -> dict[str, str]:
    """Returns what a spec says of the normal form: nothing where there is none, as before there was a choice."""
    return {} if normalize == "none" else {"normalize": normalize}
