"""The compiled window against torch's modules in float32, with inputs and weights that bf16 holds exactly."""

import ctypes
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from gen.config import CellName, ModelConfig
from gen.kernels import cross_entropy, window
from gen.kernels.library import built, library
from gen.kernels.window import has_products, run_window
from gen.models.cells import CELLS, layer_weights, new_layer
from gen.models.recurrent import RecurrentLM, cross_entropy_sum

needs_kernels = pytest.mark.skipif(library() is None, reason="NEEDS A C COMPILER: the kernels are not built")
CELL_NAMES: tuple[CellName, ...] = ("rnn", "lstm", "gru")
DTYPES = [torch.float32, torch.bfloat16]
# T, B, E, H; the last two have whole tiles of AMX, and rows of two tiles and of two times MAX_ROWS in window.h
SIZES = [(1, 1, 2, 16), (5, 7, 6, 48), (9, 13, 66, 80), (3, 32, 130, 128), (11, 21, 32, 64), (2, 65, 64, 96)]


@needs_kernels
def test_the_structures_have_the_sizes_of_those_in_c() -> None:
    mirrored = (window._Weights, window._Turned, window._ForwardPass, window._BackwardPass, cross_entropy._Rows)
    assert [built().gen_window_size(n) for n in range(len(mirrored))] == [ctypes.sizeof(each) for each in mirrored]


@pytest.fixture(params=DTYPES)
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    """The type of the products."""
    if not has_products(request.param):
        pytest.skip(f"NEEDS A PROCESSOR WITH {request.param}: the kernels are not built for it")
    found: torch.dtype = request.param
    return found


@pytest.fixture(params=[1, 3, 12])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


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


def by_kernels(
    layer: nn.RNNBase, x: Tensor, memory: tuple[Tensor, ...], dtype: torch.dtype
) -> tuple[Tensor, tuple[Tensor, ...]]:
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        return run_window(layer.mode.split("_")[0].lower(), x, memory, layer_weights(layer))


def pulled(pull: Tensor, ys: Tensor, last: tuple[Tensor, ...]) -> Tensor:
    """A number to which all outputs and memories add."""
    return (ys.float() * pull).sum() + sum((n + 1) * m.sum() for n, m in enumerate(last))


def distance(ours: Tensor | None, theirs: Tensor | None) -> float:
    assert ours is not None
    assert theirs is not None
    return float((ours - theirs).detach().norm() / theirs.detach().norm().clamp_min(1e-6))


