"""What the specs of codecs of music hold besides their own settings; what is as by default is left out.

So the spec of a codec without controls, by which stores are known, is that of the versions before there were any.
"""

from collections.abc import Mapping
from typing import Any, Final

from gen.codecs.envelope import CONTROLS
from gen.errors import CheckpointError

ALL_PITCHES: Final = (0, 127)


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
