"""The bars of a score, as `gen.music.metre` counts them, on the grid and in the signatures of the beat codec.

- A bar line is moved to the nearest 32nd.
- A bar whose signature the codec lacks, such as 12/4, is divided into the fewest equal parts that have one, here two of
  6/4: "time signatures replaced". If there are none, as for 5/64, bars of 4/4 take its time, counted likewise.
- A bar that the next time signature cuts short, or in which the note value changes, becomes one bar of its length, or
  several if no signature has that length.
- Time signatures that move by more than half a position are counted: "time signatures moved".
- Time signatures that another one at the same bar line replaces, and those after the last note, are left out: "time
  signatures left out".
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from itertools import takewhile
from typing import Final, NamedTuple

from gen.codecs.beat.grid import Grid
from gen.codecs.beat.vocab import DENOMINATORS, MAX_BAR_POSITIONS, SIGNATURES, bar_ticks
from gen.music.metre import COMMON_TIME, GRID_TICKS, POSITION_TICKS, Metre, bars_before
from gen.music.score import Score, TimeSignature

SIGNATURES_REPLACED: Final = "time signatures replaced"
SIGNATURES_MOVED: Final = "time signatures moved"
SIGNATURES_LEFT_OUT: Final = "time signatures left out"

_INDEX: dict[tuple[int | Fraction, int], int] = {found: index for index, found in enumerate(SIGNATURES)}
_COMMON_TIME = _INDEX[4, 4]
_TICKS_OF_32ND = 4 * GRID_TICKS // DENOMINATORS[-1]  # every bar is a multiple of it
_MAX_BAR_TICKS = MAX_BAR_POSITIONS * POSITION_TICKS
_ALL = 1 << 62


class EqualBars(NamedTuple):
    """Bars of one signature, one after another, in ticks of the grid."""

    start: int
    num_bars: int
    signature: int  # its index in SIGNATURES

    @property
    def end(self) -> int:
        """The end of the last of them."""
        return self.start + self.num_bars * bar_ticks(self.signature)


class _Section(NamedTuple):
    """Bars of a metre, up to the next section."""

    start: int  # ticks of the grid, on a 32nd
    signature: int | None  # of each, by its index in SIGNATURES; None for one bar in which the note value changes
    denominator: int  # of the bars that a cut leaves
    is_replaced: bool = False


def equal_bars(score: Score, grid: Grid, *, until: int) -> tuple[list[EqualBars], Counter[str]]:
    """Returns the bars of a score from tick 0 to the one that holds the tick `until`, and the findings."""
    findings: Counter[str] = Counter()
    sections: list[_Section] = []
    metres = bars_before(score, _ALL).metres
    num_used = 0
    for metre, following in zip(metres, (*metres[1:], None), strict=True):
        start = grid.grid_tick(metre.start)
        if _on_32nd(start) > until and not (sections and sections[-1].signature is None):
            break
        num_used += metre.signature is not COMMON_TIME  # the metre before the first time signature
        written = grid.grid_tick(Fraction(metre.signature.onset_ticks))
        findings[SIGNATURES_MOVED] += abs(_on_32nd(start) - written) > POSITION_TICKS // 2
        added = list(_sections(metre, grid, stop=following and following.start))
        findings[SIGNATURES_REPLACED] += any(section.is_replaced for section in added)
        sections += added
    findings[SIGNATURES_LEFT_OUT] = len(score.time_signatures) - num_used
    return list(_filled(sections, until)), +findings


def own_signatures(score: Score, grid: Grid) -> list[TimeSignature]:
    """Returns the time signatures of a score in ticks of the grid, also those that the codec lacks.

    Returns none if the note value changes within the score.
    """
    if len(grid.starts) > 1:
        return []
    halvings = int(grid.halvings[0])
    return [
        TimeSignature(
            round(grid.grid_tick(metre.start)),
            metre.signature.numerator << max(-halvings, 0),
            metre.signature.denominator << max(halvings, 0),
        )
        for metre in bars_before(score, _ALL).metres
    ]


def _sections(metre: Metre, grid: Grid, *, stop: Fraction | None) -> Iterator[_Section]:
    """Yields the bars of a metre, a section for each note value and one for each bar in which the value changes."""
    start, length = metre.start, metre.bar_ticks
    denominator = metre.signature.denominator
    first, last = grid.part_of(start) + 1, None if stop is None else bisect_left(grid.starts, stop)
    for change in grid.starts[first:last].tolist():
        if change <= start:  # within the bar before
            continue
        num_bars, rest = divmod(change - start, length)
        if num_bars:
            yield _section(metre, grid, start)
            start += num_bars * length
        if rest:
            yield _Section(_on_32nd(grid.grid_tick(start)), None, denominator)
            start += length
    if stop is None or start < stop:
        yield _section(metre, grid, start)


def _section(metre: Metre, grid: Grid, start: Fraction) -> _Section:
    """Returns the bars of a metre from a tick of the score on."""
    _, numerator, denominator = metre.signature
    signature, is_replaced = _replacement(numerator, denominator, int(grid.halvings[grid.part_of(start)]))
    return _Section(_on_32nd(grid.grid_tick(start)), signature, SIGNATURES[signature][1], is_replaced)


@cache
def _replacement(numerator: int, denominator: int, halvings: int) -> tuple[int, bool]:
    """Returns the signature of a bar, or else of its largest equal part that has one, and whether it was replaced."""
    scale = Fraction(2) ** halvings
    length = Fraction(4 * GRID_TICKS * numerator, denominator) / scale
    divisors = (divisor for divisor in range(1, numerator + 1) if numerator % divisor == 0)
    parts = (_of_length(length / divisor, denominator * scale) for divisor in divisors)
    signature = next((part for part in parts if part is not None), _COMMON_TIME)
    new_numerator, new_denominator = SIGNATURES[signature]
    return signature, new_numerator != numerator or new_denominator != denominator * scale


def _of_length(ticks: Fraction | int, denominator: Fraction | int) -> int | None:
    """Returns the signature of a bar of some ticks: with this denominator, else a larger, else a smaller one."""
    larger = [choice for choice in DENOMINATORS if choice >= denominator]
    for choice in (*larger, *reversed(DENOMINATORS[: len(DENOMINATORS) - len(larger)])):
        numerator, rest = divmod(ticks * choice, 4 * GRID_TICKS)
        if rest == 0 and (numerator, choice) in _INDEX:
            return _INDEX[numerator, choice]
    return None


def _filled(sections: list[_Section], until: int) -> Iterator[EqualBars]:
    """Yields the bars of sections up to the one that holds `until`; the last section has no end."""
    for section, following in zip(sections, (*sections[1:], None), strict=True):
        start, signature, denominator, _ = section
        if start > until:
            break
        if following is None or (following.start > until and signature is not None):
            assert signature is not None, "a section follows a bar in which the note value changes"
            yield EqualBars(start, (until - start) // bar_ticks(signature) + 1, signature)
            break
        if signature is not None:
            num_bars = (following.start - start) // bar_ticks(signature)
            if num_bars:
                yield EqualBars(start, num_bars, signature)
            start += num_bars * bar_ticks(signature)
        yield from takewhile(lambda cut: cut.start <= until, _cut_bars(start, following.start, denominator))


def _cut_bars(start: int, stop: int, denominator: int) -> Iterator[EqualBars]:
    """Yields one bar from `start` to `stop`, both on a 32nd, or the fewest bars that fill this time."""
    while start < stop:
        lengths = range(min(stop - start, _MAX_BAR_TICKS), 0, -_TICKS_OF_32ND)
        signature = next(found for length in lengths if (found := _of_length(length, denominator)) is not None)
        yield EqualBars(start, 1, signature)
        start += bar_ticks(signature)


def _on_32nd(tick: Fraction) -> int:
    """Returns the tick of the 32nd nearest to a tick of the grid."""
    return int((tick / _TICKS_OF_32ND + Fraction(1, 2)) // 1) * _TICKS_OF_32ND
