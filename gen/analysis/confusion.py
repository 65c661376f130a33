"""A picture of the labels that a classifier confuses."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gen.analysis.classification import HasConfusion
from gen.files.pictures import write_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CELL = 0.28  # inches
_LABELS, _MARGIN = 0.09, 0.5  # inches: of a letter of a label, and around all
MAX_NUMBERS = 40  # labels, above which cells hold no numbers


def write_confusion(path: Path, result: HasConfusion) -> None:
    """Writes the confusion table as .png or .svg: a row for each right label, a column for each answer.

    The darker a cell, the larger its share of its row. Labels that do not occur are left out.

    Raises SettingError if matplotlib is missing, the suffix is unknown, or the file cannot be written.
    """
    write_picture(path, "a confusion table", lambda figure: _draw(figure, result))


def _draw(figure: "Figure", result: HasConfusion) -> None:
    table = np.array(result.confusion)
    occurs = np.flatnonzero(table.sum(0) + table.sum(1))
    table, names = table[np.ix_(occurs, occurs)], [result.labels[k] for k in occurs]
    room = _LABELS * max(map(len, names)) + _MARGIN
    side = _CELL * len(names)
    size = side + room + _MARGIN
    figure.set_size_inches(size, size)
    axes = figure.add_axes((room / size, _MARGIN / size, side / size, side / size))
    shares = table / np.maximum(1, table.sum(1, keepdims=True))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.xaxis.tick_top()
    axes.set_ylabel("label", fontsize=8)
    axes.set_xlabel("answer", fontsize=8)
    for row, column in np.argwhere(table) if len(names) <= MAX_NUMBERS else ():
        colour = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, str(table[row, column]), ha="center", va="center", fontsize=6, color=colour)
