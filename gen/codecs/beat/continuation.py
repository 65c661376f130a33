"""Converts the continuation of a score from the grid of the beat codec back to the ticks of the score.

It restores the silences that the layout cut and takes the note values, the metre and the tempo of the score, so that
added notes are on the score's own beat.
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


def beyond_opening(pieces: Sequence[Piece], opening: Sequence[Piece]) -> list[Piece]:
    """Returns the notes after those of an opening, and all tempos and signatures.

    Notes of the opening are recognised by their number, because the last one may have become longer.
    """
    num_left = sum(isinstance(piece, NoteEvent) for piece in opening)
    kept: list[Piece] = []
    for piece in pieces:
        if num_left and isinstance(piece, NoteEvent):
            num_left -= 1
        else:
            kept.append(piece)
    return kept


def in_score_time(added: Score, opening: Sequence[Piece], score: Score, *, factor: int) -> Score:
    """Returns the continuation of a score in the ticks of that score.

    Args:
        added: the continuation in ticks of the grid, with the tempos and time signatures of the opening, which are left
            out.
        opening: the pieces of the score itself.
        score: as the model reads it.
        factor: ticks of the result to one of the score.
    """
    time = _ScoreTime.of(score, factor)
    num_tempos = sum(isinstance(piece, Tempo) for piece in opening)
    num_signatures = sum(isinstance(piece, TimeSignature) for piece in opening)
    return Score(
        tuple(time.track(track) for track in added.tracks),
        score.ticks_per_beat * factor,
        tuple(time.tempo(tempo) for tempo in added.tempos[num_tempos:]),
        tuple(time.signatures(added.time_signatures[num_signatures:])),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _ScoreTime:
    """A map from the ticks of the codec to those of a score.

    Args:
        grid: of the score.
        moved: length of all silences that were cut, in ticks of the grid.
        factor: ticks of the result to one of the score.
        halvings: of the part of the grid in which the score ends.
    """

    grid: Grid
    moved: int
    factor: int
    halvings: int

    @classmethod
    def of(cls, score: Score, factor: int) -> "_ScoreTime":
        if not has_notes(score):
            return cls(score_grid(score), 0, factor, 0)
        layout = lay_out_beats(score)
        moved = int(layout.cuts[:, 1].sum())
        end = (int(layout.notes.onsets[-1]) + moved) * layout.grid.unit
        part = int(np.searchsorted(layout.grid.unit_starts, end, side="right")) - 1
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
        """Yields the signatures in the note values of the score, without those that a MIDI file cannot hold."""
        for tick, numerator, denominator in signatures:
            length = Fraction(numerator, denominator) * Fraction(2) ** self.halvings
            values = [value for value in DENOMINATORS if (length * value).denominator == 1]
            value = min(values, key=lambda value: abs(math.log2(value * 2.0**self.halvings / denominator)), default=0)
            if 1 <= length * value <= MAX_NUMERATOR:
                yield TimeSignature(self.tick(tick), int(length * value), value)
