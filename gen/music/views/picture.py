"""Draws a score as a piano roll: systems as in printed music, time to the right, pitch upwards, louder notes darker.

Each track has its colour. Below the pitches of a system, each drum has a lane. Everything is drawn in inches on one
pair of axes without ticks, as a few collections of shapes: axes for each system would take a second per page.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gen.files.pictures import write_picture
from gen.music.score import Score, Track, pitch_name
from gen.music.views.instruments import drum_name, instrument_name
from gen.music.views.page import SYSTEM_INCHES, Ruling, System, clock, rule, systems

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = (
    "#1f5fa8",
    "#c4501b",
    "#2e8540",
    "#7b3fa0",
    "#a8871f",
    "#b02a5b",
    "#2a9d9d",
    "#6b4a2b",
    "#5a6acf",
    "#8aa61f",
    "#d07aa8",
    "#4f7f9f",
)
_DRUM_COLOUR = "#3d3d46"
_INK, _GREY, _BAR, _BEAT, _OCTAVE, _BLACK_KEY = "#222222", "#777777", "#9a9a9a", "#e4e4e4", "#cfcfcf", "#f5f5f5"
_BLACK_KEYS = (1, 3, 6, 8, 10)

_MARGIN = 0.25  # inches, as all lengths below
_PITCH = 0.052
_LANE = 0.13
_GAP = 0.42  # between systems, with room for bar numbers
_DRUM_GAP = 0.06
_CHARACTER = 0.066  # in the legend
_LEGEND_LINE = 0.2
_MIN_PITCHES = 18
_HIT = 0.07
_MIN_NOTE = 0.012
_BETWEEN_LABELS = 0.32


class _Lanes(NamedTuple):
    """The lanes of each system from top to bottom: first pitches, then drums."""

    left: float
    top: float
    low: int  # the lowest pitch with a lane
    num_pitches: int  # 0 if there are only drums
    drums: list[int]  # the pitches of the drums, from the highest lane down

    @property
    def drums_top(self) -> float:
        return self.num_pitches * _PITCH + (_DRUM_GAP if self.num_pitches and self.drums else 0)

    @property
    def height(self) -> float:
        return self.drums_top + len(self.drums) * _LANE


def write_pianoroll(path: Path, score: Score) -> None:
    """Writes a picture as .png or .svg, chosen by the suffix. Equal scores give equal bytes.

    Raises:
        SettingError: matplotlib is missing, the suffix is unknown, or the file cannot be written.
    """
    write_picture(path, "a piano roll", lambda figure: _draw(figure, score))


def _draw(figure: "Figure", score: Score) -> None:
    """Draws a score on a page and sets the size of the page."""
    tracks = [track for track in score.tracks if track.notes]
    legend = list(_legend(tracks))
    lanes = _divide(tracks, legend_lines=max((line for line, *_ in legend), default=-1) + 1)
    ruling = rule(score)
    lines = systems(score, ruling, top=lanes.top, height=lanes.height + _GAP)
    ends = [lanes.left + line.scale * (line.stop - line.start) for line in lines]
    width = max(*ends, *(x + 0.16 + len(label) * _CHARACTER for _, x, label, _ in legend), 0) + _MARGIN
    height = lines[-1].top + lanes.height + _MARGIN
    figure.set_size_inches(width, height)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    for line in lines:
        _draw_paper(axes, lanes, line)
        _draw_ruling(axes, lanes, line, ruling)
        if ruling.is_metric:
            _write_time(axes, score, line, left=lanes.left)
    _draw_notes(axes, score, tracks, lanes, lines, is_metric=ruling.is_metric)
    for number, x, label, colour in legend:
        y = _MARGIN + number * _LEGEND_LINE
        _fill(axes, np.array([_box(x, x + 0.1, y - 0.05, y + 0.05)]), colour, zorder=1)
        _write(axes, x + 0.16, y, label, size=8, va="center")


def _divide(tracks: Iterable[Track], *, legend_lines: int) -> _Lanes:
    pitched = [track.columns[2] for track in tracks if not track.is_drum]
    drums = sorted({pitch for track in tracks if track.is_drum for pitch in track.columns[2].tolist()}, reverse=True)
    low = high = 60
    if pitched:
        low, high = min(int(p.min()) for p in pitched), max(int(p.max()) for p in pitched)
    spare = max(0, _MIN_PITCHES - (high - low + 1))
    low = max(0, low - 1 - spare // 2)
    num_pitches = min(128, high + 2 + spare - spare // 2) - low if pitched or not drums else 0
    names = max((len(drum_name(pitch)) for pitch in drums), default=0)
    left = _MARGIN + max(0.35, names * 0.068)
    return _Lanes(left, _MARGIN + 0.3 + legend_lines * _LEGEND_LINE, low, num_pitches, drums)


def _legend(tracks: list[Track]) -> Iterator[tuple[int, float, str, str]]:
    """Yields the line, the position in it, the name and the colour of each track; nothing for a single track."""
    if len(tracks) < 2:
        return
    line, x = 0, _MARGIN
    for label, colour in zip(_labels(tracks), _colours(tracks), strict=True):
        width = 0.16 + (len(label) + 2) * _CHARACTER
        if x > _MARGIN and x + width > SYSTEM_INCHES:
            line, x = line + 1, _MARGIN
        yield line, x, label, colour
        x += width


def _labels(tracks: Iterable[Track]) -> Iterator[str]:
    """Yields the label of each track; equal labels get numbers."""
    labels = [_label(track) for track in tracks]
    seen: Counter[str] = Counter()
    for label in labels:
        seen[label] += 1
        yield f"{label} {seen[label]}" if labels.count(label) > 1 else label


def _label(track: Track) -> str:
    instrument = instrument_name(track.program, track.is_drum)
    name = "".join(c for c in track.name if c.isprintable()).strip()[:24]
    return f"{name} ({instrument})" if name and name.lower() != instrument else instrument


def _colours(tracks: Iterable[Track]) -> Iterator[str]:
    number = 0
    for track in tracks:
        yield _DRUM_COLOUR if track.is_drum else _COLOURS[number % len(_COLOURS)]
        number += not track.is_drum


def _draw_paper(axes: "Axes", lanes: _Lanes, line: System) -> None:
    """Draws the lanes of one system: those of black keys in grey, a line below each C, every other drum in grey."""
    left, right = lanes.left, lanes.left + line.scale * (line.stop - line.start)
    bottom = line.top + lanes.num_pitches * _PITCH
    grey: list[list[tuple[float, float]]] = []
    for number in range(lanes.num_pitches):
        pitch, y = lanes.low + number, bottom - number * _PITCH
        if pitch % 12 in _BLACK_KEYS:
            grey.append(_box(left, right, y, y - _PITCH))
        elif pitch % 12 == 0:
            axes.plot([left, right], [y, y], color=_OCTAVE, linewidth=0.6, zorder=1)
            _write(axes, left - 0.06, y - _PITCH / 2, pitch_name(pitch), size=7, ha="right", va="center")
    top = line.top + lanes.drums_top
    for number, pitch in enumerate(lanes.drums):
        y = top + number * _LANE
        if number % 2 == 0:
            grey.append(_box(left, right, y, y + _LANE))
        _write(axes, left - 0.06, y + _LANE / 2, drum_name(pitch), size=6.5, ha="right", va="center")
    _fill(axes, np.array(grey).reshape(-1, 4, 2), _BLACK_KEY, zorder=0)


def _draw_ruling(axes: "Axes", lanes: _Lanes, line: System, ruling: Ruling) -> None:
    """Draws the bars and beats of one system and writes bar numbers above it."""
    bars, beats = (_within(positions, line) for positions in (ruling.bars, ruling.beats))
    for positions, colour, width in (
        (beats, _BEAT, 0.5),
        (np.append(bars, line.stop), _BAR if ruling.is_metric else _OCTAVE, 0.7),
    ):
        if len(positions) and (line.stop - line.start) * line.scale / len(positions) > 0.05:
            for low, high in _bands(lanes, line):
                axes.vlines(_x(lanes, line, positions), low, high, colors=colour, linewidths=width, zorder=1)
    first = int(np.searchsorted(ruling.bars, line.start))
    free = 0.0
    for position, label in zip(bars.tolist(), ruling.labels[first : first + len(bars)], strict=True):
        x = float(_x(lanes, line, position))
        metre = ruling.metres.get(position, "")
        if x < free and not metre:
            continue
        _write(axes, x, line.top - 0.05, label, size=7, colour=_GREY)
        if metre:
            _write(axes, x + 0.062 * len(label) + 0.05, line.top - 0.05, metre, size=7, weight="bold")
        free = x + max(_BETWEEN_LABELS, 0.062 * (len(label) + len(metre)) + 0.12)


def _write_time(axes: "Axes", score: Score, line: System, *, left: float) -> None:
    seconds = float(score.seconds([int(line.start)])[0])
    _write(axes, left - 0.06, line.top - 0.05, clock(seconds), size=7, ha="right", colour=_GREY)


def _draw_notes(
    axes: "Axes", score: Score, tracks: list[Track], lanes: _Lanes, lines: list[System], *, is_metric: bool
) -> None:
    """Draws all notes; a note that continues in the next system is drawn in both."""
    boxes: list[NDArray[np.float64]] = []
    shades: list[NDArray[np.float64]] = []
    for track, colour in zip(tracks, _colours(tracks), strict=True):
        onsets, durations, pitches, velocities = track.columns
        starts, stops = onsets.astype(float), (onsets + durations).astype(float)
        if not is_metric:
            starts, stops = score.seconds(onsets), score.seconds(onsets + durations)
        for line in lines:
            is_here = (starts < line.stop) & ((starts if track.is_drum else stops) >= line.start)
            is_here &= (stops > line.start) | (starts >= line.start)
            left = _x(lanes, line, np.maximum(starts[is_here], line.start))
            right = np.maximum(_x(lanes, line, np.minimum(stops[is_here], line.stop)), left + _MIN_NOTE)
            if track.is_drum:
                numbers = np.searchsorted(-np.array(lanes.drums), -pitches[is_here])
                low = line.top + lanes.drums_top + numbers * _LANE + 0.015
                left = np.minimum(left, _x(lanes, line, line.stop) - _HIT)  # keeps a last hit inside the system
                right, high = left + _HIT, low + _LANE - 0.03
            else:
                low = line.top + (lanes.num_pitches - (pitches[is_here] - lanes.low)) * _PITCH
                high = low - _PITCH
            boxes.append(np.stack((left, low, right, low, right, high, left, high), axis=1).reshape(-1, 4, 2))
            shades.append(_shades(colour, velocities[is_here]))
    if boxes:
        _fill(axes, np.concatenate(boxes), np.concatenate(shades), zorder=2, edge=0.3)


def _shades(colour: str, velocities: NDArray[np.int64]) -> NDArray[np.float64]:
    """Returns (N, 3) colours for (N,) velocities; softer notes are lighter."""
    full = np.array([int(colour[start:stop], 16) / 255 for start, stop in pairwise(range(1, 8, 2))])
    strength = (0.35 + 0.65 * velocities / 127)[:, None]
    return np.asarray(1 - strength * (1 - full), np.float64)


def _within(positions: NDArray[np.float64], line: System) -> NDArray[np.float64]:
    return positions[(positions >= line.start) & (positions < line.stop)]


def _x(lanes: _Lanes, line: System, position: "NDArray[np.float64] | float") -> NDArray[np.float64]:
    return np.asarray(lanes.left + (np.asarray(position) - line.start) * line.scale, np.float64)


def _bands(lanes: _Lanes, line: System) -> Iterator[tuple[float, float]]:
    """Yields the tops and bottoms of the pitches and of the drums of a system."""
    if lanes.num_pitches:
        yield line.top, line.top + lanes.num_pitches * _PITCH
    if lanes.drums:
        yield line.top + lanes.drums_top, line.top + lanes.height


def _box(left: float, right: float, low: float, high: float) -> list[tuple[float, float]]:
    return [(left, low), (right, low), (right, high), (left, high)]


def _fill(
    axes: "Axes", boxes: NDArray[np.float64], colours: "str | NDArray[np.float64]", *, zorder: int, edge: float = 0
) -> None:
    """Fills (N, 4, 2) boxes with one colour or (N, 3) colours; `edge` is the width of their white edges."""
    from matplotlib.collections import PolyCollection

    boxes_drawn = PolyCollection(list(boxes), facecolors=colours, edgecolors="white", linewidths=edge, zorder=zorder)
    axes.add_collection(boxes_drawn, autolim=False)


def _write(
    axes: "Axes",
    x: float,
    y: float,
    text: str,
    *,
    size: float,
    colour: str = _INK,
    ha: Literal["left", "right"] = "left",
    va: Literal["baseline", "center"] = "baseline",
    weight: Literal["normal", "bold"] = "normal",
) -> None:
    """Writes text literally: a dollar sign starts no formula."""
    axes.text(x, y, text, size=size, color=colour, ha=ha, va=va, weight=weight, parse_math=False)
