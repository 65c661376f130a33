"""Turns the ids of metric music into notes, tempo and metre, as they come and in order of time.

It takes any ids, as `gen.codecs.beat.cursor` reads them. A note's length in seconds is at the tempo of its onset,
because later tempos are unknown when it is heard. A tempo or a time signature is held back until a note that is no
earlier comes: a note just before the bar line belongs to the bar after it. Those after the last note mean nothing.
"""

from collections.abc import Iterable
from typing import NamedTuple

from gen.codecs.beat.cursor import BeatCursor, BeatNote, Event
from gen.codecs.beat.vocab import DRUMS
from gen.music.metre import GRID_TICKS
from gen.music.score import DEFAULT_TEMPO, NoteEvent, Tempo, TimeSignature

Piece = NoteEvent | Tempo | TimeSignature

_TICKS_PER_SECOND_US = GRID_TICKS * 1_000_000  # ticks times microseconds a quarter


class BeatDecoder:
    """A `gen.codec.StreamDecoder` of notes, tempos and time signatures; the last two are in ticks of the grid."""

    def __init__(self) -> None:
        self._cursor = BeatCursor()
        self._tempo = _Since(0, 0, DEFAULT_TEMPO)
        self._waiting: list[Tempo | TimeSignature] = []
        self._num_before_note = 0  # of those that wait, the first ones, which stand before a note among the ids

    def push(self, token: int) -> tuple[Piece, ...]:
        """Takes one id; returns the pieces that are now certain, in order of time."""
        return self._pieces(self._cursor.advance(token))

    def finish(self) -> tuple[Piece, ...]:
        """Returns what was still held back."""
        pieces = self._pieces(self._cursor.finish())
        return (*pieces, *self._waiting[: self._num_before_note])

    def _pieces(self, events: Iterable[Event]) -> tuple[Piece, ...]:
        pieces: list[Piece] = []
        for event in events:
            if isinstance(event, BeatNote):
                pieces += self._released(event.onset)
                pieces.append(self._note(event))
                self._num_before_note = len(self._waiting)
            else:
                self._waiting.append(event)
        return tuple(pieces)

    def _released(self, until: int) -> list[Piece]:
        """Removes and returns the waiting pieces that are no later than a tick."""
        released: list[Piece] = []
        while self._waiting and self._waiting[0].onset_ticks <= until:
            piece = self._waiting.pop(0)
            if isinstance(piece, Tempo):
                self._tempo = self._tempo.then(piece)
            released.append(piece)
        return released

    def _note(self, note: BeatNote) -> NoteEvent:
        is_drum = note.player == DRUMS
        return NoteEvent(
            onset_seconds=self._tempo.elapsed(note.onset) / _TICKS_PER_SECOND_US,
            duration_seconds=note.length * self._tempo.tempo_us / _TICKS_PER_SECOND_US,
            pitch=note.pitch,
            velocity=note.velocity,
            program=0 if is_drum else note.player,
            is_drum=is_drum,
        )


class _Since(NamedTuple):
    """A tempo and the time of its onset: exact, in ticks times microseconds a quarter."""

    ticks: int
    elapsed_before: int
    tempo_us: int

    def elapsed(self, ticks: int) -> int:
        return self.elapsed_before + (ticks - self.ticks) * self.tempo_us

    def then(self, tempo: Tempo) -> "_Since":
        return _Since(tempo.onset_ticks, self.elapsed(tempo.onset_ticks), tempo.tempo_us_per_beat)
