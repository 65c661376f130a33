"""Heat maps of units over tokens, and the saturation of the gates of all units."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gen.analysis.probing.gates import Floats, Recording
from gen.analysis.probing.saturation import GATE_NAMES, saturation
from gen.files.pictures import write_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_UNITS = 16  # rows of a heat map
MAX_NAMED = 120  # tokens, above which they are numbered and not spelt
WIDTH, ROW, GAP, SCATTER = 12.0, 0.16, 0.65, 2.6  # inches
_MARKS = {"\n": "\u23ce", "\t": "\u2192", " ": "\u2423"}


def write_heat_maps(path: Path, recording: Recording, units: Sequence[tuple[int, int]], symbols: Sequence[str]) -> None:
    """Writes heat maps of tanh(c), or of h, and of each gate, a row for each unit, and the saturation picture below.

    In the latter each unit is a dot: how often its gate is open, and how often shut (Karpathy, Johnson & Li 2015).

    Args:
        path: of the .png or .svg.
        recording: of the tokens.
        units: layer and number of those that are drawn; the first `MAX_UNITS` are.
        symbols: (V,) of the vocabulary.

    Raises SettingError if matplotlib is missing, the suffix is unknown, or the file cannot be written.
    """
    shown = units[:MAX_UNITS]
    write_picture(path, "heat maps", lambda figure: _draw(figure, recording, shown, symbols))


def _draw(figure: "Figure", recording: Recording, units: Sequence[tuple[int, int]], symbols: Sequence[str]) -> None:
    gates = [name for name in recording.layers[0] if name in GATE_NAMES]
    map_height = ROW * len(units)
    height = (map_height + GAP) * (1 + len(gates)) + (SCATTER + GAP if gates else 0)
    figure.set_size_inches(WIDTH, height)

    def area(left: float, top: float, width: float, depth: float) -> "Axes":
        return figure.add_axes((left / WIDTH, (height - top - depth) / height, width / WIDTH, depth / height))

    for number, name in enumerate(["state", *gates]):
        axes = area(0.7, 0.35 + number * (map_height + GAP), WIDTH - 1.6, map_height)
        _heat_map(figure, axes, name, recording, units, symbols)
    for number, name in enumerate(gates):
        side = SCATTER - 0.6
        axes = area(0.9 + number * (SCATTER + 0.6), 0.45 + (1 + len(gates)) * (map_height + GAP), side, side)
        _scatter(axes, name, recording)


def _heat_map(
    figure: "Figure",
    axes: "Axes",
    name: str,
    recording: Recording,
    units: Sequence[tuple[int, int]],
    symbols: Sequence[str],
) -> None:
    rows = [_values(recording.layers[layer], name)[:, n] for layer, n in units]
    colours, low = ("RdBu_r", -1) if name == "state" else ("Greys", 0)
    image = axes.imshow(np.array(rows), aspect="auto", interpolation="nearest", cmap=colours, vmin=low, vmax=1)
    figure.colorbar(image, ax=axes, fraction=0.02, pad=0.01).ax.tick_params(labelsize=6)
    axes.set_yticks(range(len(units)), [f"{layer}:{n}" for layer, n in units], fontsize=6)
    title = f"{name}, {GATE_NAMES[name]}" if name in GATE_NAMES else "tanh(c)" if "c" in recording.layers[0] else "h"
    axes.set_title(title, fontsize=8, loc="left")
    if len(recording.ids) <= MAX_NAMED:
        spelt = [_MARKS.get(symbols[token], symbols[token]) for token in recording.ids.tolist()]
        axes.set_xticks(range(len(spelt)), spelt, fontsize=6, rotation=90 if max(map(len, spelt)) > 1 else 0)
    else:
        axes.tick_params(axis="x", labelsize=6)


def _values(arrays: Mapping[str, Floats], name: str) -> Floats:
    """Returns (N, H) numbers between -1 and 1: of a cell state its tanh, which the output gate shows."""
    if name != "state":
        return arrays[name]
    return np.tanh(arrays["c"]) if "c" in arrays else arrays["h"]


def _scatter(axes: "Axes", name: str, recording: Recording) -> None:
    for layer, arrays in enumerate(recording.layers):
        of = saturation(arrays)[name]
        axes.scatter(of.open, of.shut, s=5, alpha=0.6, label=f"layer {layer}")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.set_title(f"{name}, {GATE_NAMES[name]}", fontsize=8, loc="left")
    axes.set_xlabel("share of tokens open", fontsize=7)
    axes.set_ylabel("shut", fontsize=7)
    axes.tick_params(labelsize=6)
    if len(recording.layers) > 1:
        axes.legend(fontsize=6)
