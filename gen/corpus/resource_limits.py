"""Limits of the processor time and the memory that a process may use for one file.

The kernel enforces the limits, because Python runs no signal handler while a loop inside numpy runs. A process that
exceeds its time is killed by SIGPROF; memory beyond the limit raises MemoryError. Windows has neither limit; macOS has
no memory limit, since the address space that a process reserves there says little about its memory.

Time and memory grow in proportion to the size of a file, and files larger than 8 MiB are refused. The worst known file
takes 6 s and 0.7 GiB: 4 million program changes. The limits guard against files worse than those.
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


class ResourceLimits(NamedTuple):
    """The resources that one file may use; memory is counted beyond that of the process at its start."""

    seconds: float = 20  # of processor time, in user and kernel mode together
    memory_bytes: int = 2 << 30


def limit_memory(limits: ResourceLimits) -> None:
    """Limits the address space of this process until it ends."""
    if HAS_LIMITS and sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        most = pages * resource.getpagesize() + limits.memory_bytes
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        with suppress(ValueError):  # a lower hard limit is in force already
            resource.setrlimit(resource.RLIMIT_AS, (most, hard))


@contextmanager
def limited_time(limits: ResourceLimits) -> Iterator[None]:
    """Kills this process if the body of the `with` exceeds its processor time. Call it from the main thread."""
    if not HAS_LIMITS:
        yield
        return
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # it may be ignored by inheritance from the parent process
    signal.setitimer(signal.ITIMER_PROF, limits.seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def is_time_up(returncode: int) -> bool:
    """Returns whether the return code is that of a process that exceeded `limited_time`."""
    return HAS_LIMITS and returncode == -signal.SIGPROF
