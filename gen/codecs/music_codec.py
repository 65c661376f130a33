"""The part that the codecs of music share: controls, limits of what is sampled, and their place in specs.

A spec leaves out settings at their defaults. So the spec of a codec without controls, which keys of stores contain, is
that of the versions before there were controls.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Final, Self, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from gen.codec import AnyCodec, Kind, SymbolClasses, Variation, Vocab, classes_named
from gen.codecs.controls import ControlTokens, ordered_controls
from gen.codecs.envelope import CONTROLS
from gen.codecs.variation import Change, MusicVariation
from gen.errors import CheckpointError, SettingError
from gen.music.score import Score

ALL_PITCHES: Final = (0, 127)

_Codec = TypeVar("_Codec", bound=AnyCodec)


@dataclass(frozen=True)
class MusicCodec(ABC):
    """A codec whose documents are scores.

    Args:
        longest_note: the most units of its grid that a sampled note may last; None for no limit but the codec's. Files
            are read whatever their notes last.
        pitches: the lowest and the highest that a transposition in training may reach.
        control_names: in the order of their tokens.
        densities: the levels of this control that a model knows; () for all.
    """

    longest_note: int | None = None
    pitches: tuple[int, int] = ALL_PITCHES
    control_names: tuple[str, ...] = ()
    densities: tuple[int, ...] = ()

    name: ClassVar[str]
    kind: ClassVar[Kind] = "music"
    unit: ClassVar[str] = "note"
    suffix: ClassVar[str] = ".mid"
    unit_ids: ClassVar[slice]  # the ids that complete a note
    pitch_ids: ClassVar[slice]  # those of them that a transposition moves
    first_control_id: ClassVar[int]

    @property
    @abstractmethod
    def vocab(self) -> Vocab:
        """The symbols of music, those of the controls, then Begin and End."""

    @property
    def has_key(self) -> bool:
        """True if its notes are in a key; False for drums alone."""
        return True

    @property
    def control_tokens(self) -> ControlTokens:
        """The ids of its controls; falsy if it has none."""
        return ControlTokens(self.control_names, self.first_control_id, self.densities)

    @property
    def controls(self) -> ControlTokens | None:
        """Its controls; None if it has none."""
        return self.control_tokens or None

    def write(self, path: Path, whole: Score) -> None:
        """Writes a MIDI file; it appears whole or not at all. Raises MidiError or SettingError."""
        from gen.music.midi.write import write_midi  # mido takes longer to import than all that reading needs

        write_midi(path, whole)

    def variation(self, *, is_augmented: bool) -> Variation | None:
        """Returns the augmentation and control dropout; None if a segment is always read unchanged."""
        if not is_augmented and not self.controls:
            return None
        return MusicVariation(len(self.vocab), self.control_tokens, self._changes() if is_augmented else None)

    @abstractmethod
    def _changes(self) -> tuple[Change, ...]:
        """Returns the changes of an augmented segment."""

    def units(self) -> NDArray[np.int64]:
        """Returns (V,) how many notes each id completes."""
        units = np.zeros(len(self.vocab), dtype=np.int64)
        units[self.unit_ids] = 1
        return units

    def symbol_classes(self) -> SymbolClasses:
        """Returns the type of each symbol, such as NoteOn of NoteOn_60."""
        return classes_named([symbol.partition("_")[0] for symbol in self.vocab.symbols])

    def _fitted_to(self, counts: NDArray[np.int64], lengths: NDArray[np.int64], share: float) -> Self:
        """Returns the codec with the longest note, the pitches and the densities of a corpus.

        Args:
            counts: (V,) how often each id stands in the corpus.
            lengths: (N,) of notes, in units of the grid.
            share: of the notes, how many are no longer than the longest that is sampled.
        """
        found = np.flatnonzero(counts[self.pitch_ids]).tolist()
        return replace(
            self,
            longest_note=max(1, math.ceil(np.quantile(lengths, share))) if len(lengths) else None,
            pitches=(found[0], found[-1]) if found else ALL_PITCHES,
            densities=self.control_tokens.levels_in(counts),
        )

    def _merged_with(self, other: Self) -> Self:
        """Returns the codec with the settings that hold for the music of both."""
        notes, densities = (
            (self.longest_note, other.longest_note),
            [codec.densities for codec in (self, other) if "density" in codec.control_names],
        )
        return replace(
            self,
            longest_note=None if None in notes else max(filter(None, notes)),
            pitches=(min(self.pitches[0], other.pitches[0]), max(self.pitches[1], other.pitches[1])),
            control_names=ordered_controls((*self.control_names, *other.control_names)),
            densities=tuple(sorted({*chain(*densities)})) if all(densities) else (),
        )

    def _shared_spec(self) -> dict[str, list[Any]]:
        """Returns as JSON data the range of pitches, the controls, and the levels of density, unless by default."""
        settings: dict[str, list[Any]] = {}
        if self.pitches != ALL_PITCHES:
            settings["pitches"] = list(self.pitches)
        if self.control_names:
            settings |= {"controls": list(self.control_names), "densities": list(self.densities)}
        return settings


def with_controls(codec: _Codec, names: tuple[str, ...]) -> _Codec:
    """Returns a codec with these controls in its ids and its vocabulary. Raises SettingError if it cannot have one."""
    if codec.kind == "text":
        raise SettingError(f"--controls: only for music ({', '.join(names)})")
    music = cast(MusicCodec, codec)
    return cast(_Codec, replace(music, control_names=ordered_controls(names, has_key=music.has_key)))


def shared_settings(spec: Mapping[str, Any], *, grid_unit: str, max_length: float = math.inf) -> dict[str, Any]:
    """Returns the settings of a spec that all music codecs have. Raises CheckpointError if one is wrong.

    Args:
        grid_unit: of lengths, in words.
        max_length: of a note.
    """
    place = f"codec {spec.get('name')}"
    longest_note = spec.get("longest_note")
    if longest_note is not None and not (type(longest_note) is int and 1 <= longest_note <= max_length):
        raise CheckpointError(f"{place}: longest note is no number of {grid_unit} ({longest_note})")
    settings = {name: spec.get(name, []) for name in ("controls", "densities")}
    settings["pitches"] = spec.get("pitches", list(ALL_PITCHES))
    for name, values in settings.items():
        kind = str if name == "controls" else int
        if not isinstance(values, list) or not all(type(value) is kind for value in values):
            raise CheckpointError(f"{place}: {name} are not as they should be ({values})")
    controls, densities, pitches = (tuple(values) for values in settings.values())
    if len(pitches) != 2 or not ALL_PITCHES[0] <= pitches[0] <= pitches[1] <= ALL_PITCHES[1]:
        raise CheckpointError(f"{place}: pitches are no range ({list(pitches)})")
    if controls != tuple(name for name in CONTROLS if name in controls):
        raise CheckpointError(f"{place}: unknown controls, or not in their order ({', '.join(controls)})")
    return {"longest_note": longest_note, "pitches": pitches, "control_names": controls, "densities": densities}
