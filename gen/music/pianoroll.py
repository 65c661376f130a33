"""Draws a score as a piano roll: time to the right, pitch upwards, a colour for each track, darker where louder."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gen.errors import SettingError
from gen.files import write_atomically
from gen.music.score import Score, pitch_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SECONDS_PER_INCH = 2.5
MIN_INCHES = 6.0
MAX_INCHES = 40.0  # at 100 dots an inch; longer music is drawn denser
_NO_STAMP = {".svg": {"Date": None}, ".png": {"Software": None}}
_COLOURS = ("#1f5fa8", "#c4501b", "#2e8540", "#7b3fa0", "#a8871f", "#b02a5b", "#2a9d9d", "#555555")


def write_pianoroll(path: Path, score: Score) -> None:
    """Writes a picture; the suffix, .png or .svg, chooses its kind. Equal scores give equal bytes.

    Raises:
        SettingError: matplotlib is missing, the suffix is another, or the file cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in (".png", ".svg"):
        raise SettingError(f"{path}: unknown kind of picture ({suffix or 'no suffix'})", hint="use .png or .svg")
    try:
        import matplotlib as mpl
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as err:
        raise SettingError(
            f"{path}: a piano roll needs matplotlib ({err.name})", hint='pip install "gen-rnn[plots]"'
        ) from err
    inches = min(MAX_INCHES, max(MIN_INCHES, score.duration_seconds / SECONDS_PER_INCH))
    figure = Figure(figsize=(inches, 3.6), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    _draw(figure.add_subplot(), score)
    with mpl.rc_context({"svg.hashsalt": "gen", "svg.fonttype": "none"}):
        write_atomically(path, partial(figure.savefig, format=suffix.removeprefix("."), metadata=_NO_STAMP[suffix]))


def _draw(axes: "Axes", score: Score) -> None:
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import to_rgba

    pitches = [note.pitch for track in score.tracks for note in track.notes] or [60]
    low, high = min(pitches) - 2, max(pitches) + 3
    octaves = [pitch for pitch in range(0, 128, 12) if low <= pitch < high]
    for octave in octaves:
        axes.axhline(octave, color="#dddddd", linewidth=0.8, zorder=0)
    for index, track in enumerate(score.tracks):
        starts = score.seconds([note.onset_ticks for note in track.notes])
        stops = score.seconds([note.onset_ticks + note.duration_ticks for note in track.notes])
        boxes = [
            ((start, note.pitch), (stop, note.pitch), (stop, note.pitch + 1), (start, note.pitch + 1))
            for note, start, stop in zip(track.notes, starts, stops, strict=True)
        ]
        colour = _COLOURS[index % len(_COLOURS)]
        faces = [to_rgba(colour, 0.35 + 0.65 * note.velocity / 127) for note in track.notes]
        axes.add_collection(PolyCollection(boxes, facecolors=faces, edgecolors="white", linewidths=0.3))
    axes.set(xlim=(0, max(score.duration_seconds, 1.0)), ylim=(low, high), xlabel="seconds")
    axes.set_yticks([octave + 0.5 for octave in octaves], [pitch_name(octave) for octave in octaves])
    axes.spines[["top", "right"]].set_visible(False)
