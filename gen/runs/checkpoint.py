"""Checkpoints as safetensors files: tensors, and a header of JSON data; no code, readable on any machine.

The file's metadata holds the header under "gen", and beside it the kind of file, the format version, and the checksums
of tensors and header. `gen.runs.header` knows the fields of the header. No pickle is ever loaded.
"""

import json
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from gen.errors import CheckpointError
from gen.files.disk import reason, write_atomically

FORMAT_VERSION = 1
MODEL_FILE = "model.safetensors"
TRAINING_FILE = "training.safetensors"

Kind = Literal["model", "training"]


def write_checkpoint(path: Path, kind: Kind, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Writes tensors and header; a kill at any moment leaves the old file or the new one.

    Raises:
        SettingError: the disk is full or the folder not writable; the old file stays.
    """
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(header)  # ASCII: the name of a file may hold bytes that are not UTF-8
    metadata = {
        "format": f"gen-{kind}",
        "version": str(FORMAT_VERSION),
        "checksum": str(_checksum(on_cpu)),
        "header_checksum": str(zlib.crc32(text.encode())),
        "gen": text,
    }

    def save(temporary: Path) -> None:
        try:
            save_file(on_cpu, temporary, metadata)
        except SafetensorError as err:  # for example on a full disk
            raise OSError(str(err)) from err

    write_atomically(path, save)


def read_checkpoint(path: Path, kind: Kind) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Reads tensors (on the CPU) and header.

    Raises:
        CheckpointError: the file is missing, damaged, foreign, of the other kind or of a newer format.
    """
    with _opened(path, kind) as (file, metadata):
        header = _header(path, metadata)
        # Copies: the tensors of safetensors lie in the mapped file, which Windows then lets nobody replace.
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (not a mapping)
    if metadata.get("checksum") != str(_checksum(tensors)):
        raise CheckpointError(f"{path}: damaged (its checksum does not fit)")
    return tensors, header


def read_header(path: Path, kind: Kind = "model") -> dict[str, Any]:
    """Returns the header of a file without loading its tensors. Raises CheckpointError as `read_checkpoint` does."""
    with _opened(path, kind) as (_, metadata):
        return _header(path, metadata)


@contextmanager
def _opened(path: Path, kind: Kind) -> Iterator[tuple[Any, Mapping[str, str]]]:
    """Opens a file of the given kind; yields it with its metadata. Raises CheckpointError if it cannot be read."""
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint")
    try:
        path.open("rb").close()  # safetensors reports a file without read permission as missing
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            _check_format(path, kind, metadata)
            yield file, metadata
    except OSError as err:
        raise CheckpointError(f"{path}: cannot be read ({reason(err)})") from err
    except (SafetensorError, ValueError, KeyError, MemoryError, RecursionError) as err:
        raise CheckpointError(f"{path}: {_damage(path)} ({err})") from err


def _header(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    """Returns the header in a file's metadata. Raises CheckpointError if its checksum does not fit."""
    text = metadata["gen"]
    checksum = str(zlib.crc32(text.encode()))
    if metadata.get("header_checksum", checksum) != checksum:
        raise CheckpointError(f"{path}: damaged (its header's checksum does not fit)")
    header: dict[str, Any] = json.loads(text)
    return header


def _check_format(path: Path, kind: Kind, metadata: Mapping[str, str]) -> None:
    """Raises CheckpointError if a file is of another format, of the other kind, or of an unknown format version."""
    found = metadata.get("format", "no format named")
    if found != f"gen-{kind}":
        raise CheckpointError(f"{path}: not a {kind} checkpoint of gen ({found})")
    version = metadata.get("version", "")
    if version != str(FORMAT_VERSION):
        raise CheckpointError(
            f"{path}: format version not known to this gen ({version}; known: {FORMAT_VERSION})",
            hint="a newer gen wrote it: upgrade with pip install --upgrade gen-rnn",
        )


def _damage(path: Path) -> str:
    """Describes a file that is not a safetensors file."""
    with path.open("rb") as file:
        start = file.read(9)
    # A safetensors file begins with the length of its header, whose first byte may be that of a pickle.
    if start.startswith((b"PK\x03\x04", b"\x80")) and start[8:] != b"{":
        return "a pickle, not a safetensors file; pickles are never loaded"
    return "damaged, or not a safetensors file"


def _checksum(tensors: Mapping[str, Tensor]) -> int:
    """Returns the CRC-32 of the names and bytes of all tensors."""
    checksum = 0
    for name in sorted(tensors):
        flat = tensors[name].reshape(-1).view(torch.uint8) if tensors[name].numel() else tensors[name]
        checksum = zlib.crc32(flat.numpy().data, zlib.crc32(name.encode(), checksum))
    return checksum
