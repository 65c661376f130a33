"""The lines of `gen probe` in the terminal."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from gen.analysis.probing.equations import Equation
from gen.analysis.probing.gates import Recording
from gen.analysis.probing.knockout import Knockout
from gen.analysis.probing.saturation import GATE_NAMES, OPEN, SHUT, saturation
from gen.analysis.probing.units import Following

if TYPE_CHECKING:
    from gen.runs.probing import Probe, Unit

MAX_UNITS = 8
MAX_EXCERPTS = 6  # features whose best unit is shown at work
MARKS = str.maketrans({"\n": "\u23ce", "\t": "\u2192", "\r": "\u240d"})


def window_line(probe: "Probe", window: int) -> str:
    """Returns a line for the part of the corpus that was looked at."""
    return f"{probe.run.name}: {probe.part(window)}"


def overview_lines(recording: Recording, best: "Sequence[Unit]") -> Iterator[str]:
    """Yields how often the gates are shut and open, and the first of the best units."""
    yield f"{recording.nats.mean() / math.log(2):.3f} bits per token"
    saturations = [saturation(arrays) for arrays in recording.layers]
    if any(saturations):
        yield f"share of tokens at which a gate is shut (below {SHUT}) and open (above {OPEN}), mean over units:"
    for layer, gates in enumerate(saturations):
        for name, of in gates.items():
            title = f"{name}, {GATE_NAMES[name]}"
            yield f"  layer {layer}  {title:<15}  shut {of.shut.mean():6.1%}   open {of.open.mean():6.1%}"
    yield "units that move far and stay:"
    for layer, unit in best[:MAX_UNITS]:
        values = recording.state(layer)[:, unit]
        shares = "".join(f"   {name} open {of.open[unit]:6.1%}" for name, of in saturations[layer].items())
        yield f"  {layer}:{unit:<5} state {values.min():8.3f} to {values.max():8.3f}{shares}"


def find_lines(probe: "Probe", found: Mapping[str, Sequence[Following]]) -> Iterator[str]:
    """Yields for each feature the units that follow it, and where the best one fires most."""
    yield "correlation of the state on the half on which the unit was not chosen; of shuffled labels beside it:"
    size = probe.run.config.hidden_size
    width = max((len(name) for name in found), default=0)
    for name, units in found.items():
        best, *others = [(divmod(each.unit, size), each) for each in units]
        more = "".join(f"  {layer}:{unit} {each.correlation:+.2f}" for (layer, unit), each in others)
        (layer, unit), each = best
        label = f"{layer}:{unit}"
        yield f"{name:<{width}}  {label:<7} {each.correlation:+.3f}  shuffled {each.shuffled:.3f}  {each.form:<8}{more}"
    for name, units in list(found.items())[:MAX_EXCERPTS]:
        layer, unit = divmod(units[0].unit, size)
        yield ""
        yield f"{name}: unit {layer}:{unit} is {'highest' if units[0].chosen > 0 else 'lowest'} at"
        yield from (f"  {passage_line(probe, at)}" for at in units[0].peaks)


def passage_line(probe: "Probe", number: int) -> str:
    """Returns a token, in brackets that no text has, among those around it, on one line."""
    before, here, after = (shown(part) for part in probe.passage(number))
    return f"{before}\u27e6{here}\u27e7{after}"


def knockout_lines(result: Knockout) -> Iterator[str]:
    """Yields what holding the units cost each class of symbols."""
    held = ", ".join(f"{each.layer}:{each.unit} at {each.value:.3f}" for each in result.units)
    is_one = result.num_others == 1
    what, means = ("unit", "held at its mean") if is_one else ("units", "held at their means")
    if len(result.units) > 1:
        what, means = f"{'draw' if is_one else 'draws'} of {len(result.units)} units", "held at their means"
    yield f"held: {held}; beside {result.num_others} other {what} of like activity, {means}"
    width = max(len("bits a symbol"), *(len(cost.name) for cost in result.classes))
    yield f"{'bits a symbol':<{width}}    number   whole    added   others: median   greatest   ratio"
    for cost in result.classes:
        ratio = f"{'-':>6}" if cost.ratio is None else f"{cost.ratio:6.1f}"
        yield (
            f"{cost.name:<{width}}  {cost.number:8,}  {cost.bits:6.3f}  {cost.added:+7.3f}          "
            f"{cost.others:+7.3f}    {cost.worst_other:+7.3f}  {ratio}"
        )


def step_lines(probe: "Probe", number: int, steps: "Sequence[tuple[Unit, Sequence[Equation]]]") -> Iterator[str]:
    """Yields the equations of units at a token, in symbols and in numbers."""
    yield f"token {number}: {passage_line(probe, number)}"
    yield "x is the input of the layer; h' and c' are h and c after the token before"
    for (layer, unit), equations in steps:
        yield f"unit {layer}:{unit}"
        width = max(len(equation.symbols) for equation in equations)
        for name, symbols, numbers, value in equations:
            yield f"  {name} = {symbols:<{width}} = {numbers} = {value:.4f}"


def shown(text: str) -> str:
    """Returns a text on one line: marks for line ends and tabs, escapes for what cannot be printed."""
    marked = text.translate(MARKS)
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in marked)
