"""A model that is drawn towards what is asked of it.

Beside each row runs its twin, which reads the same tokens but every control as `any`; in training both were learnt, by
control dropout. The next token is drawn from logits beyond those of the asked row, seen from the twin's:

    any + GUIDANCE * (asked - any)

which is Ho and Salimans 2022, "Classifier-Free Diffusion Guidance", eq. 6 with w = GUIDANCE - 1, on the logits of a
language model (Sanchez et al. 2023, "Stay on Topic with Classifier-Free Guidance"). Where nothing is asked the two are
equal to the last bit, and so is what is drawn.
"""

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gen.generation.generate import Stepper
from gen.models.recurrent import State

GUIDANCE: Final = 2.0  # 1 is the model as it is; benchmarks/controls.py measures what it does


class GuidedStepper:
    """A stepper whose logits lean towards the controls among the tokens.

    Args:
        stepper: the model.
        neutral: (V,) what each id becomes where nothing is known of the controls.
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
        """Where the model is."""
        return self._stepper.device

    def initial_state(self, labels: Tensor) -> State:
        """Returns the state of (B,) rows with these labels and their twins: each twin's stands behind its row's."""
        return _side_by_side(self._stepper.initial_state(torch.cat((labels, labels))))

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Takes (B,) tokens; returns (B, V) logits and the next state, as the stepper itself does."""
        both, next_state = self._stepper.step(torch.cat((tokens, self._neutral[tokens])), _one_after_the_other(state))
        asked, anything = both.chunk(2)
        return anything + GUIDANCE * (asked - anything), _side_by_side(next_state)


def _side_by_side(state: State) -> State:
    """Returns B rows of twice the width for 2B rows, so that rows can be copied and dropped with their twins."""
    return State(
        tuple(torch.cat(memory.chunk(2, dim=1), dim=-1) for memory in state.memory),
        torch.cat(state.condition.chunk(2), dim=-1),
    )


def _one_after_the_other(state: State) -> State:
    """Returns 2B rows for B rows of twice the width."""
    return State(
        tuple(torch.cat(memory.chunk(2, dim=-1), dim=1) for memory in state.memory),
        torch.cat(state.condition.chunk(2, dim=-1)),
    )
