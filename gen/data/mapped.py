"""Memory-mapped arrays."""

import mmap
from typing import Any

import numpy as np


def let_go(array: Any) -> None:
    """Frees the pages of a mapped file that an array, or the array that it is a view of, has read.

    The system reads them again when they are used. Without it, all pages read would count as memory of this process,
    although the system may free them. Arrays that are not mapped do not change.
    """
    base = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)
