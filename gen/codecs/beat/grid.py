"""Converts ticks of a score to ticks of the metric grid, at tempos that the beat codec has.

A tempo that the codec lacks is written in another note value: from the onset of the tempo on, all lengths, also those
of bars, are halved or doubled until the tempo is within the range, so that times in seconds stay. At 1000 quarters a
minute a quarter becomes a 16th at 250, and a bar of 4/4 one of 4/16. At a change of the note value all later events
move by half a position at most, so that the change is at a position: tempos begin only there, and one of 15 that begins
half a position late is 83 ms late.
"""

from bisect import bisect_right
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from gen.codecs.beat.vocab import note_values
from gen.music.metre import GRID_TICKS, POSITION_TICKS
from gen.music.score import Score

_NEVER = 1 << 62

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """A map from the ticks of a score to the grid, in (P,) parts, each of one note value.

    Exact times are whole numbers of units; a tick of the grid has `unit` of them.
    """

    starts: Ints  # of the parts, in ticks of the score, ascending from 0
    halvings: Ints  # by how many powers of two lengths are divided; negative to multiply
    unit_starts: Ints  # of the parts, in units
    unit: int
    unit_stops: Ints  # of the parts, in units; later times of a part, which rounding causes, are taken as this
    rates: Ints  # units to a tick of the score
    last: int  # a tick of the score later than all that the codec takes

    def exact(self, ticks: Ints) -> Ints:
        """Returns (N,) ticks of the score in units; those past `last` are taken as `last`."""
        ticks = np.minimum(ticks, self.last)
        if len(self.starts) == 1:
            return np.asarray(ticks * self.rates[0])
        part = np.searchsorted(self.starts, ticks, side="right") - 1
        exact = self.unit_starts[part] + (ticks - self.starts[part]) * self.rates[part]
        return np.asarray(np.minimum(exact, self.unit_stops[part]))

    def nearest(self, exact: Ints, *, ticks: int = 1) -> Ints:
        """Returns (N,) exact times or lengths, rounded to multiples of `ticks` ticks of the grid, as multiples."""
        whole = self.unit * ticks
        return np.asarray((exact + whole // 2) // whole)

    def part_of(self, tick: Fraction) -> int:
        """Returns the index of the part that holds a tick of the score."""
        return bisect_right(self.starts, tick) - 1

    def grid_tick(self, tick: Fraction) -> Fraction:
        """Returns a tick of the score in ticks of the grid."""
        part = self.part_of(tick)
        exact = int(self.unit_starts[part]) + (tick - int(self.starts[part])) * int(self.rates[part])
        return min(exact, Fraction(int(self.unit_stops[part]))) / self.unit

    def score_ticks(self, grid_ticks: Ints) -> NDArray[np.float64]:
        """Returns (N,) ticks of the grid in ticks of the score."""
        starts = self.unit_starts / self.unit
        part = np.searchsorted(starts, grid_ticks, side="right") - 1
        return np.asarray(self.starts[part] + (grid_ticks - starts[part]) * self.unit / self.rates[part])


def grid_of(score: Score, *, most_ticks: int) -> Grid:
    """Returns the grid of a score up to `most_ticks` ticks."""
    ticks, tempos_us = score.tempo_changes()
    halvings = note_values(tempos_us)
    is_new = np.concatenate(([True], halvings[1:] != halvings[:-1]))
    starts, halvings = ticks[is_new], halvings[is_new]
    finest = max(int(halvings.max()), 0)
    unit = score.ticks_per_beat << finest
    rates = GRID_TICKS << (finest - halvings)
    unit_starts, last = _unit_starts(
        starts.tolist(), rates.tolist(), most=most_ticks * unit, position=POSITION_TICKS * unit
    )
    kept = slice(len(unit_starts))
    unit_stops = np.array([*unit_starts[1:], _NEVER])
    return Grid(starts[kept], halvings[kept], np.array(unit_starts), unit, unit_stops, rates[kept], last)


def _unit_starts(starts: list[int], rates: list[int], *, most: int, position: int) -> tuple[list[int], int]:
    """Returns the starts in units of the parts that begin within `most` units, and the tick of the score at `most`."""
    unit_starts, exact = [0], 0
    for start, following, rate in zip(starts, starts[1:], rates, strict=False):
        exact += (following - start) * rate
        unit_start = (exact + position // 2) // position * position
        if unit_start > most:
            break
        unit_starts.append(unit_start)
    part = len(unit_starts) - 1
    return unit_starts, starts[part] + -(-(most - unit_starts[part]) // rates[part])
