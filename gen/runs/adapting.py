"""Runs that take on the manner of a text or of music before they write, without being trained anew."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gen.analysis.adapting import Adapting, adapting_costs
from gen.analysis.evaluate import Evaluation, OnProgress
from gen.analysis.surprise import collect
from gen.codecs.text.char import unknown_of
from gen.runs.run import Run


class AdaptedRun(NamedTuple):
    """A run that has learnt from a corpus, and what the corpus cost it while it did."""

    run: Run
    evaluation: Evaluation
    unknown: dict[str, int]  # characters that the model lacks, left out


def adapted(
    run: Run,
    corpus: str | Path | Sequence[str | Path],
    *,
    settings: Adapting | None = None,
    on_progress: OnProgress | None = None,
    **reading: Any,
) -> AdaptedRun:
    """Returns a copy of a run whose weights have learnt from one pass over a corpus (`gen.analysis.adapting`).

    Neither the run that is given nor its file changes. Characters that the model lacks are left out.

    Args:
        settings: of the steps; None for the defaults.
        reading: fields of Reading, such as encoding="latin-1".

    Raises GenError if the corpus cannot be read.
    """
    store, excerpt = run.stored_excerpt(corpus, unknown="skip", **reading)
    other = run.copied()
    found = collect(
        adapting_costs(other.model, excerpt, settings or Adapting()),
        excerpt,
        units=run.codec.units(),
        unit=run.codec.unit,
        context=None,
        max_tokens=0,
        on_progress=on_progress,
    )
    other.model.eval()
    return AdaptedRun(other, found.evaluation, unknown_of(store.report.findings))
