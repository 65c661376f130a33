"""A model run by the equations, against the fused kernels and against the equations worked out by hand."""

from typing import Any

import pytest
import torch

from gen.config import CELL_NAMES, CellName, ModelConfig
from gen.models.cells import layer_weights
from gen.models.recurrent import RecurrentLM
from gen.models.unrolled import logits_of, named_arrays, run_equations

V, B, T, H = 13, 3, 90, 24


def new_model(cell: CellName, num_layers: int, **settings: Any) -> RecurrentLM:
    config = ModelConfig(V, cell, hidden_size=H, num_layers=num_layers, embedding_size=7, **settings)
    return RecurrentLM(config, torch.Generator().manual_seed(0)).eval()


def tokens() -> torch.Tensor:
    return torch.randint(0, V, (B, T), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("cell", CELL_NAMES)
@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("settings", [{}, {"num_labels": 2}, {"is_tied": True}], ids=["plain", "labels", "tied"])
def test_logits_and_memory_equal_those_of_the_fused_kernels(
    cell: CellName, num_layers: int, settings: dict[str, Any]
) -> None:
    model = new_model(cell, num_layers, **settings)
    start = model.initial_state(torch.arange(B) % (model.config.num_labels + 1))
    runs = run_equations(model, tokens(), start)
    with torch.no_grad():
        logits, after = model(tokens(), start)
    torch.testing.assert_close(logits_of(model, runs).transpose(0, 1), logits, rtol=0, atol=1e-5)
    for n, run in enumerate(runs):
        torch.testing.assert_close(
            tuple(m[-1] for m in run.memories), tuple(m[n] for m in after.memory), rtol=0, atol=1e-5
        )


@pytest.mark.parametrize("num_layers", [1, 2])
def test_the_gates_of_an_lstm_make_its_cell_and_its_output(num_layers: int) -> None:
    model = new_model("lstm", num_layers)
    n = num_layers - 1
    run = run_equations(model, tokens(), model.initial_state(torch.zeros(B, dtype=torch.long)))[n]
    arrays = named_arrays(model, n, run)
    before = torch.cat([torch.zeros(1, B, H), arrays["c"][:-1]])
    torch.testing.assert_close(arrays["c"], arrays["f"] * before + arrays["i"] * arrays["g"], rtol=0, atol=1e-6)
    torch.testing.assert_close(arrays["h"], arrays["o"] * arrays["c"].tanh(), rtol=0, atol=1e-6)
    weights = layer_weights(model.requires_grad_(requires_grad=False).layers[n])
    sums = run.xs[40] @ weights.w_ih.T + weights.b_ih + arrays["h"][39] @ weights.w_hh.T + weights.b_hh
    torch.testing.assert_close(arrays["f"][40], sums[:, H : 2 * H].sigmoid(), rtol=0, atol=1e-6)


def test_the_gates_of_a_gru_make_its_output() -> None:
    model = new_model("gru", 1)
    (run,) = run_equations(model, tokens(), model.initial_state(torch.zeros(B, dtype=torch.long)))
    arrays = named_arrays(model, 0, run)
    before = torch.cat([torch.zeros(1, B, H), arrays["h"][:-1]])
    expected = (1 - arrays["z"]) * arrays["n"] + arrays["z"] * before
    torch.testing.assert_close(arrays["h"], expected, rtol=0, atol=1e-6)


def test_a_plain_rnn_has_an_output_alone() -> None:
    model = new_model("rnn", 1)
    (run,) = run_equations(model, tokens(), model.initial_state(torch.zeros(B, dtype=torch.long)))
    assert list(named_arrays(model, 0, run)) == ["h"]


@pytest.mark.parametrize("cell", CELL_NAMES)
def test_the_last_token_alone_is_a_run_of_one_token(cell: CellName) -> None:
    model = new_model(cell, 2)
    runs = run_equations(model, tokens(), model.initial_state(torch.zeros(B, dtype=torch.long)))
    for n, run in enumerate(runs):
        whole, alone = named_arrays(model, n, run), named_arrays(model, n, run.last())
        assert all(torch.allclose(alone[name], whole[name][-1:], atol=1e-6) for name in whole)
