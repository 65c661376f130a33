"""What is recorded at the tokens of an excerpt, against plain passes of the model."""

import numpy as np
import pytest
import torch

from gen.analysis.probing import gates
from gen.analysis.probing.gates import record, record_states, step_at
from gen.config import CELL_NAMES, CellName, ModelConfig
from gen.data.split import Excerpt
from gen.data.stretches import Stretch, Stretches
from gen.errors import CorpusError
from gen.models.recurrent import RecurrentLM

V, H, BEGIN, END = 12, 16, 10, 11


def new_model(cell: CellName = "lstm", num_layers: int = 2) -> RecurrentLM:
    config = ModelConfig(V, cell, hidden_size=H, num_layers=num_layers, embedding_size=8, num_labels=2)
    return RecurrentLM(config, torch.Generator().manual_seed(1)).eval()


def excerpt(*stretches: Stretch) -> Excerpt:
    ids = np.random.default_rng(0).integers(0, 10, 900).astype(np.uint8)
    return Excerpt(ids, Stretches(stretches or [Stretch(0, 200, 1, True), Stretch(200, 900, 2, True)]), BEGIN, END)


@pytest.mark.parametrize("cell", CELL_NAMES)
def test_costs_and_states_are_those_of_a_plain_pass_over_each_document(cell: CellName) -> None:
    model, part = new_model(cell), excerpt()
    recording = record(model, part, num_tokens=300)
    states, nats = [], []
    for start, stop, label in ((0, 200, 1), (200, 300, 2)):
        state = model.initial_state(torch.tensor([label]))
        for before, after in zip([BEGIN, *part.ids[start : stop - 1]], part.ids[start:stop], strict=True):
            logits, state = model(torch.tensor([[int(before)]]), state)
            nats.append(-logits[0, 0].log_softmax(0)[int(after)].item())
            _, after_it = model(torch.tensor([[int(after)]]), state)
            states.append(after_it.memory[-1][1, 0].detach().numpy())
    assert (recording.ids == part.ids[:300]).all()
    np.testing.assert_allclose(recording.nats, nats, atol=1e-5)
    np.testing.assert_allclose(recording.state(1), states, atol=1e-5)


def test_pieces_side_by_side_are_close_to_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "PIECE", 100)
    model, part = new_model(), excerpt()
    recording = record(model, part, num_tokens=900)
    states = record_states(model, part, num_tokens=900)
    assert states.shape == (900, 2 * H)
    np.testing.assert_allclose(states[:, H:], recording.state(1), atol=1e-3)  # 256 tokens of lead forget the rest


def test_rows_side_by_side_do_not_change_the_states(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "PIECE", 100)
    together = record_states(new_model(), excerpt(), num_tokens=650)
    monkeypatch.setattr(gates, "MAX_VALUES", 1)
    np.testing.assert_allclose(record_states(new_model(), excerpt(), num_tokens=650), together, atol=1e-5)


def test_a_step_alone_has_the_arrays_of_the_recording() -> None:
    model, part = new_model(), excerpt()
    recording = record(model, part, num_tokens=300)
    for number in (0, 150, 200, 299):
        runs = step_at(model, part, number)
        np.testing.assert_allclose(runs[1].memories[-1][0, 0], recording.state(1)[number], atol=1e-6)


def test_an_excerpt_without_tokens_is_a_corpus_error() -> None:
    with pytest.raises(CorpusError, match="no token"):
        record(new_model(), excerpt(Stretch(5, 5, 0, True)), num_tokens=10)
