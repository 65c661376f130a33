"""The cost of each character or note on the screen: in colours on a terminal, in digits elsewhere.

In digits, each line of a text is followed by a line with the bits of the characters above: blank below 1, 9 for 9 and
more. A character that would not be seen, or that would move the cursor, is shown by a mark.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Final

from rich.cells import cell_len

from gen.music.score import NoteEvent

BIT: Final = math.log(2)  # nats
MAX_BITS: Final = 10.0  # of a character, from which on a colour is no stronger
MAX_NOTE_BITS: Final = 20.0  # likewise of a note
LEGEND: Final = (0.05, 0.2, 0.4, 0.6, 0.8, 1.0)  # shares of these
DIGITS: Final = "below each line: the bits of each character; blank below 1, 9 for 9 and more"
BAR_WIDTH: Final = 20  # of the bar beside a note, a character a bit
# The colours of the background: share of the most bits, red, green, blue. Below the first there is none.
_RAMP: Final = (
    (0.05, 255, 246, 214),
    (0.3, 255, 205, 120),
    (0.6, 238, 110, 60),
    (1.0, 160, 15, 45),
)
_DARK: Final = 0.55  # share of the most bits, from which on the letters are white
_MARKS: Final = {"\n": "\u23ce", "\t": "\u2192", "\x7f": "\u2421", "\u2028": "\u2424", "\u2029": "\u2424"}

Cost = float | None  # nats; None for a character that was not predicted, such as one of a prompt
Show = Callable[[Iterable[tuple[str, Cost]]], Iterator[str]]


def visible(character: str) -> str:
    """Returns a character as it is shown: itself, or a mark for one that is not printable."""
    if character.isprintable():
        return character
    if character in _MARKS:
        return _MARKS[character]
    code = ord(character) if len(character) == 1 else -1
    return chr(0x2400 + code) if 0 <= code < 0x20 else "".join(f"[U+{ord(each):04X}]" for each in character)


def coloured(text: str, nats: Cost, *, max_bits: float = MAX_BITS) -> str:
    """Returns a text on the colour of its cost, by a 24-bit escape sequence."""
    share = 0.0 if nats is None else min(1.0, max(0.0, nats / BIT / max_bits))
    if share < _RAMP[0][0]:
        return text
    letters = "255;255;255" if share > _DARK else "0;0;0"
    return f"\x1b[38;2;{letters};48;2;{';'.join(map(str, _colour(share)))}m{text}\x1b[0m"


def legend(max_bits: float = MAX_BITS) -> str:
    """Returns a line that explains the colours."""
    shown = (share * max_bits for share in LEGEND)
    return "bits: " + " ".join(coloured(f" {bits:g} ", bits * BIT, max_bits=max_bits) for bits in shown)


def coloured_text(characters: Iterable[tuple[str, Cost]]) -> Iterator[str]:
    """Yields each character at once, on the colour of its cost."""
    for character, nats in characters:
        is_new = character == "\n"
        if nats is None:
            yield character if is_new or character == "\t" else "".join(map(visible, character))
        else:
            yield coloured(visible(character), nats) + "\n" * is_new


def marked_text(characters: Iterable[tuple[str, Cost]], *, width: int) -> Iterator[str]:
    """Yields lines of at most `width` cells, each with its line of digits below it, when they are complete."""
    text, digits, column = "", "", 0
    for character, nats in characters:
        for shown, cost in _cells(character, nats):
            size = cell_len(shown)
            if column + size > width:
                yield f"{text}\n{digits.rstrip()}\n"
                text, digits, column = "", "", 0
            text += shown
            if size or not digits:
                digits += _digit(cost).ljust(size)
            else:  # a character that combines with the one before it
                digits = digits[:-1] + max(digits[-1], _digit(cost))
            column += size
        if character == "\n":
            yield f"{text}\n{digits.rstrip()}\n"
            text, digits, column = "", "", 0
    if text:
        yield f"{text}\n{digits.rstrip()}\n"


def note_lines(notes: Sequence[NoteEvent], nats: Iterable[float], *, is_coloured: bool) -> Iterator[str]:
    """Yields a line a note: as `gen sample` prints it, its bits, and a bar of them."""
    for note, cost in zip(notes, nats, strict=True):
        bits = cost / BIT
        bar = "#" * max(0, min(BAR_WIDTH, round(bits)))
        figure = f"{bits:6.2f} bits"
        shown = coloured(figure, cost, max_bits=MAX_NOTE_BITS) if is_coloured else f"{figure}  {bar}".rstrip()
        yield f"{note!s:<54}{shown}"


def quoted(text: Any) -> str:
    """Returns a passage in one line."""
    return "".join(map(visible, text))


def _cells(character: str, nats: Cost) -> Iterator[tuple[str, Cost]]:
    """Yields what is shown of a character; a prompt comes as one text of many."""
    if len(character) == 1 or nats is not None:
        yield visible(character) if len(character) == 1 else "".join(map(visible, character)), nats
        return
    for each in character:
        yield visible(each), nats


def _digit(nats: Cost) -> str:
    bits = 0 if nats is None else int(min(9.0, nats / BIT))
    return str(bits) if bits else " "


def _colour(share: float) -> tuple[int, ...]:
    """Returns red, green and blue, linear between the colours of the ramp."""
    for (low, *below), (high, *above) in pairwise(_RAMP):
        if share <= high:
            part = (share - low) / (high - low)
            return tuple(round(a + part * (b - a)) for a, b in zip(below, above, strict=True))
    return _RAMP[-1][1:]
