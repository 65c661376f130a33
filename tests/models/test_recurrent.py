"""The language model: its window kernels against the equations, its labels, its dropout."""

from dataclasses import replace

import pytest
import torch

from gen.config import CellName, ModelConfig
from gen.models.cells import CELLS, layer_weights, run_layer
from gen.models.dropout import Draws, locked_dropout
from gen.models.recurrent import RecurrentLM, cross_entropy_sum

CONFIG = ModelConfig(13, hidden_size=12, num_layers=2, embedding_size=6, num_labels=2)


def new_model(config: ModelConfig = CONFIG) -> RecurrentLM:
    return RecurrentLM(config, torch.Generator().manual_seed(0))


def tokens(rows: int = 4, length: int = 9) -> torch.Tensor:
    return torch.randint(0, CONFIG.vocab_size, (rows, length), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("cell", tuple(CELLS))
@pytest.mark.parametrize("is_tied", [False, True])
def test_forward_is_embedding_cells_and_output(cell: CellName, is_tied: bool) -> None:
    model = new_model(replace(CONFIG, cell=cell, is_tied=is_tied)).double()
    state = model.initial_state(torch.tensor([0, 1, 2, 1]))

    logits, _ = model(tokens(), type(state)(tuple(m.double() for m in state.memory), state.condition))

    x = model.embedding(tokens()).transpose(0, 1) + state.condition
    for n, layer in enumerate(model.layers):
        x, _ = run_layer(cell, x, tuple(m[n].double() for m in state.memory), layer_weights(layer))
    if model.projection is not None:
        x = model.projection(x)
    torch.testing.assert_close(logits, model.output(x).transpose(0, 1), rtol=0, atol=1e-10)


def test_two_windows_with_carried_state_equal_one_window() -> None:
    model, labels = new_model(), torch.tensor([1, 2, 0, 0])

    whole, last = model(tokens(), model.initial_state(labels))
    first, state = model(tokens()[:, :4], model.initial_state(labels))
    second, final = model(tokens()[:, 4:], state)

    torch.testing.assert_close(torch.cat([first, second], dim=1), whole)
    torch.testing.assert_close(final.memory, last.memory)


def test_label_enters_the_initial_memory_and_every_input() -> None:
    model = new_model()

    none, one = model.initial_state(torch.tensor([0])), model.initial_state(torch.tensor([1]))
    moved, _ = model(tokens(1), type(none)(none.memory, one.condition))
    plain, _ = model(tokens(1), none)

    assert not torch.equal(none.memory[0], one.memory[0])
    assert not torch.allclose(moved[:, -1], plain[:, -1])


def test_that_a_row_is_varied_enters_every_input_and_leaves_the_others_as_they_are() -> None:
    told = new_model(replace(CONFIG, has_variations=True))
    labels, is_varied = torch.tensor([1, 1, 0, 2]), torch.tensor([True, False, False, True])

    plain, state = told(tokens(), told.initial_state(labels))
    varied, last = told(tokens(), told.initial_state(labels, is_varied))
    again, _ = told(tokens(), last)
    forgotten, _ = told(tokens(), last._replace(condition=state.condition))

    assert torch.equal(varied[1:3], plain[1:3])
    assert not torch.allclose(varied[0], plain[0])
    assert not torch.allclose(again[3, 0], forgotten[3, 0]), "a window later it is still told"


def test_forget_gate_bias_starts_at_one_and_the_other_biases_at_nought() -> None:
    weights = layer_weights(new_model().layers[0])

    i, f, g, o = (weights.b_ih + weights.b_hh).chunk(4)

    assert bool((f == 1).all())
    assert not any(bool(part.any()) for part in (i, g, o))


def test_recurrent_matrices_start_orthogonal() -> None:
    gates = layer_weights(new_model().layers[1]).w_hh.view(4, 12, 12)

    torch.testing.assert_close(gates @ gates.transpose(1, 2), torch.eye(12).expand(4, 12, 12), atol=1e-5, rtol=0)


def test_same_seed_gives_the_same_weights_whatever_torch_drew_before() -> None:
    torch.manual_seed(5)
    one = new_model()
    torch.manual_seed(6)
    other = new_model()

    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_dropout_is_one_mask_for_the_whole_window_and_keeps_the_mean() -> None:
    dropped = locked_dropout(
        torch.ones(5, 64, 256), 0.25, Draws(torch.Generator().manual_seed(0), 64, slice(0, 64), 0.25)
    )

    assert bool((dropped == dropped[0]).all())
    assert sorted(set(dropped.flatten().tolist())) == pytest.approx([0.0, 4 / 3])
    assert float(dropped.mean()) == pytest.approx(1.0, abs=0.02)  # 16,384 draws: 3 sigma is 0.014


def test_a_row_gets_the_same_mask_whichever_rows_run_beside_it() -> None:
    whole, part = (Draws(torch.Generator().manual_seed(0), 7, rows, 0.5) for rows in (slice(0, 7), slice(3, 5)))

    dropped = locked_dropout(torch.ones(5, 7, 64), 0.5, whole)

    assert torch.equal(locked_dropout(torch.ones(5, 2, 64), 0.5, part), dropped[:, 3:5])


def test_no_generator_means_no_dropout() -> None:
    model = new_model(replace(CONFIG, dropout=0.9))
    state = model.initial_state(torch.zeros(4, dtype=torch.long))

    assert torch.equal(model(tokens(), state)[0], model(tokens(), state)[0])


def test_padded_targets_count_nothing() -> None:
    logits = torch.randn(2, 3, 13)
    targets = torch.tensor([[1, 2, -1], [3, -1, -1]])

    loss = cross_entropy_sum(logits, targets)

    by_hand = -sum(logits[b, t].log_softmax(0)[v] for b, t, v in ((0, 0, 1), (0, 1, 2), (1, 0, 3)))
    torch.testing.assert_close(loss, by_hand)


def test_tied_output_shares_the_embedding() -> None:
    model = new_model(replace(CONFIG, is_tied=True))

    assert model.output.weight is model.embedding.weight
    untied = new_model()
    assert model.num_parameters() < untied.num_parameters()
