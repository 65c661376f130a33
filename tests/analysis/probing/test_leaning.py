"""What recorded predictions lean on, against one pass over the whole document for each target."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from gen.analysis import gradient_flow
from gen.analysis.probing import leaning as module
from gen.analysis.probing.gates import record
from gen.analysis.probing.leaning import leaning, rounded_norms
from gen.config import CELL_NAMES, CellName, ModelConfig
from gen.data.split import Excerpt
from gen.data.stretches import Stretch, Stretches
from gen.models.recurrent import RecurrentLM

V, BEGIN, END = 12, 10, 11
DOCUMENTS = (Stretch(0, 60, 1, True), Stretch(60, 60, 2, True), Stretch(60, 62, 0, True), Stretch(62, 200, 2, True))


def whole_pass(model: RecurrentLM, document: list[int], label: int, number: int) -> list[float]:
    """Returns the norms for token `number` of a document, the last input first, back to begin."""
    state = model.initial_state(torch.tensor([label]))
    x = model.inputs(torch.tensor([[BEGIN, *document[:number]]]), state).detach().requires_grad_()
    outputs, _ = model.layers(x, state.memory)
    nats = functional.cross_entropy(model.output(outputs[-1]), torch.tensor(document[number : number + 1]))
    (gradient,) = torch.autograd.grad(nats, x)
    return [float(norm) for norm in gradient[:, 0].norm(dim=1).flip(0)]


@pytest.mark.parametrize("cell", CELL_NAMES)
def test_every_prediction_has_the_gradients_of_a_pass_over_its_whole_document(
    cell: CellName, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "NUM_INPUTS", 7)
    monkeypatch.setattr(module, "MAX_TOKENS", 8 * 30)  # several batches of rows
    config = ModelConfig(V, cell, hidden_size=16, num_layers=2, embedding_size=8, num_labels=2)
    model = RecurrentLM(config, torch.Generator().manual_seed(1))
    ids = np.random.default_rng(0).integers(0, 10, 200).astype(np.uint8)
    part = Excerpt(ids, Stretches(DOCUMENTS), BEGIN, END)

    found = leaning(model, part, record(model, part, num_tokens=150))

    expected = [
        whole_pass(model, ids[start:stop].tolist(), label, number)[:7]
        for start, stop, label, _ in DOCUMENTS
        for number in range(min(stop, 150) - start)
    ]
    assert found.num_inputs.tolist() == [len(norms) for norms in expected]
    for target, norms in enumerate(expected):
        np.testing.assert_allclose(found.norms(target), norms, atol=max(norms) * 0.006)  # of three digits


def test_a_prediction_that_looks_back_no_further_than_a_window_agrees_with_the_list_of_one_token() -> None:
    config = ModelConfig(V, "gru", hidden_size=16, embedding_size=8)
    model = RecurrentLM(config, torch.Generator().manual_seed(2))
    ids = np.random.default_rng(1).integers(0, 10, 80).astype(np.uint8)
    part = Excerpt(ids, Stretches([Stretch(0, 80, 0, True)]), BEGIN, END)

    found = leaning(model, part, record(model, part, num_tokens=80))

    alone = gradient_flow.leanings(model, part, 70, lags=module.NUM_INPUTS - 1).gradient
    np.testing.assert_allclose(found.norms(70), alone, atol=alone.max() * 0.006)


def test_norms_keep_three_digits_of_the_greatest_of_their_row() -> None:
    rows = np.array([[0.12345, 0.0123456, np.nan], [345.6, 1.26, 0.4], [1e-30, 0, 0], [4567.0, 0.2, 12.0]])
    found = rounded_norms(rows)
    assert [found.norms(target) for target in range(4)] == [[0.123, 0.012], [346, 1, 0], [0, 0, 0], [4567, 0, 12]]
