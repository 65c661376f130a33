"""The optimisers against singular values, and against torch's AdamW."""

import math

import pytest
import torch
from torch import Tensor

from gen.config import ModelConfig, TrainingConfig
from gen.models.recurrent import RecurrentLM, cross_entropy_sum
from gen.training.optimizer import PERIOD, Adagrad, Muon, optimizers, orthogonalised
from gen.training.step import set_pace

TOKENS = torch.randint(0, 11, (3, 8), generator=torch.Generator().manual_seed(2))


def a_model(cell: str = "lstm") -> RecurrentLM:
    config = ModelConfig(11, cell, 32, 2, 16, num_labels=2)
    return RecurrentLM(config, torch.Generator().manual_seed(0))


def loss_of(model: RecurrentLM) -> Tensor:
    logits, _ = model(TOKENS, model.initial_state(torch.zeros(3, dtype=torch.long)))
    return cross_entropy_sum(logits, TOKENS) / TOKENS.numel()


def train(model: RecurrentLM, config: TrainingConfig, num_steps: int) -> float:
    chosen = optimizers(model, config)
    for step in range(num_steps):
        model.zero_grad()
        torch.autograd.backward(loss_of(model))
        set_pace(chosen, step, config.learning_rate)
        for optimizer in chosen:
            optimizer.step()
    return float(loss_of(model).detach())


@pytest.mark.parametrize("shape", [(32, 32), (32, 16), (16, 48)])
def test_orthogonalised_matrices_keep_their_directions_and_stretch_all_by_about_one(shape: tuple[int, int]) -> None:
    matrix = torch.randn(*shape, generator=torch.Generator().manual_seed(1))
    u, singular, vh = torch.linalg.svd(matrix, full_matrices=False)
    is_seen = singular > 0.03 * singular.norm()  # what is far smaller takes more than three steps
    found = u.mT @ orthogonalised(matrix).float() @ vh.mT
    on_diagonal = found.diagonal()
    assert on_diagonal[is_seen].min() > 0.35  # the three polynomials map 0.03 to 1 into 0.38 to 1.25
    assert on_diagonal.max() < 1.3
    assert (found - torch.diag(on_diagonal)).abs().max() < 0.1  # bf16


def test_a_batch_of_matrices_is_orthogonalised_as_each_alone() -> None:
    matrices = torch.randn(3, 32, 16, generator=torch.Generator().manual_seed(1))
    alone = torch.stack([orthogonalised(matrix, torch.float32) for matrix in matrices])
    torch.testing.assert_close(orthogonalised(matrices, torch.float32), alone)


def test_every_weight_has_one_optimiser() -> None:
    model = a_model()
    chosen = optimizers(model, TrainingConfig(matrix_share=7.0))
    taken = [id(p) for optimizer in chosen for group in optimizer.param_groups for p in group["params"]]
    assert sorted(taken) == sorted(id(p) for p in model.parameters())


def test_muon_takes_the_recurrent_layers_matrices_and_nothing_else() -> None:
    model = a_model()
    muon = optimizers(model, TrainingConfig(matrix_share=7.0))[1]
    taken = {id(p) for p in muon.param_groups[0]["params"]}
    assert taken == {id(p) for name, p in model.named_parameters() if name.startswith("layers.") and p.dim() == 2}


def test_without_a_share_of_muon_all_is_adamw_bit_for_bit_as_torchs() -> None:
    config = TrainingConfig(matrix_share=0.0, learning_rate=1e-2, weight_decay=0.1)
    ours, theirs = a_model(), a_model()
    names = {id(parameter): name for name, parameter in ours.named_parameters()}
    (chosen,) = optimizers(ours, config)
    groups = [
        {
            "params": [theirs.get_parameter(names[id(p)]) for p in group["params"]],
            "weight_decay": group["weight_decay"],
        }
        for group in chosen.param_groups
    ]
    adam = torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.99), fused=True)

    train(ours, config, 5)
    for _ in range(5):
        theirs.zero_grad()
        torch.autograd.backward(loss_of(theirs))
        adam.step()

    assert {group["weight_decay"] for group in groups} == {0.0, 0.1}
    for name, parameter in ours.named_parameters():
        assert torch.equal(parameter, theirs.get_parameter(name)), name


def test_a_muon_step_moves_every_gate_by_its_rate_in_every_direction() -> None:
    matrix = torch.nn.Parameter(torch.zeros(4 * 32, 32))
    matrix.grad = torch.randn(4 * 32, 32, generator=torch.Generator().manual_seed(3))
    muon = Muon([matrix], TrainingConfig(matrix_share=2.0), hidden_size=32)
    muon.param_groups[0]["lr"] = 0.01
    for step in range(PERIOD):
        muon.param_groups[0]["step"] = step
        muon.step()
    for gate in matrix.detach().view(4, 32, 32):
        assert gate.norm().item() == pytest.approx(0.01 * math.sqrt(32), rel=0.25)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_muon_learns(cell: str) -> None:
    model = a_model(cell)
    before = float(loss_of(model).detach())
    assert train(model, TrainingConfig(matrix_share=7.0), 100) < before / 2


def test_adagrad_is_that_of_torch() -> None:
    torch.manual_seed(0)
    ours, theirs = (torch.nn.Parameter(torch.ones(7, 3)) for _ in range(2))
    adagrad, reference = Adagrad([ours]), torch.optim.Adagrad([theirs], lr=0.1)
    for _ in range(5):
        ours.grad = torch.randn(7, 3) * (torch.rand(7, 1) < 0.5)
        theirs.grad = ours.grad.clone()
        adagrad.param_groups[0]["lr"] = 0.1
        adagrad.step()
        reference.step()
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(adagrad.state[ours]["sum"], reference.state[theirs]["sum"])
