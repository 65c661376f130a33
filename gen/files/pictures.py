"""Pictures that matplotlib draws, as .png or .svg; equal contents give equal bytes."""

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gen.errors import SettingError
from gen.files.disk import check_place, write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 144
_NO_STAMP = {".svg": {"Date": None}, ".png": {"Software": None}}


def check_picture(path: Path) -> None:
    """Raises SettingError unless the path has the suffix of a picture and stands in a folder that exists."""
    suffix = path.suffix.lower()
    if suffix not in _NO_STAMP:
        raise SettingError(f"{path}: unknown kind of picture ({suffix or 'no suffix'})", hint="use .png or .svg")
    check_place(path)


def write_picture(path: Path, what: str, draw: Callable[["Figure"], None]) -> None:
    """Writes a figure as .png or .svg, chosen by the suffix.

    Args:
        path: of the picture.
        what: it is, in words such as "a piano roll".
        draw: draws on an empty figure.

    Raises SettingError if the suffix is unknown, matplotlib is missing, or the file cannot be written.
    """
    check_picture(path)
    try:
        import matplotlib as mpl
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as err:
        raise SettingError(
            f"{path}: {what} needs matplotlib ({err.name})", hint='pip install "gen-rnn[plots]"'
        ) from err
    figure, suffix = Figure(dpi=DOTS_PER_INCH), path.suffix.lower()
    FigureCanvasAgg(figure)
    draw(figure)
    with mpl.rc_context({"svg.hashsalt": "gen", "svg.fonttype": "none"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # a letter that the font lacks is drawn as a box
        write_atomically(path, partial(figure.savefig, format=suffix.removeprefix("."), metadata=_NO_STAMP[suffix]))
