"""The gradient by lag for `gen probe --gradient`: of trained runs, or of the three cells on the recall task."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from gen.cli.measuring import excerpt_of
from gen.cli.parameters import given
from gen.config import CellName

if TYPE_CHECKING:
    from gen.analysis.gradient_flow import GradientFlow, Leanings
    from gen.data.split import Excerpt
    from gen.runs.recall import Recall
    from gen.runs.run import Run

DEFAULT_LAGS, DEFAULT_DELAY = 200, 100


def probe_runs(
    names: Sequence[str],
    corpus: str,
    *,
    unknown: Literal["error", "skip"],
    lags: int | None,
    at: int | None,
    picture: Path | None,
    as_json: bool,
) -> None:
    """Prints the gradient by lag of runs, each measured on a corpus or on its own validation part.

    Args:
        names: of the runs.
        corpus: a file or a folder, "valid" or "test".
        unknown: "skip" leaves out characters that a model lacks.
        lags: the largest lag.
        at: the number of a token of the corpus; what the first run's prediction of it leans on is printed too.
        picture: the file for a picture, or None.
        as_json: whether to print JSON.
    """
    from gen.analysis.gradient_flow import check_lags, leanings
    from gen.cli.console import write_json
    from gen.cli.screen.gradient import flow_lines, leaning_lines
    from gen.runs.run import load

    lags = DEFAULT_LAGS if lags is None else lags
    check_lags(lags)
    _check_picture(picture)
    runs = {name: load(name) for name in names}
    first = runs[names[0]]
    excerpts = {name: excerpt_of(run, corpus, unknown=unknown) for name, run in runs.items()}
    found = None if at is None else leanings(first.model, excerpts[names[0]], at, lags=lags)
    flows = {name: _flow(run, excerpts[name], lags) for name, run in runs.items()}
    if as_json:
        leaning = None if found is None else _leanings_to_json(found, first.codec.vocab.symbols)
        write_json({"corpus": corpus, "runs": {n: f.to_json() for n, f in flows.items()}, **given(at=leaning)})
    else:
        lines = [_flow_line(name, corpus, flow, lags) for name, flow in flows.items()]
        lines += flow_lines(flows, {})
        if found is not None and at is not None:
            lines += ["", *leaning_lines(found, at, first.codec.vocab.symbols)]
        print("\n".join(lines))
    _draw(picture, flows, {})


def probe_recall(*, delay: int | None, clip: float, forget_bias: float, picture: Path | None, as_json: bool) -> None:
    """Trains each cell on the recall task, and prints the gradient by lag before and after.

    Args:
        delay: tokens over which the cue must be remembered.
        clip: the norm to which gradients are cut in training.
        forget_bias: of the LSTM.
        picture: the file for a picture, or None.
        as_json: whether to print JSON.
    """
    from gen.cli.console import write_json
    from gen.cli.screen.gradient import flow_lines
    from gen.cli.screen.progress import counting_display
    from gen.runs.recall import train_on_recall

    delay = DEFAULT_DELAY if delay is None else delay
    _check_picture(picture)
    found = {}
    for cell in get_args(CellName):
        with counting_display(f"training the {cell}") as on_progress:
            found[cell] = train_on_recall(
                cell, delay=delay, clip_norm=clip, forget_bias=forget_bias, on_progress=on_progress
            )
    flows = {cell: recall.after for cell, recall in found.items()}
    untrained = {cell: recall.before for cell, recall in found.items()}
    if as_json:
        cells = {cell: recall.to_json() for cell, recall in found.items()}
        write_json({"delay": delay, "clip": clip, "forget_bias": forget_bias, "cells": cells})
    else:
        print("\n".join([*_recall_lines(found, delay, clip, forget_bias), "", *flow_lines(flows, untrained)]))
    _draw(picture, flows, untrained)


def _recall_lines(found: dict[str, "Recall"], delay: int, clip: float, forget_bias: float) -> list[str]:
    from gen.data.recall import NUM_CUES
    from gen.data.report import counted
    from gen.runs.recall import BATCH_SIZE, HIDDEN_SIZE, STEPS

    return [
        f"recall task: repeat the first of {NUM_CUES} symbols after {counted(delay, 'tokens')} of distraction",
        f"{HIDDEN_SIZE} units, {STEPS} steps of {BATCH_SIZE} sequences, clip {clip:g}, forget bias {forget_bias:g}",
        "",
        "cell  recalled    nats  largest gradient of a step",
        *(
            f"{cell:4}  {100 * recall.share_recalled:6.1f} %  {recall.after.nats:6.4f}  {recall.max_grad_norm:26.2f}"
            for cell, recall in found.items()
        ),
    ]


def _flow(run: "Run", excerpt: "Excerpt", lags: int) -> "GradientFlow":
    from gen.analysis.gradient_flow import gradient_flow
    from gen.cli.screen.progress import counting_display

    with counting_display(f"reading with {run.name}") as on_progress:
        return gradient_flow(run.model, excerpt, lags=lags, on_progress=on_progress)


def _flow_line(name: str, corpus: str, flow: "GradientFlow", lags: int) -> str:
    from gen.analysis.gradient_flow import FULL_LAGS, NUM_TARGETS
    from gen.data.report import counted

    line = f"{name}: {counted(flow.num_targets, 'tokens')} of {corpus}, {flow.nats:.4f} nats each"
    return line if lags <= FULL_LAGS else f"{line}; up to lag {FULL_LAGS} there would be at most {NUM_TARGETS}"


def _check_picture(picture: Path | None) -> None:
    from gen.files.pictures import check_picture

    if picture is not None:
        check_picture(picture)


def _draw(picture: Path | None, flows: dict[str, "GradientFlow"], untrained: dict[str, "GradientFlow"]) -> None:
    from gen.analysis.gradient_picture import write_gradient

    if picture is not None:
        write_gradient(picture, flows, untrained)


def _leanings_to_json(found: "Leanings", symbols: Sequence[str]) -> dict[str, Any]:
    """Returns JSON data; inputs and gradient are lists by lag."""
    return {
        "target": symbols[found.target],
        "nats": found.nats,
        "inputs": [symbols[token] for token in found.inputs.tolist()],
        "gradient": found.gradient.tolist(),
    }
