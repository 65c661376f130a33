"""What the specs of codecs of music hold besides their own settings; what is as by default is left out.

So the spec of a codec without controls, by which stores are known, is that of the versions before there were any.
"""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Final, Protocol

from gen.codecs.envelope import CONTROLS
from gen.errors import CheckpointError

ALL_PITCHES: Final = (0, 127)


class MusicSettings(Protocol):
    """What codecs of music have in common; the fields are told of in their docstrings."""

    @property
    def longest_note(self) -> int | None: ...
    @property
    def pitches(self) -> tuple[int, int]: ...
    @property
    def controls(self) -> tuple[str, ...]: ...
    @property
    def densities(self) -> tuple[int, ...]: ...


def settings_spec(
    pitches: tuple[int, int], controls: tuple[str, ...], densities: tuple[int, ...]
) -> dict[str, list[Any]]:
    """Returns as JSON data the range of pitches, the controls, and the levels of density that may be asked for."""
    settings: dict[str, list[Any]] = {}
    if pitches != ALL_PITCHES:
        settings["pitches"] = list(pitches)
    if controls:
        settings |= {"controls": list(controls), "densities": list(densities)}
    return settings


def joined_settings(codecs: Sequence["MusicSettings"]) -> dict[str, Any]:
    """Returns those of these settings that hold for the music of several codecs."""
    longest_notes = [codec.longest_note for codec in codecs]
    lowest, highest = zip(*(codec.pitches for codec in codecs), strict=True)
    densities = [codec.densities for codec in codecs if "density" in codec.controls]
    names = {name for codec in codecs for name in codec.controls}
    return {
        "longest_note": None if None in longest_notes else max(filter(None, longest_notes)),
        "pitches": (min(lowest), max(highest)),
        "controls": tuple(name for name in CONTROLS if name in names),
        "densities": tuple(sorted({*chain(*densities)})) if all(densities) else (),
    }


def settings_of(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Returns those of these settings that a spec has, as tuples. Raises CheckpointError if one is wrong."""
    place = f"codec {spec.get('name')}"
    settings = {name: spec[name] for name in ("pitches", "controls", "densities") if name in spec}
    for name, values in settings.items():
        kind = str if name == "controls" else int
        if not isinstance(values, list) or not all(type(value) is kind for value in values):
            raise CheckpointError(f"{place}: {name} are not as they should be ({values})")
    pitches = settings.get("pitches", ALL_PITCHES)
    if len(pitches) != 2 or not ALL_PITCHES[0] <= pitches[0] <= pitches[1] <= ALL_PITCHES[1]:
        raise CheckpointError(f"{place}: pitches are no range ({pitches})")
    controls = settings.get("controls", [])
    if controls != [name for name in CONTROLS if name in controls]:
        raise CheckpointError(f"{place}: unknown controls, or not in their order ({', '.join(controls)})")
    return {name: tuple(values) for name, values in settings.items()}
