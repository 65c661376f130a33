"""Vocabulary, labels and controls that a run takes over from the run whose weights it starts from.

The vocabulary of the new run is the union of both, and so are its labels and controls. Symbols and labels that the new
corpus lacks keep their weights, so the model can still draw the symbols and be asked for the labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gen.codecs import load_codec
from gen.codecs.controls import ordered_controls
from gen.codecs.text.char import CharCodec
from gen.codecs.text.codec import normalize_of
from gen.codecs.text.tagged import TaggedCodec
from gen.config import Normalize, TaskName, to_json
from gen.errors import SettingError


@dataclass(frozen=True, slots=True)
class Base:
    """The run that another one starts from.

    Args:
        codec: the spec of its codec.
        labels: names of its labels.
        can_end: True if it has learnt to end documents.
        task: that it was trained for.
    """

    codec: dict[str, Any]
    labels: tuple[str, ...]
    can_end: bool
    task: TaskName = "write"

    def to_json(self) -> dict[str, Any]:
        """Returns JSON data; a task is younger than the first checkpoints, and named only if it is not to write."""
        data = to_json(self)
        return {name: value for name, value in data.items() if (name, value) != ("task", "write")}

    @property
    def alphabet(self) -> str:
        """The characters in the vocabulary of a `char` or `tagged` codec; empty for other codecs."""
        codec = load_codec(self.codec)
        return codec.alphabet if isinstance(codec, CharCodec | TaggedCodec) else ""

    @property
    def normalize(self) -> Normalize:
        """The normal form of Unicode of the texts."""
        return normalize_of(self.codec)

    def codec_name(self, asked: str, run: str) -> str:
        """Returns the name of the codec for a run that starts from this one.

        Raises SettingError if `asked` is another codec.
        """
        own = load_codec(self.codec).name
        if asked == TaggedCodec.name and own == CharCodec.name:
            return asked  # words are spelt in the characters of a text
        if asked not in ("auto", own):
            raise SettingError(
                f"--codec: {asked} cannot go on from {run}, whose codec is {own}", hint="leave out --codec, or --from"
            )
        return own

    def controls(self, asked: Sequence[str]) -> tuple[str, ...]:
        """Returns the controls for a run that starts from this one: the union of its own and `asked`."""
        own = load_codec(self.codec).controls
        return ordered_controls((*(own.names if own else ()), *asked))

    def all_labels(self, found: Sequence[str]) -> tuple[str, ...]:
        """Returns the labels for a run that starts from this one: its own, then the new ones of `found`."""
        return (*self.labels, *(name for name in found if name not in self.labels))
