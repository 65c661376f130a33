"""A real little model whose next-token logits are given: what tests use where the numbers must be known."""

import torch
from torch import Tensor, nn

from gen.models.recurrent import State
from gen.models.stepper import Stepper


class FixedModel(nn.Module, Stepper):
    """A model, and a stepper as well, whose logits depend on the previous token at most.

    Args:
        logits: (V,) the logits after every token, or (V, V) with row t the logits after token t.
    """

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        vocab_size = logits.shape[-1]
        self.logits = nn.Parameter(logits.float().expand(vocab_size, vocab_size).clone(), requires_grad=False)

    @property
    def vocab_size(self) -> int:
        return self.logits.shape[-1]

    @property
    def device(self) -> torch.device:
        return self.logits.device

    def initial_state(self, labels: Tensor) -> State:
        num_rows = labels.shape[0]
        return State((torch.zeros(1, num_rows, 1, device=self.device),), torch.zeros(num_rows, 0, device=self.device))

    def forward(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        return self.logits[tokens], state  # (B, T, V)

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        return self.logits[tokens], state  # (B, V)
