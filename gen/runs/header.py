"""What the header of a checkpoint holds: names and types that the rest of the program relies on.

Settings of model and training are checked by their own classes; here stands what surrounds them.
"""

from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Literal

from gen.errors import CheckpointError

Fields = Mapping[str, "type | UnionType | Fields"]

_NUMBER = int | float
_READING: Fields = {
    "codec": str,
    "encoding": str,
    "labels": str,
    "valid_fraction": _NUMBER,
    "seed": int,
}
_CORPUS: Fields = {
    "options": _READING,
    "key": str,
    "valid_key": str,
    "num_tokens": int,
}
_PLACED_CORPUS: Fields = {
    **_CORPUS,
    "options": {**_READING, "sources": list, "valid_file": str | None, "test_file": str | None},
    "documents": dict | None,
}
_HISTORY: Fields = {
    "num_validations": int,
    "last_step": int,
    "best_nats": _NUMBER | None,
    "best_bits_per_unit": _NUMBER | None,
    "best_step": int,
    "num_since_best": int,
}
_PLACE: Fields = {
    "step": int,
    "epoch": int,
    "window": int,
    "tokens": int,
    "seconds": _NUMBER,
    "rate_scale": _NUMBER,
    "num_rollbacks": int,
    "running_nats": _NUMBER | None,
    "best_running_nats": _NUMBER,
    "is_plain": bool,
}
_BOTH: Fields = {
    "run": str,
    "codec": {"name": str, "version": int},
    "model": dict,
    "training": dict,
    "labels": list,
    "corpus": _CORPUS,
    "can_end": bool,
    "history": _HISTORY,
    "versions": dict,
}
_HEADERS: Mapping[str, Fields] = {
    "model": {**_BOTH, "result": {"parameters": int}},
    "training": {**_BOTH, "corpus": _PLACED_CORPUS, "place": _PLACE, "marks_passed": int},
}


def check_header(path: Path, kind: Literal["model", "training"], header: Any) -> None:
    """Raises CheckpointError if the header of a run's checkpoint lacks something or holds it in the wrong type."""
    if wrong := _misfit(header, _HEADERS[kind], ""):
        raise CheckpointError(f"{path}: not a header of this format ({wrong})")


def _misfit(data: Any, fields: Fields, place: str) -> str | None:
    """Returns what is wrong below a place of the header, or None."""
    if not isinstance(data, dict):
        return f"{place.rstrip('.') or 'the header'} is no object"
    for name, expected in fields.items():
        where = f"{place}{name}"
        if name not in data:
            return f"{where} is missing"
        value = data[name]
        if isinstance(expected, Mapping):
            found = _misfit(value, expected, f"{where}.")
        else:
            found = None if _is_of(value, expected) else f"{where} is {str(value)[:40]}"
        if found is not None:
            return found
    return None


def _is_of(value: Any, expected: type | UnionType) -> bool:
    """Tells whether a value has a type; every list of a header holds strings."""
    return isinstance(value, expected) and (not isinstance(value, list) or all(isinstance(v, str) for v in value))
