"""One factor on all logits of a model, fitted to text that it was not trained on: it makes the model as sure as right.

A network that has read its corpus several times is surer of itself than it is right: on text that it has not seen,
all its logits are too large by about the same factor. Temperature scaling (Guo et al. 2017, "On Calibration of Modern
Neural Networks") takes that factor out again. The order of the tokens stays, only how sure the model is changes. One
number, fitted to thousands of tokens, learns nothing by heart.

That is right for a next token after what a person wrote. A sample goes on from its own tokens, the unlikely ones too,
and strays where it is as unsure as that: so `Run.generate` takes a factor below 1 back out (benchmarks/results/,
resemblance.md and beginnings.md).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gen.analysis.evaluate import IGNORED, Evaluation, LanguageModel, count_targets, predictions, summary
from gen.data.split import Excerpt

MIN_SCALE, SCALE_STEP = 0.5, 0.2
SCALES = MIN_SCALE + SCALE_STEP * np.arange(5)  # that are tried
FINE = np.linspace(SCALES[0], SCALES[-1], 801)  # among which the best is looked for
SURE = 4.0  # times as many nats at the worst of SCALES as at the best, from which on their logarithms are interpolated
CHUNK_LOGITS = 1 << 20  # 4 MB in float32, which stay in the cache


def evaluate_calibrated(
    model: LanguageModel,
    excerpt: Excerpt,
    *,
    units: NDArray[np.integer[Any]],
    unit: str,
    context: int | None,
) -> tuple[Evaluation, float]:
    """Measures a model as `evaluate` does, but with the best factor on all its logits; returns that factor too.

    The nats of a text are a smooth, convex function of the factor: they are measured at five and interpolated by the
    polynomial through them, good to 1e-4 nats a token.

    Raises as `evaluate` does.
    """
    nats = np.zeros(len(SCALES))
    counts = np.zeros(len(units), dtype=np.int64)
    for logits, targets in predictions(model, excerpt, context=context, vocab_size=len(units)):
        nats += nats_at_scales(logits, targets)
        counts += count_targets(targets, len(units))
    least, scale = best_scale(nats)
    return summary(least, counts, units, unit, context), scale


def best_scale(nats: NDArray[np.float64]) -> tuple[float, float]:
    """Returns the fewest nats and the factor, one of `FINE`, that has them.

    The nats of a model that is nearly always right fall by orders of magnitude with the factor. A polynomial through
    them would go below zero; one through their logarithms does not.

    Args:
        nats: at each of `SCALES`, as `nats_at_scales` returns them.
    """
    is_sure = nats.max() > SURE * nats.min()
    interpolated = np.log(np.maximum(nats, np.finfo(np.float64).tiny)) if is_sure else nats
    between = np.polynomial.Polynomial.fit(SCALES, interpolated, len(SCALES) - 1)(FINE)
    best = int(between.argmin())
    return float(np.exp(between[best]) if is_sure else between[best]), float(FINE[best])


def nats_at_scales(logits: Tensor, targets: Tensor) -> NDArray[np.float64]:
    """Returns the nats of all targets with the logits times each of `SCALES`.

    These are at even distances, so each power of e is the one before times the same: two exponentials serve for all.

    Args:
        logits: (B, T, V).
        targets: (B, T), `IGNORED` where they are padding.
    """
    kept = targets != IGNORED
    rows, wanted = logits[kept], targets[kept]
    nats = np.zeros(len(SCALES))
    size = max(1, CHUNK_LOGITS // logits.shape[-1])
    for start in range(0, len(rows), size):
        x = rows[start : start + size].float()
        x = x - x.amax(1, keepdim=True)
        at_target = x.gather(1, wanted[start : start + size, None])[:, 0].double()
        power, ratio = (x * MIN_SCALE).exp_(), x.mul_(SCALE_STEP).exp_()
        for index, scale in enumerate(SCALES.tolist()):
            nats[index] += (power.sum(1).double().log() - scale * at_target).sum().item()
            power.mul_(ratio)
    return nats
