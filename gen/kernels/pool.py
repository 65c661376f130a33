"""The threads on which the kernels and the heavy operations of torch run (pool.c).

torch divides an operation among its threads in equal parts, and each of them waits for all others: a thread that loses
its core to another program stops them all. So where the kernels are built, torch runs on one thread, and what takes
long is cut into more pieces than threads, of which each thread takes the next when it is free. The bounds of the pieces
do not depend on the number of threads, nor do the results.
"""

import ctypes
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from gen.kernels.library import built, library

_Piece = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)


class _Held(threading.local):
    """The number of threads that torch had before it was held to one, and how often it is held now.

    Each thread has its own, as torch's number is of the thread that sets it.
    """

    depth = 0
    num_threads = 1


_prepared: set[int] = set()  # ids of the pool's threads whose switches are set
_held = _Held()


def num_threads() -> int:
    """Returns the number of threads that work may use: that of torch, also while torch is held to one."""
    return _held.num_threads if _held.depth else torch.get_num_threads()


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Runs the block with torch's operations on one thread where the kernels are built, else as they are."""
    if library() is None:
        yield
        return
    if _held.depth == 0:
        _held.num_threads = torch.get_num_threads()
        if _held.num_threads > 1:
            torch.set_num_threads(1)
    _held.depth += 1
    try:
        yield
    finally:
        _held.depth -= 1
        if _held.depth == 0 and _held.num_threads > 1:
            torch.set_num_threads(_held.num_threads)


def run_pieces(work: Callable[[int], Any], count: int) -> None:
    """Calls `work` with 0 to count - 1 on the threads of the pool, without gradients and autocast.

    Two calls may run at the same time, so each writes to memory of its own. Raises what the first failing call raised;
    the calls that have not begun by then are left out.
    """
    errors: list[BaseException] = []
    caller = threading.get_native_id()

    def piece(_: int | None, index: int) -> None:
        try:
            if not errors:
                _prepare_this_thread(caller)
                work(index)
        except BaseException as err:  # noqa: BLE001 - raised again below, on the caller's thread
            errors.append(err)

    with one_torch_thread(), torch.no_grad(), torch.autocast("cpu", enabled=False):
        if library() is None:
            for index in range(count):
                piece(None, index)
        else:
            built().gen_pool_run(_Piece(piece), None, ctypes.c_int64(count), num_threads())
    if errors:
        raise errors[0]


def run_all(pieces: Sequence[Callable[[], Any]]) -> None:
    """Calls functions as `run_pieces` does."""
    run_pieces(lambda n: pieces[n](), len(pieces))


def share() -> float | None:
    """Returns the share of the processor, 0 to 1, that the pool's threads got of what they asked for.

    It is counted since this function was last called: low where other programs compute too, None if nothing ran.
    """
    before, _Asked.nanoseconds = _Asked.nanoseconds, _times()
    wanted, computed = (after - was for after, was in zip(_Asked.nanoseconds, before, strict=True))
    return min(1.0, computed / wanted) if wanted else None


class _Asked:
    """The result of `_times` at the last call of `share`."""

    nanoseconds = (0, 0)


def _times() -> tuple[int, int]:
    """Returns the nanoseconds that threads asked for and those that they computed, since the process began."""
    if library() is None:
        return 0, 0
    wanted, computed = ctypes.c_int64(), ctypes.c_int64()
    built().gen_pool_times(ctypes.byref(wanted), ctypes.byref(computed))
    return wanted.value, computed.value


def _prepare_this_thread(caller: int) -> None:
    """Sets torch's switches of a thread of the pool once: one thread, where OpenMP would take all, and no gradients."""
    this = threading.get_native_id()
    if this != caller and this not in _prepared:
        torch.set_num_threads(1)
        torch.set_grad_enabled(False)
        _prepared.add(this)
