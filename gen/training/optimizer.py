"""The optimisers: Muon for the matrices of the recurrent layers, Adagrad for n-grams, AdamW for all other weights.

Muon (Jordan et al. 2024) turns the momentum of the gradients into a step whose singular values are all about one. A
recurrent matrix is applied at every token, and with Adam a few directions take most of its step; docs/lab-notes.md has
the gain. torch stores the matrices of a layer's gates on top of each other; they are separate maps, so each is
orthogonalised by itself. The Newton-Schulz iteration is the first three steps of Cesista, You & Jordan 2025 ("Squeezing
1-2% efficiency gains out of Muon"): all five cost more and trained no better. It runs in bf16, whose error does no harm
here. The momentum takes in every gradient, but the matrix moves only at every second: half the cost, equal learning.

A table of n-grams has vectors that are seldom read. Adagrad (Duchi, Hazan & Singer 2011) gives each of them long steps
when it is; with AdamW a bag of n-grams learned to tell far fewer labels apart (docs/lab-notes.md).

All are plain classes with torch's interface: torch.optim imports torch's compiler, which takes longer than everything
else before the first step (measured: 1.4 s).
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from gen.config import TrainingConfig
from gen.kernels.pool import run_all
from gen.models.cells import layer_weights
from gen.models.sequence_model import SequenceModel

MOMENTUM = 0.95
PERIOD = 2  # gradients to a step of Muon
NEWTON_SCHULZ = ((4.0848, -6.8946, 2.9270), (3.9505, -6.3029, 2.6377), (3.7418, -5.5913, 2.3037))
BETAS, EPSILON = (0.9, 0.99), 1e-8
ADAGRAD_SHARE, ADAGRAD_EPSILON = 150.0, 1e-10  # its rate against that of the schedule
NGRAMS = "ngrams."  # opens the names of the weights of n-grams
STATE_NAMES = ("step", "exp_avg", "exp_avg_sq", "momentum", "sum")  # the state of a weight


class Optimizer(Protocol):
    """The part of the interface of torch's optimisers that a trainer and torch's GradScaler use."""

    param_groups: list[dict[str, Any]]  # whose "lr" and "step", the number of steps before, a trainer sets
    state: dict[Tensor, dict[str, Tensor]]

    def step(self) -> None: ...
    def prepare(self) -> None:
        """Makes the state of all weights, so that a step makes no tensor that outlives it."""


def optimizers(model: SequenceModel, config: TrainingConfig) -> list[Optimizer]:
    """Returns the optimisers of all weights: AdamW alone if `matrix_share` is 0.

    The rate of a group is that of the schedule times its "share".
    """
    layers = [layer for stack in model.stacks() for layer in stack] if config.matrix_share else []
    matrices = [matrix for layer in layers for matrix in layer_weights(layer)[:2]]
    is_matrix = {id(w) for w in matrices}
    of_ngrams = [p for name, p in model.named_parameters() if name.startswith(NGRAMS)]
    rest = [(n, p) for n, p in model.named_parameters() if id(p) not in is_matrix and not n.startswith(NGRAMS)]
    # Only the weights of matrix products decay: a smaller scale of biases and embeddings helps nothing.
    decayed = [p for name, p in rest if p.dim() > 1 and "embedding" not in name]
    others = [p for name, p in rest if p.dim() <= 1 or "embedding" in name]
    adam = AdamW([(decayed, config.weight_decay), (others, 0.0)])
    muon = [Muon(matrices, config, hidden_size=model.config.hidden_size)] if matrices else []
    return [adam, *muon, *([Adagrad(of_ngrams)] if of_ngrams else [])]


class AdamW:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019) on torch's fused kernel, bit for bit torch's own.

    Args:
        groups: weights, and the share of them that decays in a step, divided by the rate.
    """

    def __init__(self, groups: Sequence[tuple[Sequence[Tensor], float]]) -> None:
        self.param_groups: list[dict[str, Any]] = [
            {"params": weights, "lr": 0.0, "share": 1.0, "weight_decay": decay} for weights, decay in groups if weights
        ]
        self.state: dict[Tensor, dict[str, Tensor]] = {}

    @torch.no_grad()
    def step(self) -> None:
        """Takes a step along the gradients."""
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            states = [self._state(weight) for weight in weights]
            steps = [state["step"] for state in states]
            torch._foreach_add_(steps, 1)
            torch._fused_adamw_(
                weights,
                [weight.grad for weight in weights],
                [state["exp_avg"] for state in states],
                [state["exp_avg_sq"] for state in states],
                [],
                steps,
                lr=group["lr"],
                beta1=BETAS[0],
                beta2=BETAS[1],
                weight_decay=group["weight_decay"],
                eps=EPSILON,
                amsgrad=False,
                maximize=False,
            )

    def prepare(self) -> None:
        """Makes the state of all weights."""
        for group in self.param_groups:
            for weight in group["params"]:
                self._state(weight)

    def _state(self, weight: Tensor) -> dict[str, Tensor]:
        if weight not in self.state:
            step = torch.zeros((), dtype=torch.float32, device=weight.device)
            moments = {name: torch.zeros_like(weight) for name in ("exp_avg", "exp_avg_sq")}
            self.state[weight] = {"step": step, **moments}
        return self.state[weight]


