"""A thread that pulls pieces of music ahead of the sound, so that a slow piece delays no note."""

import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

from gen.live.player import Piece
from gen.music.score import NoteEvent

MAX_PIECES = 4096  # that wait, even if they span less than the wanted seconds


class Ahead:
    """An iterator for `Player.play` that holds some seconds of music ready; a context manager around its thread.

    It yields None until it is as far ahead as it should be, and again after it has run empty. A model that is slower
    than its music is then heard as few long pauses, not as a stutter.

    Args:
        pieces: in time order; only the thread pulls them.
        seconds: the lead, from the onset of the note that was taken last to that of the note pulled last.
    """

    def __init__(self, pieces: Iterator[Piece], seconds: float) -> None:
        self._pieces = pieces
        self._wanted_seconds = seconds
        self._changed = threading.Condition()
        self._waiting: deque[Piece] = deque()
        self._taken: float | None = None  # onsets in seconds
        self._pulled = 0.0
        self._is_filling = True
        self._is_stopped = False
        self._executor = ThreadPoolExecutor(1, "ahead")
        self._pulling: Future[None] | None = None

    def __enter__(self) -> Self:
        self._pulling = self._executor.submit(self._pull)
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._is_stopped = True
            self._changed.notify()
        self._executor.shutdown()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Piece | None:
        """Returns the next piece, None if it is not there yet; after the last piece raises the error of `pieces`."""
        assert self._pulling is not None
        is_over = self._pulling.done()  # read first: if True, no further piece joins those that wait
        with self._changed:
            if not self._waiting and is_over:
                self._pulling.result()
                raise StopIteration
            self._is_filling = not is_over and not self._is_far() and (self._is_filling or not self._waiting)
            if self._is_filling:
                return None
            piece = self._waiting.popleft()
            if isinstance(piece, NoteEvent):
                self._taken = piece.onset_seconds
            self._changed.notify()
            return piece

    @property
    def seconds(self) -> float:
        """The lead of the pulled music over the music taken."""
        return 0.0 if self._taken is None else max(0.0, self._pulled - self._taken)

    def _is_far(self) -> bool:
        return self.seconds >= self._wanted_seconds or len(self._waiting) >= MAX_PIECES

    def _pull(self) -> None:
        for piece in self._pieces:
            with self._changed:
                if isinstance(piece, NoteEvent):
                    self._pulled = max(self._pulled, piece.onset_seconds)
                    self._taken = piece.onset_seconds if self._taken is None else self._taken
                self._waiting.append(piece)
                self._changed.wait_for(lambda: self._is_stopped or not self._is_far())
                if self._is_stopped:
                    return
