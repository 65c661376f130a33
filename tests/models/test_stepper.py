"""One token at a time against whole windows, and a row alone against a row among others."""

from collections.abc import Callable, Iterator

import pytest
import torch

from gen.config import CellName, ModelConfig
from gen.errors import SettingError
from gen.kernels.stepping import has_step_kernel
from gen.models import stepper as models
from gen.models.cells import CELLS
from gen.models.recurrent import RecurrentLM, State
from gen.models.stepper import PackedStepper, SteppedModel, Stepper

V, T = 67, 12
SHAPES = [(1, 128, 32, 0, False), (2, 96, 128, 2, True), (3, 24, 7, 0, True), (2, 33, 5, 3, False)]


@pytest.fixture(autouse=True, params=["compiled", "torch"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Steps in the compiled kernel, then in torch's operations."""
    if request.param == "torch":
        monkeypatch.setattr(models, "has_step_kernel", lambda: False)
    elif not has_step_kernel():
        pytest.skip("no compiled kernels")
    return str(request.param)


@pytest.fixture
def on_threads() -> Iterator[Callable[[int], None]]:
    """Lets torch use so many threads."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def new_model(cell: CellName, shape: tuple[int, int, int, int, bool]) -> RecurrentLM:
    num_layers, hidden_size, embedding_size, num_labels, is_tied = shape
    config = ModelConfig(V, cell, hidden_size, num_layers, embedding_size, num_labels=num_labels, is_tied=is_tied)
    return RecurrentLM(config, torch.Generator().manual_seed(0))


def walked(stepper: Stepper, tokens: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    state, outputs = stepper.initial_state(labels), []
    for column in tokens.t():
        logits, state = stepper.step(column, state)
        outputs.append(logits)
    return torch.stack(outputs, dim=1)


@pytest.mark.parametrize("cell", tuple(CELLS))
@pytest.mark.parametrize("shape", SHAPES)
def test_stepping_equals_forward(cell: CellName, shape: tuple[int, int, int, int, bool]) -> None:
    model = new_model(cell, shape)
    tokens = torch.randint(0, V, (5, T))
    labels = torch.arange(5) % (shape[3] + 1)

    with torch.no_grad():
        expected, _ = model(tokens, model.initial_state(labels))

    torch.testing.assert_close(walked(PackedStepper(model), tokens, labels), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("cell", tuple(CELLS))
@pytest.mark.parametrize("shape", SHAPES)
def test_a_row_has_the_same_bits_alone_and_among_others(cell: CellName, shape: tuple[int, int, int, int, bool]) -> None:
    stepper = PackedStepper(new_model(cell, shape))
    tokens = torch.randint(0, V, (70, T))
    labels = torch.arange(70) % (shape[3] + 1)

    together = walked(stepper, tokens, labels)

    for rows in (slice(0, 1), slice(41, 42), slice(7, 9), slice(3, 68)):
        assert torch.equal(walked(stepper, tokens[rows], labels[rows]), together[rows])


def test_state_that_was_handed_in_is_not_modified() -> None:
    stepper = PackedStepper(new_model("lstm", SHAPES[0]))
    state = stepper.initial_state(torch.zeros(2, dtype=torch.long))
    _, state = stepper.step(torch.tensor([1, 2]), state)
    before = tuple(m.clone() for m in state.memory)

    stepper.step(torch.tensor([3, 4]), state)

    assert all(torch.equal(a, b) for a, b in zip(state.memory, before, strict=True))


def test_stepper_does_not_follow_later_training() -> None:
    model = new_model("gru", SHAPES[0])
    stepper = PackedStepper(model)
    tokens, labels = torch.randint(0, V, (2, T)), torch.zeros(2, dtype=torch.long)
    before = walked(stepper, tokens, labels)

    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)

    assert torch.equal(walked(stepper, tokens, labels), before)


@pytest.mark.parametrize("cell", tuple(CELLS))
def test_two_threads_give_the_bits_of_one(cell: CellName, on_threads: Callable[[int], None]) -> None:
    stepper = PackedStepper(new_model(cell, SHAPES[1]))
    tokens, labels = torch.randint(0, V, (9, T)), torch.arange(9) % 3
    on_threads(1)
    expected = walked(stepper, tokens, labels)
    on_threads(2)
    for rows in (slice(0, 9), slice(4, 7), slice(4, 5)):  # of 9 rows each thread takes some, of fewer some units
        assert torch.equal(walked(stepper, tokens[rows], labels[rows]), expected[rows])


def test_rows_that_lie_apart_in_memory_are_stepped_all_the_same() -> None:
    stepper = PackedStepper(new_model("lstm", SHAPES[1]))
    state = stepper.initial_state(torch.tensor([0, 1, 2, 1]))
    tokens = torch.tensor([5, 6, 7, 8])
    logits, _ = stepper.step(tokens, state)
    every_other = State(tuple(m[:, ::2] for m in state.memory), state.condition[::2])
    assert torch.equal(stepper.step(tokens[::2], every_other)[0], logits[::2])


@pytest.mark.parametrize("cell", tuple(CELLS))
@pytest.mark.parametrize("shape", SHAPES)
def test_int8_is_near_fp32_and_a_row_has_the_same_bits_among_others(
    cell: CellName, shape: tuple[int, int, int, int, bool], way: str
) -> None:
    if way == "torch":
        return
    model = new_model(cell, shape)
    tokens, labels = torch.randint(0, V, (9, T)), torch.arange(9) % (shape[3] + 1)
    exact, rounded = (SteppedModel(model, PackedStepper(model, precision)) for precision in ("fp32", "int8"))
    found, _ = rounded(tokens, rounded.initial_state(labels))
    expected, _ = exact(tokens, exact.initial_state(labels))
    assert 0 < (found - expected).abs().max() < 0.05  # of logits of about 1: 127 steps a weight, and as many of h
    assert torch.equal(rounded(tokens[4:5], rounded.initial_state(labels[4:5]))[0], found[4:5])


def test_int8_without_compiled_kernels_is_a_setting_error(way: str) -> None:
    if way == "torch":
        with pytest.raises(SettingError, match=r"^--precision: needs the compiled kernels \(int8\)$"):
            PackedStepper(new_model("lstm", SHAPES[0]), "int8")
