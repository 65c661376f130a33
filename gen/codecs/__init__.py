"""Codecs: everything that turns a domain into token ids and back.

text/ has `char`, `byte`, `tagged` and `pairs`, performance/ and beat/ the two codecs of music. Begin with text/char.py
for text, and with codec.py in performance/ and beat/. Beside them stand the parts that both codecs of music share
(music_codec.py, controls.py, envelope.py, variation.py, unknown.py), the choice between the two (choice.py) and the
formats of files (export.py).

This module knows all codecs by name and imports each when it is first needed.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from gen.codec import AnyCodec
from gen.errors import CheckpointError

_CODECS = {
    "char": ("gen.codecs.text.char", "CharCodec"),
    "byte": ("gen.codecs.text.byte", "ByteCodec"),
    "tagged": ("gen.codecs.text.tagged", "TaggedCodec"),
    "pairs": ("gen.codecs.text.pairs", "PairsCodec"),
    "performance": ("gen.codecs.performance.codec", "PerformanceCodec"),
    "beat": ("gen.codecs.beat.codec", "BeatCodec"),
}


def codec_names() -> tuple[str, ...]:
    """Returns the names of all codecs."""
    return tuple(_CODECS)


def load_codec(spec: Mapping[str, Any]) -> AnyCodec:
    """Returns the codec that `codec.spec()` described.

    Raises:
        CheckpointError: the codec is unknown, of another version, or not described in full.
    """
    name = spec.get("name")
    if not isinstance(name, str) or name not in _CODECS:
        raise CheckpointError(f"codec: unknown ({name})", hint=f"this version knows {', '.join(_CODECS)}")
    module, kind = _CODECS[name]
    codec: AnyCodec = getattr(import_module(module), kind).from_spec(dict(spec))
    if spec.get("version") != codec.spec()["version"]:
        raise CheckpointError(
            f"codec {name}: of another version ({spec.get('version')})",
            hint=f"this gen reads version {codec.spec()['version']}; use the gen that wrote it, or train again",
        )
    return codec