@needs_kernels
@pytest.mark.parametrize("cell", CELL_NAMES)
@pytest.mark.parametrize("sizes", SIZES)
def test_outputs_and_memory_are_those_of_torch(
    cell: CellName, sizes: tuple[int, int, int, int], dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    length, num_rows, width, hidden_size = sizes
    layer, x = a_layer(cell, width, hidden_size), rounded(length, num_rows, width)
    memory = a_memory(cell, num_rows, hidden_size)
    theirs, their_last = by_torch(layer, x, memory)
    ours, our_last = by_kernels(layer, x, memory, dtype)
    assert ours.dtype == dtype
    # fp32: sums in another order. bf16: outputs below 1 in eight bits, fed back T times.
    most, far = (1e-5, 1e-5) if dtype == torch.float32 else (0.02, 0.01)
    assert (ours.float() - theirs).abs().max() < most
    assert all(distance(mine, other) < far for mine, other in zip(our_last, their_last, strict=True))


@needs_kernels
@pytest.mark.parametrize("cell", CELL_NAMES)
@pytest.mark.parametrize("sizes", SIZES)
def test_gradients_are_those_of_torch(cell: CellName, sizes: tuple[int, int, int, int], dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    length, num_rows, width, hidden_size = sizes
    layer, memory = a_layer(cell, width, hidden_size), a_memory(cell, num_rows, hidden_size)
    x = rounded(length, num_rows, width).requires_grad_()
    pull = rounded(length, num_rows, hidden_size)
    wanted = [x, *memory, *layer.parameters()]
    theirs = torch.autograd.grad(pulled(pull, *by_torch(layer, x, memory)), wanted)
    ours = torch.autograd.grad(pulled(pull, *by_kernels(layer, x, memory, dtype)), wanted)
    # bf16: products of bf16, and gradients of weights rounded to bf16
    assert max(map(distance, ours, theirs)) < (1e-5 if dtype == torch.float32 else 0.03)


@needs_kernels
@pytest.mark.parametrize("cell", CELL_NAMES)
@pytest.mark.parametrize("is_recurrent", [False, True])
def test_weights_that_need_no_gradient_leave_the_others_as_they_are(cell: CellName, is_recurrent: bool) -> None:
    layer, memory = a_layer(cell, 6, 48), a_memory(cell, 7, 48)
    x = rounded(5, 7, 6).requires_grad_()
    layer.weight_ih_l0.requires_grad = False
    layer.weight_hh_l0.requires_grad = is_recurrent
    wanted = [x, *memory, *(weights for weights in layer.parameters() if weights.requires_grad)]
    theirs = torch.autograd.grad(by_torch(layer, x, memory)[0].square().sum(), wanted)
    ours = torch.autograd.grad(by_kernels(layer, x, memory, torch.float32)[0].square().sum(), wanted)
    assert max(map(distance, ours, theirs)) < 1e-5


@needs_kernels
@pytest.mark.parametrize("cell", CELL_NAMES)
def test_what_is_kept_for_the_gradient_changes_no_output(cell: CellName, dtype: torch.dtype) -> None:
    layer, x = a_layer(cell, 6, 48), rounded(5, 7, 6)
    memory = a_memory(cell, 7, 48)
    kept, kept_last = by_kernels(layer, x, memory, dtype)
    with torch.no_grad():
        plain, plain_last = by_kernels(layer, x, memory, dtype)
    assert torch.equal(kept, plain)
    assert all(map(torch.equal, kept_last, plain_last))


@needs_kernels
@pytest.mark.parametrize("cell", CELL_NAMES)
@pytest.mark.parametrize("sizes", [(5, 13, 6, 48), (3, 40, 32, 64)])
def test_a_row_has_the_same_bits_alone_and_among_others_and_on_any_number_of_threads(
    cell: CellName, sizes: tuple[int, int, int, int], dtype: torch.dtype, threads: int
) -> None:
    length, num_rows, width, hidden_size = sizes
    layer, x = a_layer(cell, width, hidden_size), rounded(length, num_rows, width)
    memory = tuple(m.detach() for m in a_memory(cell, num_rows, hidden_size))
    together, _ = by_kernels(layer, x, memory, dtype)
    torch.set_num_threads(2)
    for row in range(0, num_rows, 3):
        part = slice(row, row + 1)
        alone, _ = by_kernels(layer, x[:, part], tuple(m[part] for m in memory), dtype)
        assert torch.equal(alone[:, 0], together[:, row]), threads


@needs_kernels
@pytest.mark.parametrize("cell", CELL_NAMES)
@pytest.mark.parametrize("sizes", [(17, 37, 66, 176), (9, 40, 64, 320)])
def test_gradients_have_the_same_bits_by_rows_and_by_units_on_any_number_of_threads(
    cell: CellName,
    sizes: tuple[int, int, int, int],
    dtype: torch.dtype,
    threads: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    length, num_rows, width, hidden_size = sizes
    layer, memory = a_layer(cell, width, hidden_size), a_memory(cell, num_rows, hidden_size)
    x, pull = rounded(length, num_rows, width).requires_grad_(), rounded(length, num_rows, hidden_size)
    wanted = [x, *memory, *layer.parameters()]
    found = [torch.autograd.grad(pulled(pull, *by_kernels(layer, x, memory, dtype)), wanted)]
    torch.set_num_threads(threads + 1)
    monkeypatch.setattr(window, "UNITS_FROM", 0)  # as if the layer were large
    found += [torch.autograd.grad(pulled(pull, *by_kernels(layer, x, memory, dtype)), wanted)]
    assert all(map(torch.equal, *found))


@needs_kernels
@pytest.mark.parametrize("cell", CELL_NAMES)
def test_a_number_that_is_none_is_not_hidden(cell: CellName, dtype: torch.dtype) -> None:
    layer, x = a_layer(cell, 6, 48), rounded(2, 1, 6)
    x[0, 0, 0] = torch.nan
    ys, _ = by_kernels(layer, x, a_memory(cell, 1, 48), dtype)
    assert ys.isnan().any()


@needs_kernels
@pytest.mark.parametrize("cell", CELL_NAMES)
def test_a_model_learns_the_same_with_the_kernels_and_without(
    cell: CellName, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = torch.randint(0, 20, (4, 12), generator=torch.Generator().manual_seed(1))

    def loss_and_gradient() -> tuple[float, Tensor]:
        model = RecurrentLM(ModelConfig(20, cell, 32, 2, 16), torch.Generator().manual_seed(0))
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            logits, _ = model(tokens, model.initial_state(torch.zeros(4, dtype=torch.long)))
        loss = cross_entropy_sum(logits, tokens)
        (gradient,) = torch.autograd.grad(loss, [model.embedding.weight])
        return loss.item(), gradient

    loss, gradient = loss_and_gradient()
    monkeypatch.setattr("gen.kernels.window.library", lambda: None)
    plain_loss, plain_gradient = loss_and_gradient()
    assert loss == pytest.approx(plain_loss, rel=1e-6 if dtype == torch.float32 else 2e-3)
    assert distance(gradient, plain_gradient) < (1e-5 if dtype == torch.float32 else 0.05)
