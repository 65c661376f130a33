"""What a run takes over from the run whose weights it starts from: all that this one knows stays known.

The vocabulary is the union of both; so are the labels, and what samples of music may have. Symbols and labels that the
new corpus lacks keep their weights, and can be drawn and asked for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gen.codec import Codec
from gen.codecs import load_codec
from gen.codecs.controls import ordered_controls
from gen.codecs.text.char import CharCodec
from gen.codecs.text.codec import normalize_of
from gen.config import Normalize
from gen.errors import SettingError


@dataclass(frozen=True, slots=True)
class Base:
    """The run that another starts from.

    Args:
        spec: of its codec.
        label_names: those that it knows.
        can_end: whether it has learnt how documents end.
    """

    spec: Mapping[str, Any]
    label_names: tuple[str, ...]
    can_end: bool

    @property
    def codec(self) -> Codec[Any, Any]:
        """Its codec. Raises CheckpointError if it describes none."""
        return load_codec(self.spec)

    @property
    def alphabet(self) -> str:
        """The characters that it knows as symbols; none unless its codec is `char`."""
        codec = self.codec
        return codec.alphabet if isinstance(codec, CharCodec) else ""

    @property
    def normalize(self) -> Normalize:
        """The normal form of Unicode in which it reads texts."""
        return normalize_of(self.spec)

    def to_json(self) -> dict[str, Any]:
        """Returns the base as JSON data."""
        return {"codec": dict(self.spec), "labels": list(self.label_names), "can_end": self.can_end}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Base":
        """Returns the base that `to_json` gave. Raises SettingError if it is another object."""
        try:
            return cls(dict(data["codec"]), tuple(data["labels"]), bool(data["can_end"]))
        except (KeyError, TypeError, ValueError) as err:
            raise SettingError(f"base: describes no run to start from ({err})") from err

    def codec_name(self, asked: str, run: str) -> str:
        """Returns the codec of a run that starts from this one. Raises SettingError if another is asked for."""
        own = self.codec.name
        if asked not in ("auto", own):
            raise SettingError(
                f"--codec: {asked} cannot go on from {run}, whose codec is {own}", hint="leave out --codec, or --from"
            )
        return own

    def controls(self, asked: Sequence[str]) -> tuple[str, ...]:
        """Returns the controls of a run that starts from this one: its own, and those that are asked for."""
        own = self.codec.controls
        return ordered_controls((*(own.names if own else ()), *asked))

    def labels(self, found: Sequence[str]) -> tuple[str, ...]:
        """Returns the labels of a run that starts from this one: its own, then those of the new corpus."""
        return (*self.label_names, *(name for name in found if name not in self.label_names))
