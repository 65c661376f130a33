"""The compiled window against torch's modules in float32, with inputs and weights that bf16 holds exactly."""

import pytest
import torch
from torch import Tensor, nn

from gen.config import CellName, ModelConfig
from gen.kernels.library import library
from gen.kernels.window import run_window
from gen.models.cells import CELLS, layer_weights, new_layer
from gen.models.recurrent import RecurrentLM, cross_entropy_sum

needs_kernels = pytest.mark.skipif(
    not hasattr(library(), "gen_window_forward"), reason="no C compiler, or a processor without bf16"
)
CELL_NAMES: tuple[CellName, ...] = ("rnn", "lstm", "gru")
SIZES = [(1, 1, 2, 16), (5, 7, 6, 48), (9, 13, 64, 80), (3, 32, 130, 128)]  # T, B, E, H


def rounded(*shape: int) -> Tensor:
    return torch.randn(*shape).bfloat16().float()


def a_layer(cell: CellName, width: int, hidden_size: int) -> nn.RNNBase:
    layer = new_layer(cell, width, hidden_size)
    assert isinstance(layer, nn.RNNBase)
    for parameter in layer.parameters():
        parameter.data.copy_((parameter.data * 2).bfloat16())
    return layer


def a_memory(cell: CellName, num_rows: int, hidden_size: int) -> tuple[Tensor, ...]:
    return tuple((0.5 * rounded(num_rows, hidden_size)).requires_grad_() for _ in range(CELLS[cell].num_memories))


def by_torch(layer: nn.RNNBase, x: Tensor, memory: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
    starts = tuple(m[None] for m in memory)
    ys, last = layer(x, starts if len(starts) > 1 else starts[0])
    return ys, tuple(m[0] for m in last) if isinstance(last, tuple) else (last[0],)


def distance(ours: Tensor | None, theirs: Tensor | None) -> float:
    assert ours is not None
    assert theirs is not None
    return float((ours - theirs).detach().norm() / theirs.detach().norm().clamp_min(1e-6))


@needs_kernels
@pytest.mark.parametrize("cell", CELL_NAMES)
@pytest.mark.parametrize("sizes", SIZES)
def test_outputs_and_memory_are_those_of_torch(cell: CellName, sizes: tuple[int, int, int, int]) -> None:
    torch.manual_seed(0)
    length, num_rows, width, hidden_size = sizes
    layer, x = a_layer(cell, width, hidden_size), rounded(length, num_rows, width)
    memory = a_memory(cell, num_rows, hidden_size)
    theirs, their_last = by_torch(layer, x, memory)
    ours, our_last = run_window(cell, x, memory, layer_weights(layer))
    assert (ours.float() - theirs).abs().max() < 0.02  # outputs below 1 in bf16: eight bits, fed back T times
    assert all(distance(mine, other) < 0.01 for mine, other in zip(our_last, their_last, strict=True))


@needs_kernels
@pytest.mark.parametrize("cell", CELL_NAMES)
@pytest.mark.parametrize("sizes", SIZES)
def test_gradients_are_those_of_torch(cell: CellName, sizes: tuple[int, int, int, int]) -> None:
    torch.manual_seed(0)
    length, num_rows, width, hidden_size = sizes
    layer, memory = a_layer(cell, width, hidden_size), a_memory(cell, num_rows, hidden_size)
    x = rounded(length, num_rows, width).requires_grad_()
    pull = rounded(length, num_rows, hidden_size)
    wanted = [x, *memory, *layer.parameters()]

    def gradients(ys: Tensor, last: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        total = (ys.float() * pull).sum() + sum((n + 1) * m.sum() for n, m in enumerate(last))
        return torch.autograd.grad(total, wanted)

    theirs = gradients(*by_torch(layer, x, memory))
    ours = gradients(*run_window(cell, x, memory, layer_weights(layer)))
    assert max(map(distance, ours, theirs)) < 0.03  # products of bf16, and gradients of weights rounded to bf16


@needs_kernels
@pytest.mark.parametrize("cell", CELL_NAMES)
def test_what_is_kept_for_the_gradient_changes_no_output(cell: CellName) -> None:
    layer, x = a_layer(cell, 6, 48), rounded(5, 7, 6)
    memory = a_memory(cell, 7, 48)
    kept, kept_last = run_window(cell, x, memory, layer_weights(layer))
    with torch.no_grad():
        plain, plain_last = run_window(cell, x, memory, layer_weights(layer))
    assert torch.equal(kept, plain)
    assert all(map(torch.equal, kept_last, plain_last))


@needs_kernels
@pytest.mark.parametrize("cell", CELL_NAMES)
def test_a_row_has_the_same_bits_alone_and_among_others_and_on_any_number_of_threads(cell: CellName) -> None:
    layer, x = a_layer(cell, 6, 48), rounded(5, 13, 6)
    memory = tuple(m.detach() for m in a_memory(cell, 13, 48))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        together, _ = run_window(cell, x, memory, layer_weights(layer))
    finally:
        torch.set_num_threads(threads)
    for row in range(13):
        part = slice(row, row + 1)
        alone, _ = run_window(cell, x[:, part], tuple(m[part] for m in memory), layer_weights(layer))
        assert torch.equal(alone[:, 0], together[:, row])


@needs_kernels
@pytest.mark.parametrize("cell", CELL_NAMES)
def test_a_number_that_is_none_is_not_hidden(cell: CellName) -> None:
    layer, x = a_layer(cell, 6, 48), rounded(2, 1, 6)
    x[0, 0, 0] = torch.nan
    ys, _ = run_window(cell, x, a_memory(cell, 1, 48), layer_weights(layer))
    assert ys.isnan().any()


@needs_kernels
@pytest.mark.parametrize("cell", CELL_NAMES)
def test_a_model_learns_the_same_with_the_kernels_and_without(cell: CellName, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = torch.randint(0, 20, (4, 12), generator=torch.Generator().manual_seed(1))

    def loss_and_gradient() -> tuple[float, Tensor]:
        model = RecurrentLM(ModelConfig(20, cell, 32, 2, 16), torch.Generator().manual_seed(0))
        with torch.autocast("cpu", torch.bfloat16):
            logits, _ = model(tokens, model.initial_state(torch.zeros(4, dtype=torch.long)))
        loss = cross_entropy_sum(logits, tokens)
        (gradient,) = torch.autograd.grad(loss, [model.embedding.weight])
        return loss.item(), gradient

    loss, gradient = loss_and_gradient()
    monkeypatch.setattr("gen.kernels.window.library", lambda: None)
    plain_loss, plain_gradient = loss_and_gradient()
    assert loss == pytest.approx(plain_loss, rel=2e-3)
    assert distance(gradient, plain_gradient) < 0.05
