"""Files that are there whole or not at all.

A file is written beside its name, flushed to disk and renamed, so that a kill or a full disk at any moment leaves the
old file or the new one, never half of one.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from weakref import WeakSet

from gen.errors import SettingError, TrainingError

try:
    import fcntl
except ImportError:  # Windows
    HAS_FLOCK = False
else:
    HAS_FLOCK = True

LOCK_FILE = ".lock"
SECONDS_TO_WAIT = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)  # for the reader of a file that is to be replaced


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

    It is a lock on a file in the folder, which is gone when the lock is released; what a killed process leaves of it
    locks nothing. A process that this one forks does not hold it. Where there are no locks (some network disks) it is
    always given, and `is_held` is false.

    Args:
        folder: existing.

    Raises:
        SettingError: another process, or another lock of this one, holds it, or the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK_FILE
        try:
            self._handle = _locked(self._path)
        except BlockingIOError as err:
            raise SettingError(f"{folder}: another process is training this run", hint="wait, or end it first") from err
        except OSError as err:
            raise SettingError(f"{folder}: cannot be written ({reason(err)})") from err
        _locks.add(self)

    @property
    def is_held(self) -> bool:
        """Whether others are kept out."""
        return self._handle is not None

    def check(self) -> None:
        """Raises TrainingError if the folder is no longer the one that was locked; another process may train in it."""
        if self._handle is not None and not _is_at(self._path, self._handle):
            raise TrainingError(
                f"{self._path.parent}: no longer the folder that was locked", hint="it was moved, removed or made anew"
            )

    def release(self) -> None:
        """Lets others in; may be called again."""
        if self._handle is None:
            return
        handle, self._handle = self._handle, None
        with suppress(OSError):
            if _is_at(self._path, handle):
                self._path.unlink()  # while it is locked: once it is not, it may be another's
        os.close(handle)
        if sys.platform == "win32":  # where no file can be removed that is open: neither ours above nor another's here
            with suppress(OSError):
                self._path.unlink()

    def leave_to_parent(self) -> None:
        """Closes the file in a forked process, which would hold the lock for as long as it runs otherwise."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


_locks: WeakSet[FolderLock] = WeakSet()


def _leave_locks_to_parent() -> None:
    for lock in _locks:
        lock.leave_to_parent()


if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    os.register_at_fork(after_in_child=_leave_locks_to_parent)


def remove_leftovers(folder: Path, *names: str) -> None:
    """Removes what a killed process left of the files that it was writing; the caller holds the folder's lock."""
    patterns = (*(f".{name}.*" for name in names), ".tmp??????")  # the last is what safetensors writes beside its file
    for leftover in (path for pattern in patterns for path in folder.glob(pattern)):
        leftover.unlink(missing_ok=True)


def _locked(path: Path) -> int | None:
    """Returns the open file, locked; None where there are no locks. Raises BlockingIOError if another holds it."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(handle)
            if _is_at(path, handle):
                return handle
            os.close(handle)  # whoever held it has removed it since it was opened here
        except BlockingIOError:
            os.close(handle)
            raise
        except (OSError, ImportError):
            os.close(handle)
            path.unlink(missing_ok=True)
            return None


def _is_at(path: Path, handle: int) -> bool:
    """Returns whether an open file is still the one at a path."""
    return path.exists() and os.path.samestat(os.fstat(handle), path.stat())


def _lock(handle: int) -> None:
    """Locks an open file. Raises BlockingIOError if another holds it; OSError, ImportError where there are no locks."""
    try:
        if HAS_FLOCK:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            windows = import_module("msvcrt")  # by name: elsewhere a type checker finds nothing in it
            windows.locking(handle, windows.LK_NBLCK, 1)  # the first byte, which need not be there
    except PermissionError as err:  # what Windows says, and network disks of its kind
        raise BlockingIOError(*err.args) from err


def _replace(target: Path, write: Callable[[Path], None]) -> None:
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=target.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        _flush(temporary, os.O_RDWR)  # Windows flushes nothing that is open for reading only
        temporary.chmod(0o666 & ~_umask())
        _put_in_place(temporary, target)
        with suppress(OSError):  # what cannot be done to a folder on Windows and on some network disks
            _flush(target.parent, os.O_RDONLY)
    finally:
        temporary.unlink(missing_ok=True)


def _put_in_place(temporary: Path, target: Path) -> None:
    """Renames; waits on Windows for whoever has the old file open, such as `gen sample` or a virus scanner."""
    for seconds in SECONDS_TO_WAIT if sys.platform == "win32" else ():
        try:
            temporary.replace(target)
            return
        except PermissionError:
            time.sleep(seconds)
    temporary.replace(target)


def _flush(path: Path, how: int) -> None:
    handle = os.open(path, how)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
