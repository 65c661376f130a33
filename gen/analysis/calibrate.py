"""How sure a model may be: one factor on all its logits, fitted to text that it was not trained on.

A network that has read its corpus several times is surer of itself than it is right: on text that it has not seen,
all its logits are too large by about the same factor. Temperature scaling (Guo et al. 2017, "On Calibration of Modern
Neural Networks") takes that factor out again. The order of the tokens stays, only how sure the model is changes; and
samples at temperature 1 become as surprising as the corpus is. One number, fitted to thousands of tokens, learns
nothing by heart.
"""

from collections.abc import Sequence

import numpy as np

from gen.analysis.evaluate import LanguageModel, predictions, summed_nats
from gen.codec import IdArray
from gen.data.corpus import Stretch

SCALES = np.linspace(0.5, 1.3, 17)  # that are tried


def best_logit_scale(
    model: LanguageModel,
    ids: IdArray,
    stretches: Sequence[Stretch],
    *,
    begin: int,
    end: int,
    context: int | None,
    vocab_size: int,
) -> float:
    """Returns the factor on all logits with which a model pays least, between the first and the last of `SCALES`.

    Nats are convex in the factor: the least is that of the parabola through the best one tried and its neighbours.

    Args:
        model: on any device.
        ids: the corpus, without begin and end.
        stretches: of it, to measure on; without any the factor is 1.
        begin: the input before a stretch's first target.
        end: the last target of a closed stretch.
        context: None for carried state, N for windows of N tokens from a fresh state.
        vocab_size: V.
    """
    nats = np.zeros(len(SCALES))
    for logits, targets in predictions(
        model, ids, stretches, begin=begin, end=end, context=context, vocab_size=vocab_size
    ):
        nats += [summed_nats(logits.float() * scale, targets) for scale in SCALES]
    if not nats.any():
        return 1.0
    at = min(max(int(nats.argmin()), 1), len(SCALES) - 2)
    before, here, after = nats[at - 1 : at + 2]
    step = (before - after) / (2 * (before - 2 * here + after)) if before - 2 * here + after > 0 else 0.0
    return float(np.clip(SCALES[at] + step * (SCALES[1] - SCALES[0]), SCALES[0], SCALES[-1]))
