"""A curve in block characters, eight levels a row, with named marks at their heights."""

from collections.abc import Mapping, Sequence

BLOCKS = " " + "".join(chr(0x2580 + level) for level in range(1, 9))  # nothing, one eighth, ... a full block
DASH = chr(0x2504)
AXIS = chr(0x2502)


def curve(
    points: Sequence[tuple[float, float]], *, width: int, height: int, marks: Mapping[str, float] | None = None
) -> list[str]:
    """Returns `height` lines of at most `width` characters, the highest first.

    Args:
        points: (x, y), at least two, x rising; a column shows the height at its right end.
        width: columns in all, the axis's numbers included.
        height: rows.
        marks: heights that get a dashed line and a name if the curve leaves room; heights outside are left out.
    """
    marks = marks or {}
    values = _columns(points, max(8, width - 9))
    low, high = min(values), max(values)
    room = (high - low) * 0.1 or 0.05
    low, high = low - room, high + room
    levels = [round((value - low) / (high - low) * height * 8) for value in values]
    lines = []
    for row in reversed(range(height)):
        cells = [BLOCKS[max(0, min(8, level - 8 * row))] for level in levels]
        bottom, top = (low + (high - low) * edge / height for edge in (row, row + 1))
        names = [name for name, value in marks.items() if bottom <= value < top]
        label = f"{top:7.2f}" if row == height - 1 else f"{bottom:7.2f}" if row == 0 else " " * 7
        lines.append(f"{label} {AXIS}{''.join(_marked(cells, names))}")
    return lines


def _columns(points: Sequence[tuple[float, float]], count: int) -> list[float]:
    """Returns the heights of the curve at `count` evenly spaced x, linear between points."""
    start, stop = points[0][0], points[-1][0]
    values, index = [], 0
    for column in range(count):
        x = start + (stop - start) * column / max(1, count - 1)
        while index < len(points) - 2 and points[index + 1][0] < x:
            index += 1
        (x0, y0), (x1, y1) = points[index], points[index + 1]
        share = (x - x0) / (x1 - x0) if x1 > x0 else 1.0
        values.append(y0 + (y1 - y0) * min(1.0, max(0.0, share)))
    return values


def _marked(cells: list[str], names: Sequence[str]) -> list[str]:
    """Returns a row with a dashed line through its empty cells and the names at its right end, if they fit."""
    if not names:
        return cells
    dashed = [DASH if cell == " " else cell for cell in cells]
    text = f" {', '.join(names)} "
    if len(text) <= len(cells) and all(cell == " " for cell in cells[-len(text) :]):
        dashed[-len(text) :] = text
    return dashed
