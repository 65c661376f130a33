"""Half precision against float32, and the fused cells of a CUDA device against their equations."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from gen.config import CellName, ModelConfig
from gen.errors import SettingError
from gen.models.cells import CELLS, Weights, layer_weights
from gen.models.fused import FUSED_CELLS, cell_step
from gen.models.packed import PackedModel, packed_product
from gen.models.recurrent import RecurrentLM
from gen.models.stepper import PackedStepper, SteppedModel, StepPrecision, default_precision

V, T = 67, 12

needs_cuda = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="NEEDS CUDA: whether torch's fused cells are our equations is not tested"
)


def new_model(cell: CellName, num_layers: int) -> RecurrentLM:
    config = ModelConfig(V, cell, 40, num_layers, 16)
    return RecurrentLM(config, torch.Generator().manual_seed(0))


@torch.inference_mode()
def walked(model: RecurrentLM, dtype: torch.dtype, tokens: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Returns (B, T, V) logits and the last memory of a model whose products are of this type."""
    weights = [layer_weights(layer) for layer in model.layers]
    table = functional.linear(model.embedding.weight, weights[0].w_ih)
    packed = PackedModel(model.config.cell, table, weights, model.output.weight, model.output.bias, dtype=dtype)
    shape = (model.config.num_layers, len(tokens), packed.hidden_size)
    memory: tuple[Tensor, ...] = (torch.zeros(shape),) * CELLS[model.config.cell].num_memories
    logits = []
    for column in tokens.t():
        step, memory = packed.run(column, memory, None)
        logits.append(step)
    return torch.stack(logits, dim=1), memory


def test_a_half_product_rounds_its_factors_and_its_sums() -> None:
    generator = torch.Generator().manual_seed(0)
    weight, bias, x = (torch.randn(*size, generator=generator) for size in ((24, 40), (24,), (5, 40)))
    found = packed_product(weight, bias, torch.float16)(x)
    rounded = [array.numpy().astype(np.float16).astype(np.float64) for array in (x, weight, bias)]
    assert found.dtype == torch.float32
    assert found.numpy() == pytest.approx(rounded[0] @ rounded[1].T + rounded[2], abs=0.03)  # sums up to 20 in fp16
    assert packed_product(weight, bias)(x).numpy() == pytest.approx((x @ weight.T + bias).numpy(), abs=1e-5)


@pytest.mark.parametrize("cell", tuple(CELLS))
@pytest.mark.parametrize("num_layers", [1, 2])
def test_half_precision_is_near_float32_and_keeps_its_memory_in_float32(cell: CellName, num_layers: int) -> None:
    model = new_model(cell, num_layers)
    tokens = torch.randint(V, (5, T), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected, _ = model(tokens, model.initial_state(torch.zeros(5, dtype=torch.int64)))
    exact, _ = walked(model, torch.float32, tokens)
    half, memory = walked(model, torch.float16, tokens)
    assert exact.numpy() == pytest.approx(expected.numpy(), abs=1e-5)
    assert half.numpy() == pytest.approx(expected.numpy(), abs=5e-3)
    assert not half.equal(exact)
    assert {part.dtype for part in memory} == {torch.float32}


def test_a_cpu_has_no_half_precision_and_samples_in_fp32_unless_asked() -> None:
    with pytest.raises(SettingError, match=r"^--precision: only on a GPU \(fp16\)$"):
        PackedStepper(new_model("lstm", 1), "fp16")
    assert [default_precision(torch.device(name)) for name in ("cpu", "cuda", "mps")] == ["fp32", "fp16", "fp32"]


@pytest.mark.parametrize("cell", tuple(CELLS))
def test_off_cuda_a_cell_runs_by_its_equations(cell: CellName) -> None:
    assert cell_step(cell, torch.device("cpu")) is CELLS[cell].step


@needs_cuda
@pytest.mark.parametrize("cell", tuple(FUSED_CELLS))
def test_fused_cells_are_the_equations(cell: CellName) -> None:
    num_gates, num_memories = CELLS[cell].num_gates, CELLS[cell].num_memories
    sizes = ((num_gates * 40, 16), (num_gates * 40, 40), (num_gates * 40,), (num_gates * 40,))
    weights = Weights(*(torch.randn(size, device="cuda") / 4 for size in sizes))
    x, memory = torch.randn(7, 16, device="cuda"), tuple(torch.randn(7, 40, device="cuda") for _ in range(num_memories))
    expected, found = CELLS[cell].step(x, memory, weights), FUSED_CELLS[cell](x, memory, weights)
    for found_part, part in zip(found, expected, strict=True):
        assert found_part.numpy(force=True) == pytest.approx(part.numpy(force=True), abs=1e-5)


@needs_cuda
@pytest.mark.parametrize("cell", tuple(CELLS))
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize(("precision", "error"), [("fp32", 1e-4), ("fp16", 5e-3)])
def test_a_gpu_steps_as_forward_does(cell: CellName, num_layers: int, precision: StepPrecision, error: float) -> None:
    model = new_model(cell, num_layers)
    tokens, labels = torch.randint(V, (5, T)), torch.zeros(5, dtype=torch.int64)
    with torch.no_grad():
        expected, _ = model(tokens, model.initial_state(labels))
        on_gpu = model.to("cuda")
        stepped = SteppedModel(on_gpu, PackedStepper(on_gpu, precision))
        found, _ = stepped(tokens.to("cuda"), stepped.initial_state(labels.to("cuda")))
    assert found.numpy(force=True) == pytest.approx(expected.numpy(), abs=error)
