"""Dynamic evaluation: a model that learns from what it has just predicted.

Krause, Kahembwe, Murray & Renals 2018, "Dynamic Evaluation of Neural Sequence Models", in its plain form: the tokens
are read in segments. Each segment is predicted first; then one step of stochastic gradient descent changes all weights,
w <- w - rate * dL/dw, where L is the loss of its tokens divided by the length of a whole segment. No target is learnt
before it was predicted. State and weights are carried from segment to segment; a new document starts from a fresh state
with the weights as they are.

A text that is like itself, such as one with names that come again, costs fewer nats so. The figure is one of another
experiment than that of fixed weights: the two are never mixed.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gen.analysis.evaluate import Place, check_measurable, num_targets, read_window, target_nats
from gen.analysis.surprise import Costs
from gen.data.mapped import let_go
from gen.data.split import Excerpt
from gen.data.stretches import Stretch
from gen.errors import NotFiniteError, SettingError
from gen.models.recurrent import RecurrentLM, State, detached


@dataclass(frozen=True, slots=True)
class Adapting:
    """Settings of dynamic evaluation.

    Args:
        segment: the tokens that are predicted before each step.
        rate: of gradient descent; 0 leaves the weights as they are.
    """

    segment: int = 32
    rate: float = 0.1

    def __post_init__(self) -> None:
        if not 1 <= self.segment <= 1 << 16:
            raise SettingError(f"--adapt-segment: must be 1 to {1 << 16} ({self.segment})")
        if not 0 <= self.rate <= 1000:
            raise SettingError(f"--adapt-rate: must be 0 to 1000 ({self.rate:g})")


def adapting_costs(model_: RecurrentLM, excerpt: Excerpt, settings: Adapting) -> Iterator[Costs]:
    """Yields the nats of all targets, segment by segment, and changes the model's weights after each.

    Args:
        model_: its weights are float32; they are those before the next segment whenever a segment is yielded.
        excerpt: its stretches are read in order.

    Raises CorpusError if there is no target, NotFiniteError if the model computes NaN before it has learnt anything,
    SettingError if it does so later: it diverged.
    """
    check_measurable(excerpt, None)
    model_.train()  # cuDNN sends no gradient back in eval mode; the model has no dropout of its own
    for index, stretch in enumerate(excerpt.stretches):
        state = _initial_state(model_, stretch)
        for start in range(0, num_targets(stretch), settings.segment):
            tokens = read_window(excerpt, stretch, start, min(start + settings.segment, num_targets(stretch)))
            window = torch.from_numpy(tokens).to(model_.device)[None]
            nats, state = _learn_(model_, window, state, rate_per_token=settings.rate / settings.segment)
            if np.isnan(nats).any():
                raise _diverged(settings) if index or start else NotFiniteError(math.nan)
            yield Costs(Place(index, start), tokens[1:], nats)
        let_go(excerpt.ids)


def adapt_(model_: RecurrentLM, excerpt: Excerpt, settings: Adapting) -> None:
    """Lets a model learn from one pass over an excerpt. Errors as in `adapting_costs`."""
    for _ in adapting_costs(model_, excerpt, settings):
        pass


def _diverged(settings: Adapting) -> SettingError:
    return SettingError(
        f"--adapt-rate: learning diverged, so that the logits are not finite ({settings.rate:g})",
        hint="give a lower --adapt-rate",
    )


def _initial_state(model: RecurrentLM, stretch: Stretch) -> State:
    return model.initial_state(torch.tensor([stretch.label], device=model.device))


def _learn_(
    model_: RecurrentLM, window: Tensor, state: State, *, rate_per_token: float
) -> tuple[NDArray[np.float32], State]:
    """Predicts (1, T + 1) tokens, then changes the weights; returns (T,) nats and the state, detached."""
    logits, state = model_(window[:, :-1], state)
    nats = target_nats(logits, window[:, 1:])
    parameters = list(model_.parameters())
    gradients = torch.autograd.grad(nats.sum(), parameters, allow_unused=True)
    with torch.no_grad():
        for parameter, gradient in zip(parameters, gradients, strict=True):
            if gradient is not None:
                parameter.sub_(gradient, alpha=rate_per_token)
    return nats.detach()[0].cpu().numpy(), detached(state)
