"""The gradient by lag as a table, and the tokens that one prediction leans on."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from gen.analysis.gradient_flow import GradientFlow, Leanings
from gen.corpus.sources import printable

SHOWN_LAGS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
MAX_TOKENS = 10
MIN_WIDTH = 8  # of a column: that of a number


def flow_lines(flows: Mapping[str, GradientFlow], untrained: Mapping[str, GradientFlow]) -> Iterator[str]:
    """Yields a table of the gradient at some lags: of one network mean and quartiles, of several their means."""
    if len(flows) == 1:
        (flow,) = flows.values()
        columns = {
            "mean": flow.mean,
            "25 %": flow.lower_quartile,
            "median": flow.median,
            "75 %": flow.upper_quartile,
        }
    else:
        columns = {name: flow.mean for name, flow in flows.items()}
        columns |= {f"{name} untrained": flow.mean for name, flow in untrained.items()}
    yield "norm of d loss(t) / d input(t - k), at lag k" + ("" if len(flows) == 1 else ": means")
    yield from _table(columns)


def _table(columns: Mapping[str, NDArray[np.float64]]) -> Iterator[str]:
    widths = [max(MIN_WIDTH, len(title)) for title in columns]
    last = max(len(values) for values in columns.values()) - 1
    yield "  ".join(["   lag", *(f"{title:>{width}}" for title, width in zip(columns, widths, strict=True))])
    for lag in sorted({*(lag for lag in SHOWN_LAGS if lag < last), last}):
        cells = [f"{values[lag]:.1e}" if lag < len(values) else "" for values in columns.values()]
        yield "  ".join([f"{lag:>6}", *(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))])


def leaning_lines(found: Leanings, number: int, symbols: Sequence[str]) -> Iterator[str]:
    """Yields the tokens that a prediction leans on most, the strongest first.

    Args:
        found: the gradient by lag.
        number: of the predicted token.
        symbols: of all ids.
    """
    yield f"token {number}, {_quoted(symbols[found.target])}, cost {found.nats:.3f} nats; it leans most on"
    yield "   lag  gradient  token"
    for lag in np.argsort(-found.gradient, kind="stable")[:MAX_TOKENS].tolist():
        yield f"{lag:>6}  {found.gradient[lag]:>8.1e}  {_quoted(symbols[found.inputs[lag]])}"


def _quoted(symbol: str) -> str:
    """Returns a symbol in quotes, since it may be a space, with unprintable characters escaped."""
    return f'"{printable(symbol)}"'
