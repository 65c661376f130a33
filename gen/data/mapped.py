"""Arrays that are read from a file as they are used."""

import mmap
from typing import Any

import numpy as np


def let_go(array: Any) -> None:
    """Lets go of the pages of a mapped file that an array, or what it is a part of, has read; other arrays stay.

    They come back when they are used. Else a whole file would count as memory of this process in the end, though the
    system may take it back.
    """
    base = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)
