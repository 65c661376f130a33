"""Guidance: samples that lean towards their controls more than the model itself does.

Each row has a twin that reads the same tokens, but every control as `any`; in training the model learnt both, by
control dropout. With the logits of the row and of its twin, the next token is drawn from

    twin + GUIDANCE * (row - twin)

This is Ho and Salimans 2022, "Classifier-Free Diffusion Guidance", eq. 6 with w = GUIDANCE - 1, on the logits of a
language model (Sanchez et al. 2023, "Stay on Topic with Classifier-Free Guidance"). Where no control has a value, row
and twin are equal to the last bit, and so the samples are those of the model alone.
"""

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gen.models.recurrent import State
from gen.models.stepper import Stepper

GUIDANCE: Final = 2.0  # 1 is the model without guidance; benchmarks/controls.py measures the effect


class GuidedStepper(Stepper):
    """A stepper whose logits lean towards the controls among the tokens.

    Args:
        stepper: the model.
        neutral: (V,) the id that a twin reads for each id: `any` for the values of a control, else the id itself.
    """

    def __init__(self, stepper: Stepper, neutral: NDArray[np.int64]) -> None:
        self._stepper = stepper
        self._neutral = torch.from_numpy(neutral).to(stepper.device)

    @property
    def vocab_size(self) -> int:
        """V."""
        return self._stepper.vocab_size

    @property
    def device(self) -> torch.device:
        """The model's device."""
        return self._stepper.device

    def initial_state(self, labels: Tensor) -> State:
        """Returns the state of (B,) rows with these labels, each joined with its twin's."""
        return _joined(self._stepper.initial_state(torch.cat((labels, labels))))

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Takes (B,) tokens; returns (B, V) logits and the next state, as the stepper itself does."""
        both, next_state = self._stepper.step(torch.cat((tokens, self._neutral[tokens])), _apart(state))
        row, twin = both.chunk(2)
        return twin + GUIDANCE * (row - twin), _joined(next_state)


def _joined(state: State) -> State:
    """Returns B rows of twice the width for B rows and then their twins: they are copied and dropped together."""
    return State(
        tuple(torch.cat(memory.chunk(2, dim=1), dim=-1) for memory in state.memory),
        torch.cat(state.condition.chunk(2), dim=-1),
    )


def _apart(state: State) -> State:
    """Returns B rows and then their twins for B rows of twice the width."""
    return State(
        tuple(torch.cat(memory.chunk(2, dim=-1), dim=1) for memory in state.memory),
        torch.cat(state.condition.chunk(2, dim=-1)),
    )
