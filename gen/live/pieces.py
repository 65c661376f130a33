"""Endless music: a run plays one piece after the other, with a pause between two."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gen.errors import SettingError
from gen.live.player import Piece
from gen.music.score import NoteEvent

if TYPE_CHECKING:
    from gen.generation.generate import Sampled
    from gen.runs.request import SampleRequest
    from gen.runs.run import Run

PAUSE_SECONDS = 2.0  # between two pieces
MAX_EMPTY = 100  # pieces without a note in a row before that is an error


@dataclass(slots=True)
class Stop:
    """A request to end, set by a signal handler."""

    is_asked: bool = False


def endless_pieces(run: "Run", request: "SampleRequest", *, stop: Stop) -> Iterator[Piece]:
    """Yields one piece of music after the other; the onsets of each continue those of the piece before it.

    Args:
        run: a music model.
        request: for the first piece. Its length limits the tokens of all pieces together. Each further piece has the
            next seed and no prompt; its controls begin at its own start.
        stop: ends the music within a token.

    Raises GenError as `Run.draw` does, and if the model ends piece after piece before its first note.
    """
    left = _Left(request.length)
    shift, num_empty = 0.0, 0
    while True:
        begin, end = None, shift
        tokens = left.counted(run.draw(request), run.codec.vocab.end, stop)
        for piece in request.prompt.pieces(tokens, with_prompt=True):
            if not isinstance(piece, NoteEvent):
                yield piece
                continue
            begin = piece.onset_seconds if begin is None else begin
            moved = piece._replace(onset_seconds=piece.onset_seconds - begin + shift)
            end = max(end, moved.onset_seconds + moved.duration_seconds)
            yield moved
        if stop.is_asked or left.tokens == 0:
            return
        num_empty = num_empty + 1 if begin is None else 0
        if num_empty == MAX_EMPTY:
            raise SettingError(f"{run.name}: ends every piece before its first note", hint="raise --temperature")
        shift = end + PAUSE_SECONDS if begin is not None else shift
        request = replace(request, prompt=run.prompt(None), seed=request.seed + 1, length=left.tokens)


@dataclass(slots=True)
class _Left:
    """The number of tokens that may still be drawn; None for no limit."""

    tokens: int | None

    def counted(self, drawn: Iterator["Sampled"], end: int, stop: Stop) -> Iterator[int]:
        """Yields tokens up to the end of a piece, and counts them."""
        for sampled in drawn:
            if stop.is_asked or sampled.token == end:
                return
            if self.tokens is not None:
                self.tokens -= 1
            yield sampled.token