class Adagrad:
    """Divides a gradient by the root of the sum of all its squares so far (Duchi, Hazan & Singer 2011).

    Args:
        weights: to train.
    """

    def __init__(self, weights: Sequence[Tensor]) -> None:
        self.param_groups: list[dict[str, Any]] = [{"params": weights, "lr": 0.0, "share": ADAGRAD_SHARE}]
        self.state: dict[Tensor, dict[str, Tensor]] = {}

    @torch.no_grad()
    def step(self) -> None:
        """Takes a step along the gradients."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    total = self._state(weight)["sum"]
                    total.addcmul_(weight.grad, weight.grad)
                    weight.addcdiv_(weight.grad, total.sqrt().add_(ADAGRAD_EPSILON), value=-group["lr"])

    def prepare(self) -> None:
        """Makes the state of all weights."""
        for group in self.param_groups:
            for weight in group["params"]:
                self._state(weight)

    def _state(self, weight: Tensor) -> dict[str, Tensor]:
        if weight not in self.state:
            self.state[weight] = {"sum": torch.zeros_like(weight)}
        return self.state[weight]


class Muon:
    """Steps along orthogonalised momentum, gate by gate (Jordan et al. 2024).

    On a CPU each gate is a piece of work; on a GPU the gates of a shape are one. A run in fp32 computes these steps in
    fp32 too: bf16 would enlarge the differences in the last bit between one process and several.

    Args:
        matrices: (G*H, K) weights.
        config: of the run; the weights decay with the schedule's rate, as in AdamW.
        hidden_size: H.
    """

    def __init__(self, matrices: list[Tensor], config: TrainingConfig, *, hidden_size: int) -> None:
        group = {"params": matrices, "lr": 0.0, "share": config.matrix_share, "weight_decay": config.weight_decay}
        self.param_groups: list[dict[str, Any]] = [group | {"step": 0}]
        self.state: dict[Tensor, dict[str, Tensor]] = {}
        self._hidden_size = hidden_size
        self._dtype = torch.float32 if config.precision == "fp32" else torch.bfloat16

    @torch.no_grad()
    def step(self) -> None:
        """Adds the gradients to the momentum; at every PERIOD-th step of the run changes the weights."""
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            moves = (group["step"] + 1) % PERIOD == 0
            if weights and weights[0].device.type == "cpu":
                run_all([partial(self._step, group, moves, *gate) for each in weights for gate in self._gates(each)])
            else:
                self._step_together(group, moves, weights)

    def prepare(self) -> None:
        """Makes the state of all weights."""
        for group in self.param_groups:
            for weight in group["params"]:
                self._momentum(weight)

    def _momentum(self, matrix: Tensor) -> Tensor:
        if matrix not in self.state:
            self.state[matrix] = {"momentum": torch.zeros_like(matrix)}
        return self.state[matrix]["momentum"]

    def _gates(self, matrix: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yields parts of a matrix, its gradient and its momentum, gate by gate."""
        assert matrix.grad is not None
        whole = (matrix, matrix.grad, self._momentum(matrix))
        yield from zip(*(torch.split(each.detach(), self._hidden_size) for each in whole), strict=True)

    def _step(self, group: dict[str, Any], moves: bool, gate: Tensor, gradient: Tensor, momentum: Tensor) -> None:
        momentum.lerp_(gradient, 1 - MOMENTUM)
        if not moves:
            return
        ahead = gradient.lerp(momentum, MOMENTUM)  # Nesterov's
        scale = max(1.0, gate.shape[0] / gate.shape[1]) ** 0.5
        gate.mul_(1 - group["weight_decay"] * group["lr"] / group["share"])
        gate.sub_(orthogonalised(ahead, self._dtype), alpha=group["lr"] * scale)

    def _step_together(self, group: dict[str, Any], moves: bool, weights: Sequence[Tensor]) -> None:
        """Takes the step of all matrices, a batch of gates for each width; the rate may be a tensor."""
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        momenta = [self._momentum(weight) for weight in weights]
        torch._foreach_lerp_(momenta, gradients, 1 - MOMENTUM)
        if not moves:
            return
        ahead = torch._foreach_lerp(gradients, momenta, MOMENTUM)
        decay = 1 - group["weight_decay"] * group["lr"] / group["share"]
        for width in sorted({weight.shape[1] for weight in weights}):
            pairs = [(w, a) for w, a in zip(weights, ahead, strict=True) if w.shape[1] == width]
            gates = torch.cat([a.view(-1, self._hidden_size, width) for _, a in pairs])
            scale = max(1.0, self._hidden_size / width) ** 0.5
            changes = orthogonalised(gates, self._dtype).float().flatten(0, 1) * (group["lr"] * scale)
            for (weight, _), change in zip(pairs, changes.split([len(w) for w, _ in pairs]), strict=True):
                weight.mul_(decay).sub_(change)


def orthogonalised(matrix: Tensor, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    """Returns (..., M, K) matrices with the same singular vectors and singular values of about 1, computed in `dtype`.

    Args:
        matrix: one, or a batch of them.
    """
    is_tall = matrix.shape[-2] > matrix.shape[-1]
    add_product = torch.addmm if matrix.dim() == 2 else torch.baddbmm
    x = (matrix.mT if is_tall else matrix).to(dtype)
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp_min(1e-7)
    for a, b, c in NEWTON_SCHULZ:
        gram = x @ x.mT
        x = add_product(x, add_product(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if is_tall else x
