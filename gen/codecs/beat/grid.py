"""Ticks of a score as ticks of the metric grid, at tempos that the beat codec can say.

A tempo that it lacks is said in another note value: from where the tempo begins, all lengths, those of bars too, are
halved or doubled until it is within the range, so that the seconds stay. At 1000 quarters a minute a quarter becomes a
16th, at 250, and a bar of 4/4 one of 4/16. Where the note value changes, all that follows moves by half a position at
most, to a position: only there may a tempo begin, and one of 15 that begins half a position late is 83 ms late.
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
    """How a score lies on the grid: (P,) stretches, each of one note value.

    Exact places are whole numbers of units, of which a tick of the grid has `unit`.
    """

    starts: Ints  # ticks of the score, ascending from 0
    halvings: Ints  # how often lengths are halved; below 0, doubled
    places: Ints  # where each begins, in units
    unit: int
    stops: Ints  # where each ends, in units; what lies past it, for it was rounded, lies there
    rates: Ints  # units to a tick of the score
    last: int  # a tick of the score that lies past all that the codec takes

    def exact(self, ticks: Ints) -> Ints:
        """Returns where (N,) ticks of the score lie, in units; those past `last` lie there."""
        ticks = np.minimum(ticks, self.last)
        if len(self.starts) == 1:
            return np.asarray(ticks * self.rates[0])
        part = np.searchsorted(self.starts, ticks, side="right") - 1
        exact = self.places[part] + (ticks - self.starts[part]) * self.rates[part]
        return np.asarray(np.minimum(exact, self.stops[part]))

    def nearest(self, exact: Ints, *, ticks: int = 1) -> Ints:
        """Returns (N,) exact places or lengths in so many ticks of the grid, rounded."""
        whole = self.unit * ticks
        return np.asarray((exact + whole // 2) // whole)

    def part_of(self, tick: Fraction) -> int:
        """Returns which stretch a tick of the score lies in."""
        return bisect_right(self.starts, tick) - 1

    def place_of(self, tick: Fraction) -> Fraction:
        """Returns where a tick of the score lies, in ticks of the grid."""
        part = self.part_of(tick)
        exact = int(self.places[part]) + (tick - int(self.starts[part])) * int(self.rates[part])
        return min(exact, Fraction(int(self.stops[part]))) / self.unit

    def score_ticks(self, grid_ticks: Ints) -> NDArray[np.float64]:
        """Returns the (N,) ticks of the score that lie at ticks of the grid."""
        places = self.places / self.unit
        part = np.searchsorted(places, grid_ticks, side="right") - 1
        return np.asarray(self.starts[part] + (grid_ticks - places[part]) * self.unit / self.rates[part])


def grid_of(score: Score, *, most_ticks: int) -> Grid:
    """Returns the grid of a score, of which no more ticks are wanted than `most_ticks`."""
    ticks, tempos_us = score.tempo_changes()
    halvings = note_values(tempos_us)
    is_new = np.concatenate(([True], halvings[1:] != halvings[:-1]))
    starts, halvings = ticks[is_new], halvings[is_new]
    finest = max(int(halvings.max()), 0)
    unit = score.ticks_per_beat << finest
    rates = GRID_TICKS << (finest - halvings)
    places, last = _places(starts.tolist(), rates.tolist(), most=most_ticks * unit, position=POSITION_TICKS * unit)
    kept = slice(len(places))
    stops = np.array([*places[1:], _NEVER])
    return Grid(starts[kept], halvings[kept], np.array(places), unit, stops, rates[kept], last)


def _places(starts: list[int], rates: list[int], *, most: int, position: int) -> tuple[list[int], int]:
    """Returns where the parts begin that do so within `most` units, and the tick of the score that lies there."""
    places, exact = [0], 0
    for start, following, rate in zip(starts, starts[1:], rates, strict=False):
        exact += (following - start) * rate
        place = (exact + position // 2) // position * position
        if place > most:
            break
        places.append(place)
    part = len(places) - 1
    return places, starts[part] + -(-(most - places[part]) // rates[part])
