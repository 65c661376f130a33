"""The codecs by name: the only place that knows them all. Each is imported when it is first asked for."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from gen.codec import Codec
from gen.errors import CheckpointError

_CODECS = {
    "char": ("gen.codecs.text.char", "CharCodec"),
    "byte": ("gen.codecs.text.byte", "ByteCodec"),
    "performance": ("gen.codecs.performance.codec", "PerformanceCodec"),
    "beat": ("gen.codecs.beat.codec", "BeatCodec"),
}


def codec_names() -> tuple[str, ...]:
    """Returns the names of all codecs."""
    return tuple(_CODECS)


def load_codec(spec: Mapping[str, Any]) -> Codec[Any, Any]:
    """Returns the codec that `codec.spec()` described.

    Raises:
        CheckpointError: the codec is unknown, of another version, or not described in full.
    """
    name = spec.get("name")
    if not isinstance(name, str) or name not in _CODECS:
        raise CheckpointError(f"codec: unknown ({name})", hint=f"this version knows {', '.join(_CODECS)}")
    module, kind = _CODECS[name]
    codec: Codec[Any, Any] = getattr(import_module(module), kind).from_spec(dict(spec))
    if spec.get("version") != codec.spec()["version"]:
        raise CheckpointError(
            f"codec {name}: of another version ({spec.get('version')})",
            hint=f"this gen reads version {codec.spec()['version']}; use the gen that wrote it, or train again",
        )
    return codec
