"""The bars that `gen.music.metre` counts as the beat codec says them: on the grid, by the signatures that it has.

- A bar line stands on the 32nd nearest to where it is.
- A bar that the codec has no signature for, as one of 12/4, becomes as many equal parts as it takes to have one, two of
  6/4: "time signatures replaced". Where there is none, as for 5/64, bars of 4/4 fill its place, counted likewise.
- A bar that the next time signature cuts short, or in which the note value changes, is one of the length that it has,
  or two where no signature says it.
- Where a time signature does not begin within half a position of its place: "time signatures moved".
- Those that another one at the same bar line replaces, and those after the last note: "time signatures left out".
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
_SHORTEST = 4 * GRID_TICKS // DENOMINATORS[-1]  # ticks of a 32nd; all bars are multiples of it
_LONGEST = MAX_BAR_POSITIONS * POSITION_TICKS
_ALL = 1 << 62


class Stretch(NamedTuple):
    """Equal bars, one after another, in ticks of the grid."""

    start: int
    num_bars: int
    signature: int  # its place in SIGNATURES

    @property
    def end(self) -> int:
        """Where the last of them ends."""
        return self.start + self.num_bars * bar_ticks(self.signature)


class _Section(NamedTuple):
    """Bars of a metre, up to the next section."""

    start: int  # ticks of the grid, on a 32nd
    signature: int | None  # of each, by its place in SIGNATURES; None for one bar in which the note value changes
    denominator: int  # of bars that are cut
    is_replaced: bool = False


def stretches(score: Score, grid: Grid, *, until: int) -> tuple[list[Stretch], Counter[str]]:
    """Returns the bars of a score from 0 on, up to and with the one that holds the tick `until`, and what was found."""
    findings: Counter[str] = Counter()
    sections: list[_Section] = []
    metres = bars_before(score, _ALL).metres
    num_told = 0
    for metre, following in zip(metres, (*metres[1:], None), strict=True):
        place = grid.place_of(metre.start)
        if _on_32nd(place) > until and not (sections and sections[-1].signature is None):
            break
        num_told += metre.signature is not COMMON_TIME  # which is that of no time signature
        told = grid.place_of(Fraction(metre.signature.onset_ticks))
        findings[SIGNATURES_MOVED] += abs(_on_32nd(place) - told) > POSITION_TICKS // 2
        added = list(_sections(metre, grid, stop=following and following.start))
        findings[SIGNATURES_REPLACED] += any(section.is_replaced for section in added)
        sections += added
    findings[SIGNATURES_LEFT_OUT] = len(score.time_signatures) - num_told
    return list(_filled(sections, until)), +findings


def own_signatures(score: Score, grid: Grid) -> list[TimeSignature]:
    """Returns the time signatures of a score in ticks of the grid, also those that the codec lacks.

    There are none where the note value changes within the score.
    """
    if len(grid.starts) > 1:
        return []
    halvings = int(grid.halvings[0])
    return [
        TimeSignature(
            round(grid.place_of(metre.start)),
            metre.signature.numerator << max(-halvings, 0),
            metre.signature.denominator << max(halvings, 0),
        )
        for metre in bars_before(score, _ALL).metres
    ]


def _sections(metre: Metre, grid: Grid, *, stop: Fraction | None) -> Iterator[_Section]:
    """Yields the bars of a metre by note value, and one by one those in which it changes."""
    start, length = metre.start, metre.bar_ticks
    denominator = metre.signature.denominator
    first, last = grid.part_of(start) + 1, None if stop is None else bisect_left(grid.starts, stop)
    for change in grid.starts[first:last].tolist():
        if change <= start:  # in the bar before
            continue
        num_bars, rest = divmod(change - start, length)
        if num_bars:
            yield _section(metre, grid, start)
            start += num_bars * length
        if rest:
            yield _Section(_on_32nd(grid.place_of(start)), None, denominator)
            start += length
    if stop is None or start < stop:
        yield _section(metre, grid, start)


def _section(metre: Metre, grid: Grid, start: Fraction) -> _Section:
    """Returns the bars of a metre from a tick of the score on."""
    _, numerator, denominator = metre.signature
    signature, is_replaced = _said_as(numerator, denominator, int(grid.halvings[grid.part_of(start)]))
    return _Section(_on_32nd(grid.place_of(start)), signature, SIGNATURES[signature][1], is_replaced)


@cache
def _said_as(numerator: int, denominator: int, halvings: int) -> tuple[int, bool]:
    """Returns the signature of a bar, or of its largest equal part that has one, and whether it is another."""
    scale = Fraction(2) ** halvings
    length = Fraction(4 * GRID_TICKS * numerator, denominator) / scale
    divisors = (divisor for divisor in range(1, numerator + 1) if numerator % divisor == 0)
    parts = (_of_length(length / divisor, denominator * scale) for divisor in divisors)
    signature = next((part for part in parts if part is not None), _COMMON_TIME)
    said_numerator, said_denominator = SIGNATURES[signature]
    return signature, said_numerator != numerator or said_denominator != denominator * scale


def _of_length(ticks: Fraction | int, denominator: Fraction | int) -> int | None:
    """Returns the signature of a bar of some ticks, in notes of the given length, or shorter, or longer ones."""
    shorter = [choice for choice in DENOMINATORS if choice >= denominator]
    for choice in (*shorter, *reversed(DENOMINATORS[: len(DENOMINATORS) - len(shorter)])):
        numerator, rest = divmod(ticks * choice, 4 * GRID_TICKS)
        if rest == 0 and (numerator, choice) in _INDEX:
            return _INDEX[numerator, choice]
    return None


def _filled(sections: list[_Section], until: int) -> Iterator[Stretch]:
    """Yields the bars of sections, of which the last goes on without an end, up to the one that holds `until`."""
    for section, following in zip(sections, (*sections[1:], None), strict=True):
        start, signature, denominator, _ = section
        if start > until:
            break
        if following is None or (following.start > until and signature is not None):
            assert signature is not None, "what follows a bar in which the note value changes is there"
            yield Stretch(start, (until - start) // bar_ticks(signature) + 1, signature)
            break
        if signature is not None:
            num_bars = (following.start - start) // bar_ticks(signature)
            if num_bars:
                yield Stretch(start, num_bars, signature)
            start += num_bars * bar_ticks(signature)
        yield from takewhile(lambda cut: cut.start <= until, _cut_bars(start, following.start, denominator))


def _cut_bars(start: int, stop: int, denominator: int) -> Iterator[Stretch]:
    """Yields the one bar from `start` to `stop`, both on a 32nd, or as many as it takes."""
    while start < stop:
        lengths = range(min(stop - start, _LONGEST), 0, -_SHORTEST)
        signature = next(found for length in lengths if (found := _of_length(length, denominator)) is not None)
        yield Stretch(start, 1, signature)
        start += bar_ticks(signature)


def _on_32nd(place: Fraction) -> int:
    """Returns the 32nd nearest to a place on the grid, in ticks."""
    return int((place / _SHORTEST + Fraction(1, 2)) // 1) * _SHORTEST
