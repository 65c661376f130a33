"""Ctrl-C while a model trains: the first finishes the step and saves, the second stops at once.

SIGTERM, which a machine sends when it shuts down, is the same as one Ctrl-C. If one of several processes that train a
run gets a signal, all of them stop.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from gen.cli.console import say
from gen.training.distributed import LostProcessError, is_first_process


@contextmanager
def stopped_by_ctrl_c(stop: Callable[[], None]) -> Iterator[None]:
    """Calls `stop` at the first Ctrl-C; the second raises KeyboardInterrupt."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return

    def on_interrupt(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        signal.signal(signal.SIGTERM, before_term)
        if is_first_process():
            say("stopping after this step; Ctrl-C again stops at once")
        stop()

    before = signal.signal(signal.SIGINT, on_interrupt)
    before_term = signal.signal(signal.SIGTERM, on_interrupt)
    try:
        yield
    except LostProcessError:
        before_term = signal.SIG_IGN  # from torchrun, to processes that are about to end and say why
        raise
    finally:
        signal.signal(signal.SIGINT, before)
        signal.signal(signal.SIGTERM, before_term)
