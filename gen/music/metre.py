"""The metric grid: where a score's bars begin, and where on the grid its notes stand.

A quarter has 24 positions, which hold 32nds (every third) and triplets down to those of 16ths (every fourth), and a
position has 16 ticks, so that a quarter has `GRID_TICKS` = 384 of them. All times here are such ticks.

Bars, from the time signatures of a score:

- A time signature begins a bar, on the position nearest to it. Without one the metre is 4/4.
- A bar that the next time signature cuts short is a bar of the length that is left: one of 4/4 that is cut after a
  quarter is one of 1/4. Where no signature says that length, the new one waits for the next bar line: "time signatures
  moved".
- A signature that `SIGNATURES` lacks becomes as many bars as it takes of an equal part of it that is there: 10/4 is two
  of 5/4. Where there is none, as for 5/64, it becomes 4/4: "time signatures replaced" counts both.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gen.music.score import Score, TimeSignature

POSITIONS: Final = 24  # to a quarter
POSITION_TICKS: Final = 16
GRID_TICKS: Final = POSITIONS * POSITION_TICKS  # to a quarter
MAX_BAR_POSITIONS: Final = 8 * POSITIONS  # 4/2
COMMON_TIME: Final = (4, 4)

_DENOMINATORS = (1, 2, 4, 8, 16, 32)
_MAX_NUMERATOR = 24
SIGNATURES: Final = tuple(
    (numerator, denominator)
    for denominator in _DENOMINATORS
    for numerator in range(1, _MAX_NUMERATOR + 1)
    if numerator * 4 * POSITIONS <= MAX_BAR_POSITIONS * denominator
)

SIGNATURES_REPLACED: Final = "time signatures replaced"
SIGNATURES_MOVED: Final = "time signatures moved"

_INDEX = {signature: index for index, signature in enumerate(SIGNATURES)}

Ints = NDArray[np.int64]


class Stretch(NamedTuple):
    """Equal bars, one after another."""

    start: int
    num_bars: int
    signature: int  # its place in SIGNATURES

    @property
    def end(self) -> int:
        """Where the last of them ends."""
        return self.start + self.num_bars * bar_ticks(self.signature)


def bar_ticks(signature: int) -> int:
    """Returns how long a bar is, given the place of its signature in `SIGNATURES`."""
    numerator, denominator = SIGNATURES[signature]
    return numerator * 4 * GRID_TICKS // denominator


def to_grid(ticks: Ints, *, ticks_per_beat: int) -> Ints:
    """Returns (N,) ticks of a score as the nearest ticks of the grid."""
    return (ticks * (2 * GRID_TICKS) + ticks_per_beat) // (2 * ticks_per_beat)


def stretches(score: Score, *, until: int) -> tuple[list[Stretch], Counter[str]]:
    """Returns the bars of a score from 0 on, up to and with the one that holds the tick `until`, and what was found."""
    findings: Counter[str] = Counter()
    found: list[Stretch] = []
    start, signature = 0, _INDEX[COMMON_TIME]
    for at, following in _changes(score, findings):
        if at > until:
            break
        for stretch in _up_to(at, start, signature):
            found.append(stretch)
            start = stretch.end
        findings[SIGNATURES_MOVED] += start > at
        signature = following
    if start <= until:
        found.append(Stretch(start, (until - start) // bar_ticks(signature) + 1, signature))
    return found, +findings


def grid_share(score: Score) -> float:
    """Returns which share of a score's notes begin on a position, as nearly as its ticks can say."""
    onsets = np.concatenate([track.columns[0] for track in score.tracks])
    nearest = (onsets * (2 * POSITIONS) + score.ticks_per_beat) // (2 * score.ticks_per_beat)
    is_off = np.abs(nearest * score.ticks_per_beat - onsets * POSITIONS)
    slack = 0 if score.ticks_per_beat % POSITIONS == 0 else POSITIONS - 1  # a triplet may be 341 of 1024 ticks
    return float(np.mean(is_off <= slack))


def _changes(score: Score, findings: Counter[str]) -> Iterator[tuple[int, int]]:
    """Yields where each signature is to begin, on a position, and its place in `SIGNATURES`."""
    for onset_ticks, numerator, denominator in score.time_signatures:
        signature = _INDEX.get((numerator, denominator))
        if signature is None:
            findings[SIGNATURES_REPLACED] += 1
            signature = _equal_part(numerator, denominator)
        position = (onset_ticks * 2 * POSITIONS + score.ticks_per_beat) // (2 * score.ticks_per_beat)
        yield position * POSITION_TICKS, signature


def _equal_part(numerator: int, denominator: int) -> int:
    for divisor in range(1, numerator + 1):
        if numerator % divisor == 0 and (numerator // divisor, denominator) in _INDEX:
            return _INDEX[numerator // divisor, denominator]
    return _INDEX[COMMON_TIME]


def _up_to(at: int, start: int, signature: int) -> Iterator[Stretch]:
    """Yields the bars from `start` up to `at`, or to the first bar line after it."""
    length = bar_ticks(signature)
    num_bars, rest = divmod(max(0, at - start), length)
    short = _of_length(rest, SIGNATURES[signature][1]) if rest else None
    num_bars += rest > 0 and short is None
    if num_bars:
        yield Stretch(start, num_bars, signature)
    if short is not None:
        yield Stretch(at - rest, 1, short)


def _of_length(ticks: int, denominator: int) -> int | None:
    """Returns the signature of a bar of some ticks, in notes of the given length or shorter ones."""
    while denominator <= _DENOMINATORS[-1]:
        numerator, rest = divmod(ticks * denominator, 4 * GRID_TICKS)
        if rest == 0:
            return _INDEX.get((numerator, denominator))
        denominator *= 2
    return None


def signature_at(onset_ticks: int, signature: int) -> TimeSignature:
    """Returns a signature by its place in `SIGNATURES` as a piece of a score."""
    return TimeSignature(onset_ticks, *SIGNATURES[signature])
