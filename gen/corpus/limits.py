"""Holds what a process does for one file to a limit of processor time and of memory.

The limits are the kernel's, for a loop inside numpy hears no signal handler of Python's: time that is up kills the
process, by a signal that says so; memory that is used up raises MemoryError. A system that lacks one of them goes
without it: Windows both, macOS that of memory, since what a process there has reserved says little.

Reading and encoding take time and memory in proportion to a file, and no file is read that is larger than 8 MiB. The
worst that were found take 6 s and 0.7 GiB: 4 million changes of program. The limits are for what was not found.
"""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

try:
    import resource
except ImportError:  # Windows
    HAS_LIMITS = False
else:
    HAS_LIMITS = True


class Limits(NamedTuple):
    """What one file may take, beyond what the process has when it starts."""

    seconds: float = 20  # of processor time, of the user's and the system's together
    memory_bytes: int = 2 << 30


def limit_memory(limits: Limits) -> None:
    """Limits the address space of this process for good."""
    if HAS_LIMITS and sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        most = pages * resource.getpagesize() + limits.memory_bytes
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        with suppress(ValueError):  # a lower limit holds already
            resource.setrlimit(resource.RLIMIT_AS, (most, hard))


@contextmanager
def limited_time(limits: Limits) -> Iterator[None]:
    """Gives so much processor time; who takes more is killed. Call it from the main thread."""
    if not HAS_LIMITS:
        yield
        return
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # whoever started this process may have it ignored
    signal.setitimer(signal.ITIMER_PROF, limits.seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def is_time_up(returncode: int) -> bool:
    """Returns whether a process ended because it took more than `limited_time`."""
    return HAS_LIMITS and returncode == -signal.SIGPROF
