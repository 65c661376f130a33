"""The bars of a score: the only module that counts them, for pictures, the terminal, primers and the beat codec.

Bars follow the time signatures of the score, in its own ticks; without one, and before the first, the metre is 4/4. A
time signature begins a new bar and cuts the bar before it short. If it is within `SLACK` of a bar line, it begins at
that bar line, because programs round positions to their ticks. Of several time signatures at one position the last
counts.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gen.music.score import Score, TimeSignature

POSITIONS: Final = 24  # in a quarter: 32nds fall on every third, triplets of 16ths on every fourth
POSITION_TICKS: Final = 16
GRID_TICKS: Final = POSITIONS * POSITION_TICKS  # in a quarter
COMMON_TIME: Final = TimeSignature(0, 4, 4)
SLACK: Final = Fraction(1, 2 * POSITIONS)  # of a quarter


class Metre(NamedTuple):
    """An unlimited sequence of equal bars of one time signature."""

    signature: TimeSignature
    start: Fraction  # the tick of the first bar: that of the signature, or of the bar line nearby
    first_bar: int  # the number of that bar; the first bar of a piece has number 1
    ticks_per_beat: int

    @property
    def bar_ticks(self) -> Fraction:
        """The length of a bar in ticks."""
        return Fraction(4 * self.ticks_per_beat * self.signature.numerator, self.signature.denominator)

    def start_of(self, bar: int) -> Fraction:
        """Returns the tick at which the bar of a number begins."""
        return self.start + (bar - self.first_bar) * self.bar_ticks

    def then(self, signature: TimeSignature) -> "Metre":
        """Returns the metre that begins with a later time signature."""
        past = max(signature.onset_ticks - self.start, Fraction(0))
        num_bars, rest = divmod(past, self.bar_ticks)
        slack = max(SLACK * self.ticks_per_beat, Fraction(1, 2))
        if min(rest, self.bar_ticks - rest) <= slack:
            num_bars, rest = num_bars + (2 * rest > self.bar_ticks), Fraction(0)
        start = self.start + num_bars * self.bar_ticks + rest
        return Metre(signature, start, self.first_bar + num_bars + (rest > 0), self.ticks_per_beat)


@dataclass(frozen=True, slots=True)
class Bars:
    """The bars of a piece; the last bar of a metre ends at the start of the next metre."""

    metres: tuple[Metre, ...]  # at least one, each with at least one bar
    num_bars: int

    def start_of(self, bar: int) -> Fraction:
        """Returns the tick at which a bar begins; `bar` is 1 to `num_bars` + 1, the end of the last bar."""
        return next(metre for metre in reversed(self.metres) if metre.first_bar <= bar).start_of(bar)

    def starts(self) -> NDArray[np.float64]:
        """Returns the (B,) ticks at which the bars begin."""
        ends = [*(metre.first_bar for metre in self.metres[1:]), self.num_bars + 1]
        return np.concatenate(
            [
                float(metre.start) + np.arange(end - metre.first_bar) * float(metre.bar_ticks)
                for metre, end in zip(self.metres, ends, strict=True)
            ]
        )


def opening_metre(ticks_per_beat: int) -> Metre:
    """Returns the metre of a piece before its first time signature."""
    return Metre(COMMON_TIME, Fraction(0), 1, ticks_per_beat)


def bars_of(score: Score) -> Bars:
    """Returns the bars of a score, up to and including the bar in which the last note ends."""
    return bars_before(score, max(score.end_ticks, 1))


def bars_before(score: Score, tick: int) -> Bars:
    """Returns the bars that begin before a tick, which is at least 1."""
    found: list[Metre] = []
    metre = opening_metre(score.ticks_per_beat)
    for signature in score.time_signatures:
        following = metre.then(signature)
        if following.start >= tick:
            break
        if following.first_bar > metre.first_bar:
            found.append(metre)
        metre = following
    num_bars = metre.first_bar - 1 - int((metre.start - tick) // metre.bar_ticks)  # rounded up
    return Bars((*found, metre), num_bars)


def grid_share(score: Score) -> float:
    """Returns the share of a score's notes that begin on a position, as precisely as its ticks allow."""
    onsets = np.concatenate([track.columns[0] for track in score.tracks])
    nearest = (onsets * (2 * POSITIONS) + score.ticks_per_beat) // (2 * score.ticks_per_beat)
    is_off = np.abs(nearest * score.ticks_per_beat - onsets * POSITIONS)
    slack = 0 if score.ticks_per_beat % POSITIONS == 0 else POSITIONS - 1  # a triplet may be 341 of 1024 ticks
    return float(np.mean(is_off <= slack))
