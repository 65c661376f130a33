"""A piano roll as lines of text: time runs down, one line per sixteenth note, pitch runs right, drums stand apart.

A line is complete, and is yielded, when the first piece of a later line arrives. Time is counted in ticks, so that
lines follow the beat through changes of tempo. Without any tempo or metre a line is an eighth of a second, which is a
sixteenth at 120 beats a minute, and the left margin shows seconds instead of bars.

Each pitch has a column. When a note is outside the columns, they move, as long as all pitches heard so far fit the
width. Otherwise a pitch outside is shown in the nearest octave inside.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from gen.music.metre import opening_metre
from gen.music.score import DEFAULT_TEMPO, NoteEvent, Tempo, TimeSignature, pitch_name
from gen.music.views.instruments import DRUM_GROUPS, drum_group, instrument_name

LINES_PER_BEAT = 4
MIN_WIDTH = 40
_LABEL = 7  # columns for bars or seconds, and the line that ends them
_LINES_PER_HEAD = 48
_STRUCK = "\u2591\u2592\u2593\u2588"  # from soft to loud
_HELD = "\u2502"
_COLOURS = (36, 33, 32, 35, 34, 31)  # cyan, yellow, green, magenta, blue, red
_DIM = 2


class _Sounding(NamedTuple):
    event: NoteEvent
    colour: int
    is_struck: bool  # whether the note begins in the next line


class _Cell(NamedTuple):
    text: str
    colour: int


class ScrollingRoll:
    """Converts pieces, in order of time, to lines; it stores only the notes that still sound.

    Args:
        width: the columns of a line; less than `MIN_WIDTH` counts as `MIN_WIDTH`.
        ticks_per_beat: the unit of the ticks of tempos and metres.
        is_coloured: whether instruments are shown in terminal colours.
        signatures: time signatures that are known before the pieces, in order.
        num_unheard: the number of time signatures among the first pieces that are ignored, because `signatures` has
            them in more detail.
    """

    def __init__(
        self,
        *,
        width: int = 80,
        ticks_per_beat: int = 480,
        is_coloured: bool = False,
        signatures: Iterable[TimeSignature] = (),
        num_unheard: int = 0,
    ) -> None:
        self._width = max(MIN_WIDTH, width)
        self._is_coloured = is_coloured
        self._ticks_per_beat = ticks_per_beat
        self._tempo = Tempo(0, DEFAULT_TEMPO)
        self._tempo_seconds = 0.0  # the time at which that tempo began
        self._metre = opening_metre(ticks_per_beat)
        self._has_metre = False  # whether a time signature has come
        self._ahead = deque(signatures)
        self._num_unheard = num_unheard
        self._bar = 0  # the number of the last bar that began, from 1
        self._line = 0
        self._since_head = _LINES_PER_HEAD
        self._sounding: list[_Sounding] = []
        self._colours: dict[tuple[int, bool], int] = {}
        self._lowest, self._highest = 128, -1  # of the pitches so far
        self._low = 0  # the pitch of the first column
        self._has_drums = False

    def push(self, piece: NoteEvent | Tempo | TimeSignature) -> Iterator[str]:
        """Takes one piece and yields the lines that are now complete; exhaust the iterator before the next push."""
        yield from self._lines_before(self._tick(piece))
        if isinstance(piece, Tempo):
            self._tempo_seconds = self._seconds(piece.onset_ticks)
            self._tempo = piece
        elif not isinstance(piece, TimeSignature):
            self._add(piece)
        elif self._num_unheard:
            self._num_unheard -= 1
        else:
            self._change_metre(piece)

    def finish(self) -> Iterator[str]:
        """Yields the remaining lines, until no note sounds."""
        while self._sounding:
            yield from self._next_lines()

    def _change_metre(self, signature: TimeSignature) -> None:
        self._metre = self._metre.then(signature)
        if not self._has_metre:
            self._has_metre, self._bar = True, self._metre.first_bar - 1

    def _tick(self, piece: NoteEvent | Tempo | TimeSignature) -> float:
        if not isinstance(piece, NoteEvent):
            return piece.onset_ticks
        beats = (piece.onset_seconds - self._tempo_seconds) * 1e6 / self._tempo.tempo_us_per_beat
        return round(self._tempo.onset_ticks + beats * self._ticks_per_beat, 6)  # undoes the rounding of seconds

    def _seconds(self, tick: float) -> float:
        beats = (tick - self._tempo.onset_ticks) / self._ticks_per_beat
        return self._tempo_seconds + beats * self._tempo.tempo_us_per_beat / 1e6

    def _start(self, line: int) -> float:
        return line * self._ticks_per_beat / LINES_PER_BEAT

    def _add(self, event: NoteEvent) -> None:
        """Adds a note. A note whose first line was already yielded is shown as held, or not at all if it is over."""
        if event.onset_seconds + event.duration_seconds < self._seconds(self._start(self._line)):
            return
        colour = self._colours.get((event.program, event.is_drum))
        if colour is None:
            colour = _COLOURS[len(self._colours) % len(_COLOURS)]
            self._colours[event.program, event.is_drum] = colour
            self._since_head = _LINES_PER_HEAD
        if event.is_drum:
            self._has_drums = True
        else:
            self._lowest, self._highest = min(self._lowest, event.pitch), max(self._highest, event.pitch)
            self._move()
        self._sounding.append(_Sounding(event, colour, is_struck=self._tick(event) >= self._start(self._line)))

    def _move(self) -> None:
        """Moves the columns so that they show all pitches so far, if these fit."""
        columns = self._num_pitches()
        if self._low <= self._lowest and self._highest < self._low + columns and self._since_head < _LINES_PER_HEAD:
            return
        if self._highest - self._lowest < columns:
            centred = (self._lowest + self._highest + 1 - columns) // 2
            low = max(0, min(128 - columns, centred))
            if low != self._low:
                self._low, self._since_head = low, _LINES_PER_HEAD

    def _num_pitches(self) -> int:
        return min(128, self._width - _LABEL - (len(DRUM_GROUPS) + 1 if self._has_drums else 0))

    def _lines_before(self, tick: float) -> Iterator[str]:
        while self._start(self._line + 1) <= tick:
            yield from self._next_lines()

    def _next_lines(self) -> Iterator[str]:
        """Yields the next line, after a head if one is due, and advances to the line after it."""
        if self._since_head >= _LINES_PER_HEAD and self._colours:
            yield from self._head()
            self._since_head = 0
        stop = self._start(self._line + 1)
        is_bar, label = self._label(stop)
        cells = self._cells(is_bar=is_bar)
        yield self._text([_Cell(f"{label:>{_LABEL - 1}}", _DIM), _Cell(_HELD, _DIM), *cells])
        self._line += 1
        self._since_head += 1
        until = self._seconds(stop) + 1e-6
        self._sounding = [
            sounding._replace(is_struck=False)
            for sounding in self._sounding
            if sounding.event.onset_seconds + sounding.event.duration_seconds > until
        ]

    def _label(self, stop: float) -> tuple[bool, str]:
        """Returns whether a bar begins in the line that ends at a tick, and the label at the left of the line."""
        while self._ahead and self._ahead[0].onset_ticks < stop:
            self._change_metre(self._ahead.popleft())
        if not self._has_metre:
            first, last = self._seconds(self._start(self._line)), self._seconds(stop)
            whole = math.ceil(first - 1e-6)
            return False, f"{whole} s" if whole < last - 1e-6 else ""
        before = self._bar
        while self._metre.start_of(self._bar + 1) < stop:
            self._bar += 1
        is_bar = self._bar > before
        return is_bar, f"{self._bar}" if is_bar else ""

    def _cells(self, *, is_bar: bool) -> list[_Cell]:
        drum_width = self._drum_width()
        pitches = 0 if drum_width > 1 else self._num_pitches()
        empty = "\u00b7" if is_bar else " "
        cells = [_Cell("\u00b7" if (self._low + i) % 12 == 0 else empty, _DIM) for i in range(pitches)]
        drums = [_Cell(empty * drum_width, _DIM) for _ in DRUM_GROUPS] if self._has_drums else []
        for event, colour, is_struck in sorted(self._sounding, key=lambda sounding: sounding.is_struck):
            shade = _STRUCK[event.velocity * len(_STRUCK) // 128]
            if not event.is_drum:
                cells[self._column(event.pitch, pitches)] = _Cell(shade if is_struck else _HELD, colour)
            elif is_struck:
                drums[DRUM_GROUPS.index(drum_group(event.pitch))] = _Cell(
                    (shade * min(drum_width, 4)).ljust(drum_width, empty), colour
                )
        return [*cells, *([_Cell(_HELD, _DIM)] if cells and drums else []), *drums]

    def _drum_width(self) -> int:
        """Returns the columns of each drum: one beside pitches, more without pitches."""
        return 1 if self._highest >= 0 else (self._width - _LABEL) // len(DRUM_GROUPS)

    def _column(self, pitch: int, columns: int) -> int:
        column = pitch - self._low
        if column < 0:
            column += -(column // 12) * 12
        elif column >= columns:
            column -= ((column - columns) // 12 + 1) * 12
        return column

    def _head(self) -> Iterator[str]:
        """Yields a line with the names of the instruments in their colours, then one with octaves and drums."""
        names: list[_Cell] = [_Cell(" " * _LABEL, _DIM)]
        room = self._width - _LABEL
        for (program, is_drum), colour in self._colours.items():
            name = f"{instrument_name(program, is_drum)}  "[: max(0, room)]
            room -= len(name)
            names.append(_Cell(name, colour))
        yield self._text(names)
        width = self._drum_width()
        octaves = ""
        if width == 1:
            low, columns = self._low, self._num_pitches()
            marks = [" "] * columns
            for pitch in range(-(-low // 12) * 12, low + columns - 2, 12):
                marks[pitch - low : pitch - low + len(pitch_name(pitch))] = pitch_name(pitch)
            octaves = "".join(marks)[:columns]
        drums = "".join(name[: max(1, width - 1)].ljust(width) for name in DRUM_GROUPS) if self._has_drums else ""
        yield self._text([_Cell(" " * _LABEL + octaves + (" " if octaves and drums else "") + drums, _DIM)])

    def _text(self, cells: list[_Cell]) -> str:
        if not self._is_coloured:
            return "".join(cell.text for cell in cells).rstrip()
        parts: list[str] = []
        last = 0
        for text, colour in cells:
            if colour != last and text.strip():
                parts.append(f"\x1b[0;{colour}m")
                last = colour
            parts.append(text)
        return "".join(parts).rstrip() + "\x1b[0m"
