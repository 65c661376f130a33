"""Files that appear whole or not at all, locks on folders, and the cache folder.

A file is written under a temporary name in the same folder, flushed to disk and renamed. So a kill or a full disk at
any moment leaves the old file or the new one, never a part of one.
"""

import os
import stat
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
SECONDS_TO_WAIT = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)  # between attempts to replace a file that another process reads


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Calls `write` with a temporary path beside `path`, then renames that file to `path`.

    If `path` is a link, its target is replaced and the link stays. A device such as /dev/stdout is written to directly.

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


def check_place(path: Path) -> None:
    """Raises SettingError if a file cannot stand there: the folder is missing, or the path is itself a folder."""
    try:
        has_folder, is_folder = path.parent.is_dir(), path.is_dir()
    except OSError as err:  # the name is too long
        raise SettingError(f"{path}: cannot be written ({reason(err)})") from err
    if not has_folder:
        raise SettingError(f"{path}: no such folder ({path.parent})", hint=f"mkdir -p {path.parent}")
    if is_folder:
        raise SettingError(f"{path}: a folder, not a file")


def reason(err: OSError) -> str:
    """Returns the message of an operating system's error, in lower case."""
    return (err.strerror or str(err)).lower()


def special_file(mode: int) -> str | None:
    """Returns the kind of a path that is no regular file, such as "a FIFO", given its mode; None for a regular file."""
    if stat.S_ISREG(mode):
        return None
    names = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}
    return names.get(stat.S_IFMT(mode), "a device")


def cache_root() -> Path:
    """Returns the cache folder: $GEN_CACHE, else $XDG_CACHE_HOME/gen, else ~/.cache/gen."""
    if chosen := os.environ.get("GEN_CACHE"):
        return Path(chosen)
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "gen"


class FolderLock:
    """An exclusive lock on a folder, held until it is released or the process ends.

    The lock is on a file in the folder, which is removed on release. The file that a killed process leaves is not
    locked. Forked child processes do not hold the lock. On disks without locks (some network disks) every lock
    succeeds, and `is_held` is False.

    Args:
        folder: an existing folder.

    Raises:
        SettingError: another process or another `FolderLock` holds the lock, or the folder cannot be written.
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
        """True if the lock excludes other processes, False on a disk without locks."""
        return self._handle is not None

    def check(self) -> None:
        """Raises TrainingError if the folder is no longer the one that was locked, so that others may train in it."""
        if self._handle is not None and not _is_at(self._path, self._handle):
            raise TrainingError(
                f"{self._path.parent}: no longer the folder that was locked", hint="it was moved, removed or made anew"
            )

    def release(self) -> None:
        """Releases the lock; a second call does nothing."""
        if self._handle is None:
            return
        handle, self._handle = self._handle, None
        with suppress(OSError):
            if _is_at(self._path, handle):
                self._path.unlink()  # before unlocking: after it, the file may belong to another process's lock
        os.close(handle)
        if sys.platform == "win32":  # Windows removes no open file: this succeeds unless another process has locked it
            with suppress(OSError):
                self._path.unlink()

    def leave_to_parent(self) -> None:
        """Closes the lock file in a forked process, which would otherwise hold the lock until it ends."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


_locks: WeakSet[FolderLock] = WeakSet()


def _leave_locks_to_parent() -> None:
    for lock in _locks:
        lock.leave_to_parent()


if hasattr(os, "register_at_fork"):  # missing on Windows, which has no fork
    os.register_at_fork(after_in_child=_leave_locks_to_parent)


def remove_leftovers(folder: Path, *names: str) -> None:
    """Removes the temporary files that a killed process left in a folder; the caller holds the folder's lock."""
    patterns = (*(f".{name}.*" for name in names), ".tmp??????")  # the last pattern is that of safetensors
    for leftover in (path for pattern in patterns for path in folder.glob(pattern)):
        leftover.unlink(missing_ok=True)


def _locked(path: Path) -> int | None:
    """Returns the open, locked file, or None on a disk without locks. Raises BlockingIOError if it is locked."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(handle)
            if _is_at(path, handle):
                return handle
            os.close(handle)  # the process that held the lock removed the file after it was opened here
        except BlockingIOError:
            os.close(handle)
            raise
        except (OSError, ImportError):
            os.close(handle)
            path.unlink(missing_ok=True)
            return None


def _is_at(path: Path, handle: int) -> bool:
    """Returns whether an open file is still the file at a path."""
    return path.exists() and os.path.samestat(os.fstat(handle), path.stat())


def _lock(handle: int) -> None:
    """Locks an open file. Raises BlockingIOError if it is locked, OSError or ImportError where locks do not exist."""
    try:
        if HAS_FLOCK:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            windows = import_module("msvcrt")  # by name, because type checkers on other systems find it empty
            windows.locking(handle, windows.LK_NBLCK, 1)  # the first byte, which need not exist
    except PermissionError as err:  # on Windows and on Windows network disks the file is locked
        raise BlockingIOError(*err.args) from err


def _replace(target: Path, write: Callable[[Path], object]) -> None:
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=target.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        _flush(temporary, os.O_RDWR)  # Windows does not flush a file opened only for reading
        temporary.chmod(0o666 & ~_umask())
        _put_in_place(temporary, target)
        with suppress(OSError):  # folders cannot be flushed on Windows and on some network disks
            _flush(target.parent, os.O_RDONLY)
    finally:
        temporary.unlink(missing_ok=True)


def _put_in_place(temporary: Path, target: Path) -> None:
    """Renames a file; on Windows, retries while another process has the old file open, such as a virus scanner."""
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
