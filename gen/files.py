"""Files that are there whole or not at all.

A file is written beside its name, flushed to disk and renamed, so that a kill or a full disk at any moment leaves the
old file or the new one, never half of one.
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

if os.name == "posix":
    import fcntl

from gen.errors import SettingError


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Calls `write` with a temporary path beside `path`, then makes that file `path`.

    What a link points to is replaced, not the link; /dev/stdout and the like are written to and never replaced.

    Raises:
        SettingError: the folder is missing, not writable, or the disk is full; the old file stays.
    """
    try:
        target = path.resolve()
        if target.exists() and not target.is_file():
            write(path)
        else:
            _replace(target, write)
    except OSError as err:
        raise SettingError(f"{path}: cannot be written ({reason(err)})") from err


def reason(err: OSError) -> str:
    """Returns what an operating system's error says, in lower case."""
    return (err.strerror or str(err)).lower()


def cache_root() -> Path:
    """Returns the folder for what can be made again: $GEN_CACHE, else $XDG_CACHE_HOME/gen, else ~/.cache/gen."""
    if chosen := os.environ.get("GEN_CACHE"):
        return Path(chosen)
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "gen"


class FolderLock:
    """The right to write into a folder, held by one process at a time until it is released or the process ends.

    Where there are no locks (not POSIX, some network disks) it is always given.

    Args:
        folder: existing.

    Raises:
        SettingError: another process holds it.
    """

    def __init__(self, folder: Path) -> None:
        self._handle: int | None = None
        if os.name != "posix":
            return
        self._handle = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            self.release()
            raise SettingError(f"{folder}: another process is training this run", hint="wait, or end it first") from err
        except OSError:
            self.release()

    def release(self) -> None:
        """Lets others in; may be called again."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def remove_leftovers(folder: Path, *names: str) -> None:
    """Removes what a killed process left of the files that it was writing; the caller holds the folder's lock."""
    patterns = (*(f".{name}.*" for name in names), ".tmp??????")  # the last is what safetensors writes beside its file
    for leftover in (path for pattern in patterns for path in folder.glob(pattern)):
        leftover.unlink(missing_ok=True)


def _replace(target: Path, write: Callable[[Path], None]) -> None:
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=target.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        _flush(temporary)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(target)
        if os.name == "posix":
            _flush(target.parent)
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
