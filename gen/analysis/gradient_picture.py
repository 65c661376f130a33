"""A picture of the gradient by lag: a line for each network."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gen.analysis.gradient_flow import GradientFlow
from gen.files.pictures import write_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

WIDTH, HEIGHT = 7.0, 4.4  # inches
FLOOR = 1e-16  # of the picture: below it a curve is cut off, or it alone would set the scale


def write_gradient(path: Path, flows: Mapping[str, GradientFlow], untrained: Mapping[str, GradientFlow]) -> None:
    """Writes the gradient by lag as .png or .svg: means as lines, quartiles as bands, on a logarithmic scale.

    Args:
        path: of the picture.
        flows: by the names of the networks.
        untrained: of some of these networks before their training, drawn as dotted lines.

    Raises SettingError if matplotlib is missing, the suffix is unknown, or the file cannot be written.
    """
    write_picture(path, "a gradient by lag", lambda figure: _draw(figure, flows, untrained))


def _draw(figure: "Figure", flows: Mapping[str, GradientFlow], untrained: Mapping[str, GradientFlow]) -> None:
    figure.set_size_inches(WIDTH, HEIGHT)
    figure.set_layout_engine("tight")
    axes = figure.add_subplot()
    axes.set_yscale("log")
    for number, (name, flow) in enumerate(flows.items()):
        _draw_flow(axes, name, flow, colour=f"C{number}")
        if name in untrained:
            axes.plot(_drawable(untrained[name].mean), ":", color=f"C{number}", linewidth=1)
    if untrained:
        axes.plot([], [], ":", color="grey", linewidth=1, label="before training")
    lowest = min(_drawable(flow.mean).min() for flow in (*flows.values(), *untrained.values()))
    axes.set_ylim(bottom=lowest)
    axes.margins(x=0)
    axes.grid(visible=True, alpha=0.3)
    axes.set_xlabel("lag k in tokens; 0 is the last input before the prediction")
    axes.set_ylabel("|d loss(t) / d input(t - k)|")
    axes.legend()


def _draw_flow(axes: "Axes", name: str, flow: GradientFlow, *, colour: str) -> None:
    axes.plot(_drawable(flow.mean), color=colour, label=name)
    lower, upper = _drawable(flow.lower_quartile), _drawable(flow.upper_quartile)
    axes.fill_between(np.arange(len(flow.mean)), lower, upper, color=colour, alpha=0.15, linewidth=0)


def _drawable(norms: Floats) -> Floats:
    """Returns norms of which none is below the floor, since a logarithmic scale has no zero."""
    found: Floats = np.maximum(norms, FLOOR)
    return found
