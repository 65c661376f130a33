"""Runs a command line of gen where the system does what Windows does, as far as another system can be made to.

No module of POSIX is there; a lock is of msvcrt; no file is flushed that is open for reading only, and none is replaced
or removed that is open or mapped; a folder is not opened; text written to a stream gets CR LF.
"""

import errno
import fcntl
import io
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

POSIX_MODULES = ("fcntl", "termios", "tty", "resource", "pwd", "grp")
POSIX_NAMES = ("register_at_fork", "fork", "sched_getaffinity", "tcgetpgrp", "getpgrp", "mkfifo")
POSIX_SIGNALS = ("SIGHUP", "SIGPROF", "setitimer", "ITIMER_PROF")


def refuse(path: Any) -> None:
    """Raises what Windows says of a file that is in use."""
    raise PermissionError(errno.EACCES, "The process cannot access the file because it is in use", str(path))


def is_in_use(path: Any) -> bool:
    """Returns whether this process has a file open or mapped."""
    real = os.path.realpath(path)
    opened = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            opened.append(str(link.readlink()))
        except OSError:  # the folder itself, closed by now
            continue
    mapped = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    return real in opened or any(line.endswith(" " + real) for line in mapped.splitlines())


def guarded(function: Callable[..., Any], *, place: int) -> Callable[..., Any]:
    """Returns a function of `os` that does nothing to a file in use, which is the argument at `place`."""

    def guard(*arguments: Any, **options: Any) -> Any:
        if is_in_use(arguments[place]):
            refuse(arguments[place])
        return function(*arguments, **options)

    return guard


def flush(handle: int, *, really: Callable[[int], None] = os.fsync) -> None:
    if fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        raise OSError(errno.EBADF, "Bad file descriptor")
    really(handle)


def open_file(path: Any, *arguments: Any, really: Callable[..., int] = os.open, **options: Any) -> int:
    if Path(path).is_dir():
        refuse(path)
    return really(path, *arguments, **options)


def rename(old: Any, new: Any, *arguments: Any, really: Callable[..., None] = os.rename) -> None:
    if Path(new).exists():
        raise FileExistsError(errno.EEXIST, "Cannot create a file when that file already exists", str(new))
    really(old, new, *arguments)


def msvcrt() -> ModuleType:
    """Returns a module that locks as that of Windows does."""
    module = ModuleType("msvcrt")

    def locking(handle: int, mode: int, num_bytes: int) -> None:
        assert (mode, num_bytes) == (2, 1)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            raise PermissionError(errno.EACCES, "Permission denied") from err

    vars(module).update(locking=locking, LK_NBLCK=2)
    return module


def become_windows() -> None:
    """Changes this process; what others than gen find out about their system they have found out before."""
    import multiprocessing.connection
    import subprocess
    import sysconfig
    import tempfile
    import zoneinfo

    import mido
    import numpy as np
    import rich.live
    import safetensors.torch
    import torch
    import typer

    loaded = (multiprocessing, subprocess, tempfile, zoneinfo, mido, np, rich, safetensors, torch, typer)
    assert all(loaded)
    assert sysconfig.get_config_vars()
    assert not any(name.startswith("gen.") for name in sys.modules)
    sys.modules.update(dict.fromkeys(POSIX_MODULES))  # type: ignore[arg-type]
    sys.modules["msvcrt"] = msvcrt()
    vars(os).update(fsync=flush, open=open_file, rename=rename)
    vars(os).update({name: guarded(getattr(os, name), place=0) for name in ("unlink", "remove")})
    vars(os).update(replace=guarded(os.replace, place=1))
    for module, names in ((os, POSIX_NAMES), (signal, POSIX_SIGNALS)):
        for name in names:
            vars(module).pop(name)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        setattr(sys, name, io.TextIOWrapper(stream.detach(), encoding="cp1252", newline="\r\n"))
    sys.platform = "win32"


if __name__ == "__main__":
    sys.path.pop(0)  # the folder of this file
    become_windows()
    from gen.cli.main import main

    main()
