"""The arrangement of a score on a page: systems, one below the other, as in printed music.

Positions along a piece that has time signatures are ticks, so that bars have equal widths and systems end at bar lines.
In other pieces they are seconds. Positions on the page are inches from its upper left corner.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gen.music.metre import Bars, bars_of
from gen.music.score import Score

SECONDS_PER_INCH = 2.2
SYSTEM_INCHES = 10.0
MIN_INCHES = 4.0
MAX_SYSTEMS = 60  # longer music is drawn at a smaller scale
_MAX_BARS = 20_000  # with more bars the time signatures are taken for an error
_BARS_IN_SYSTEM = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)  # usual lengths of phrases
_SECONDS_BETWEEN_LINES = (1, 2, 5, 10, 15, 30, 60, 300, 900, 3600)
_LINES_IN_SYSTEM = 24


class Ruling(NamedTuple):
    """The lines that divide a piece from left to right."""

    bars: NDArray[np.float64]  # (B + 1,): the starts of bars, or of equal numbers of seconds, and the end of the last
    beats: NDArray[np.float64]  # the starts of beats other than the first of a bar
    labels: list[str]  # (B,)
    metres: dict[float, str]  # time signatures, such as "3/4", by position
    is_metric: bool  # whether positions are ticks


class System(NamedTuple):
    """A part of the piece, from left to right on the page."""

    start: float
    stop: float
    top: float  # inches
    scale: float  # inches per tick or second


def rule(score: Score) -> Ruling:
    """Returns the lines of a score: bars and beats, or seconds if it has no time signature."""
    if score.time_signatures and score.num_notes:
        bars = bars_of(score)
        if bars.num_bars <= _MAX_BARS:
            return _metric_ruling(bars)
    return _timed_ruling(max(score.duration_seconds, 1.0))


def systems(score: Score, ruling: Ruling, *, top: float, height: float) -> list[System]:
    """Returns the systems of a page; the first is at `top`, each `height` below the one before."""
    seconds = max(score.duration_seconds, 1.0)
    num_bars = len(ruling.bars) - 1
    wanted = max(SECONDS_PER_INCH * SYSTEM_INCHES, seconds / MAX_SYSTEMS)  # seconds per system
    per_system = num_bars if seconds <= wanted * 1.1 else _nearest(num_bars * wanted / seconds, num_bars)
    cuts = [*range(0, num_bars, per_system), num_bars]
    if len(cuts) > 2 and cuts[-1] - cuts[-2] <= per_system / 8:
        del cuts[-2]  # so that no system holds only a bar or two
    spans = [(float(ruling.bars[a]), float(ruling.bars[b])) for a, b in pairwise(cuts)]
    inches = SYSTEM_INCHES if len(spans) > 1 else min(SYSTEM_INCHES, max(MIN_INCHES, seconds / SECONDS_PER_INCH))
    scale = inches / max(stop - start for start, stop in spans)
    return [System(start, stop, top + number * height, scale) for number, (start, stop) in enumerate(spans)]


def _nearest(bars: float, num_bars: int) -> int:
    """Returns the usual number of bars in a system nearest to `bars`, or more to have at most `MAX_SYSTEMS` systems."""
    min_bars = -(-num_bars // MAX_SYSTEMS)
    return max(min_bars, min(_BARS_IN_SYSTEM, key=lambda choice: abs(np.log(choice / bars))))


def _metric_ruling(bars: Bars) -> Ruling:
    """Returns the lines of bars and beats."""
    starts = np.append(bars.starts(), float(bars.start_of(bars.num_bars + 1)))
    firsts = [metre.first_bar - 1 for metre in bars.metres]
    beats = [np.zeros(0)]
    for metre, first, stop in zip(bars.metres, firsts, (*firsts[1:], bars.num_bars), strict=True):
        numerator = metre.signature.numerator
        inner = starts[first:stop, None] + float(metre.bar_ticks) / numerator * np.arange(1, numerator)
        beats.append(inner[inner < starts[first + 1 : stop + 1, None]])  # the last bar may be cut short
    metres = {float(metre.start): f"{metre.signature.numerator}/{metre.signature.denominator}" for metre in bars.metres}
    labels = [str(number) for number in range(1, bars.num_bars + 1)]
    return Ruling(starts, np.concatenate(beats), labels, metres, is_metric=True)


def _timed_ruling(seconds: float) -> Ruling:
    in_system = min(seconds, max(SECONDS_PER_INCH * SYSTEM_INCHES, seconds / MAX_SYSTEMS))
    step = next((step for step in _SECONDS_BETWEEN_LINES if in_system / step <= _LINES_IN_SYSTEM), 3600)
    count = int(np.ceil(seconds / step - 1e-9))
    bars = np.arange(count + 1, dtype=np.float64) * step
    return Ruling(bars, np.zeros(0), [clock(start) for start in bars[:-1].tolist()], {}, is_metric=False)


def clock(seconds: float) -> str:
    """Returns a time in minutes and seconds, such as 0:42 or 73:07."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"
