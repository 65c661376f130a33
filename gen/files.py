"""Files that are there whole or not at all.

A file is written beside its name, flushed to disk and renamed, so that a kill or a full disk at any moment leaves the
old file or the new one, never half of one.
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from gen.errors import SettingError


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Calls `write` with a temporary path beside `path`, then makes that file `path`.

    Raises:
        SettingError: the folder is missing, not writable, or the disk is full; the old file stays.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    except OSError as err:
        raise SettingError(f"{path}: cannot be written ({err.strerror})") from err
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        _flush(temporary)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
        _flush(path.parent)
    except OSError as err:
        raise SettingError(f"{path}: cannot be written ({err.strerror or err})") from err
    finally:
        temporary.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
