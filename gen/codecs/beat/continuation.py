"""What goes on from a score, from the grid of the beat codec back to the ticks of the score.

The silences that the layout cut are there again, and note values, metre and tempo are those of the score, so a note
that goes on stands on the score's own beat.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from gen.codecs.beat.decoder import Piece
from gen.codecs.beat.grid import Grid
from gen.codecs.beat.layout import has_notes, lay_out_beats, score_grid
from gen.music.score import DENOMINATORS, MAX_TEMPO, NoteEvent, Notes, Score, Tempo, TimeSignature, Track

MAX_NUMERATOR = 255  # in a MIDI file

Ints = NDArray[np.int64]


def further(pieces: Sequence[Piece], opening: Sequence[Piece]) -> list[Piece]:
    """Returns the notes beyond those of an opening, and all tempos and signatures.

    The last note of an opening may be longer among the pieces; it is still that note.
    """
    num_left = sum(isinstance(piece, NoteEvent) for piece in opening)
    kept: list[Piece] = []
    for piece in pieces:
        if num_left and isinstance(piece, NoteEvent):
            num_left -= 1
        else:
            kept.append(piece)
    return kept


def placed(added: Score, opening: Sequence[Piece], score: Score, *, factor: int) -> Score:
    """Returns what goes on from a score at its place in it.

    Args:
        added: on the grid; its first tempos and time signatures are those of the opening, which are left out.
        opening: what the codec says of the score.
        score: as the model reads it.
        factor: ticks of the result to one of the score.
    """
    places = _Places.of(score, factor)
    num_tempos = sum(isinstance(piece, Tempo) for piece in opening)
    num_signatures = sum(isinstance(piece, TimeSignature) for piece in opening)
    return Score(
        tuple(places.track(track) for track in added.tracks),
        score.ticks_per_beat * factor,
        tuple(places.tempo(tempo) for tempo in added.tempos[num_tempos:]),
        tuple(places.signatures(added.time_signatures[num_signatures:])),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Places:
    """Where ticks of the codec lie in a score.

    Args:
        grid: of the score.
        moved: how much the silences that were cut took, in ticks of the grid.
        factor: ticks of the result to one of the score.
        halvings: how often the grid halves lengths where the score ends; below 0, doubles.
    """

    grid: Grid
    moved: int
    factor: int
    halvings: int

    @classmethod
    def of(cls, score: Score, factor: int) -> "_Places":
        if not has_notes(score):
            return cls(score_grid(score), 0, factor, 0)
        layout = lay_out_beats(score)
        moved = int(layout.cuts[:, 1].sum())
        end = (int(layout.notes.onsets[-1]) + moved) * layout.grid.unit
        part = int(np.searchsorted(layout.grid.places, end, side="right")) - 1
        return cls(layout.grid, moved, factor, int(layout.grid.halvings[max(part, 0)]))

    def ticks(self, grid_ticks: Ints) -> Ints:
        return np.floor(self.grid.score_ticks(grid_ticks + self.moved) * self.factor + 0.5).astype(np.int64)

    def tick(self, grid_tick: int) -> int:
        return int(self.ticks(np.array([grid_tick]))[0])

    def track(self, track: Track) -> Track:
        onsets, durations, pitches, velocities = track.columns
        starts, ends = self.ticks(onsets), self.ticks(onsets + durations)
        columns = np.stack((starts, np.maximum(ends - starts, 1), pitches, velocities))
        return Track(Notes(columns), track.program, track.is_drum)

    def tempo(self, tempo: Tempo) -> Tempo:
        tempo_us = round(tempo.tempo_us_per_beat / 2.0**self.halvings)
        return Tempo(self.tick(tempo.onset_ticks), min(max(tempo_us, 1), MAX_TEMPO))

    def signatures(self, signatures: Iterable[TimeSignature]) -> Iterator[TimeSignature]:
        """Yields the signatures in the note values of the score, but for those that a MIDI file cannot say."""
        for tick, numerator, denominator in signatures:
            length = Fraction(numerator, denominator) * Fraction(2) ** self.halvings
            values = [value for value in DENOMINATORS if (length * value).denominator == 1]
            value = min(values, key=lambda value: abs(math.log2(value * 2.0**self.halvings / denominator)), default=0)
            if 1 <= length * value <= MAX_NUMERATOR:
                yield TimeSignature(self.tick(tick), int(length * value), value)
