"""The gradient by lag against finite differences, and against one target after the other."""

import math
import statistics

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from gen.analysis.gradient_flow import gradient_flow, gradients_at, leanings
from gen.config import CELL_NAMES, CellName, ModelConfig
from gen.data.split import Excerpt
from gen.data.stretches import Stretch, Stretches
from gen.errors import CorpusError, SettingError
from gen.models.recurrent import RecurrentLM

BEGIN, END = 38, 39  # of a model of 40 symbols
LABEL = 2


def new_model(cell: CellName = "gru", *, num_layers: int = 1) -> RecurrentLM:
    config = ModelConfig(END + 1, cell, hidden_size=12, num_layers=num_layers, embedding_size=4, num_labels=2)
    return RecurrentLM(config, torch.Generator().manual_seed(3)).double()


def excerpt_of(ids: list[int], *stretches: Stretch) -> Excerpt:
    return Excerpt(np.array(ids, np.uint8), Stretches(stretches), BEGIN, END)


def nats_of(model: RecurrentLM, inputs: list[int], target: int) -> float:
    """Returns the loss of the target after the inputs."""
    with torch.no_grad():
        logits, _ = model(torch.tensor([inputs]), model.initial_state(torch.tensor([LABEL])))
    return -float(logits[0, -1].log_softmax(0)[target])


def slope(model: RecurrentLM, inputs: list[int], target: int, token: int) -> float:
    """Returns the norm of the central differences of a loss along the embedding of a token that stands there once."""
    found, change = [], 1e-5
    for number in range(model.config.embedding_size):
        nats = []
        for sign in (1, -2, 1):  # up, down, and back
            with torch.no_grad():
                model.embedding.weight[token, number] += sign * change
            nats.append(nats_of(model, inputs, target))
        found.append((nats[0] - nats[1]) / (2 * change))
    return math.hypot(*found)


@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("cell", CELL_NAMES)
def test_the_gradient_equals_finite_differences(cell: CellName, num_layers: int) -> None:
    model = new_model(cell, num_layers=num_layers)
    ids = np.random.default_rng(0).permutation(30).tolist()  # every symbol once: its embedding is that of one input

    found = leanings(model, excerpt_of(ids, Stretch(0, 30, LABEL, is_closed=True)), 24, lags=24)

    inputs = [BEGIN, *ids[:24]]
    assert (found.target, found.inputs.tolist()) == (ids[24], inputs[::-1])
    assert found.nats == pytest.approx(nats_of(model, inputs, ids[24]), abs=1e-12)
    is_large = found.gradient > 1e-6
    assert is_large.sum() > 10
    expected = [slope(model, inputs, ids[24], token) for token in found.inputs[is_large].tolist()]
    np.testing.assert_allclose(found.gradient[is_large], expected, rtol=1e-4)


def naive_norms(model: RecurrentLM, tokens: list[int], label: int, *, lags: int) -> list[float]:
    """Returns the norms for the last token, the lag 0 first, by a pass of that target alone."""
    state = model.initial_state(torch.tensor([label]))
    x: Tensor = (model.embedding(torch.tensor(tokens[:-1]))[:, None] + state.condition).detach().requires_grad_()
    outputs, _ = model.layers(x, state.memory)
    functional.cross_entropy(model.output(outputs[-1]), torch.tensor(tokens[-1:])).backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    return [float(gradient.norm()) for gradient in x.grad[:, 0].flip(0)[: lags + 1]]


def test_a_flow_is_the_mean_and_the_quartiles_of_all_targets() -> None:
    model, lags = new_model("lstm"), 6
    ids = np.random.default_rng(1).integers(0, 38, 60).tolist()
    stretches = [Stretch(0, 31, 0, False), Stretch(31, 31, 1, True), Stretch(31, 33, 1, True), Stretch(33, 60, 2, True)]

    found = gradient_flow(model, excerpt_of(ids, *stretches), lags=lags, num_targets=1000)

    by_lag: list[list[float]] = [[] for _ in range(lags + 1)]
    for start, stop, label, is_closed in stretches:
        document = [BEGIN, *ids[start:stop], *[END] * is_closed]
        for number in range(1, len(document)):
            tokens = document[max(0, number - 2 * lags - 1) : number + 1]
            for lag, norm in enumerate(naive_norms(model, tokens, label, lags=lags)):
                by_lag[lag].append(norm)
    assert found.num_targets == len(by_lag[0]) == 31 + 1 + 3 + 28
    np.testing.assert_allclose(found.mean, [statistics.fmean(norms) for norms in by_lag], rtol=1e-9)
    np.testing.assert_allclose(found.median, [statistics.median(norms) for norms in by_lag], rtol=1e-9)
    quartiles = [statistics.quantiles(norms, n=4, method="inclusive") for norms in by_lag]
    np.testing.assert_allclose(found.lower_quartile, [quartile[0] for quartile in quartiles], rtol=1e-9)
    np.testing.assert_allclose(found.upper_quartile, [quartile[2] for quartile in quartiles], rtol=1e-9)


def test_some_targets_are_spread_over_the_whole() -> None:
    model = new_model()
    ids = [1] * 500 + [2] * 500
    halves = [Stretch(0, 500, 0, False), Stretch(500, 1000, 0, False)]

    alone = [gradient_flow(model, excerpt_of(ids, half), lags=5, num_targets=10) for half in halves]
    together = gradient_flow(model, excerpt_of(ids, *halves), lags=5, num_targets=20)

    np.testing.assert_allclose(together.mean, (alone[0].mean + alone[1].mean) / 2, rtol=1e-9)
    assert not np.allclose(alone[0].mean, alone[1].mean)


def test_float32_gives_the_gradient_of_float64() -> None:
    ids = np.random.default_rng(2).integers(0, 38, 200).tolist()
    excerpt = excerpt_of(ids, Stretch(0, 200, 0, is_closed=True))
    config = ModelConfig(END + 1, "lstm", hidden_size=32, num_layers=2, embedding_size=8)
    model = RecurrentLM(config, torch.Generator().manual_seed(0))

    single = gradient_flow(model, excerpt, lags=40)
    double = gradient_flow(model.double(), excerpt, lags=40)

    np.testing.assert_allclose(single.mean, double.mean, rtol=1e-4)


def test_lags_that_no_document_has_are_left_out() -> None:
    found = gradient_flow(new_model(), excerpt_of([1, 2, 3], Stretch(0, 3, 0, is_closed=True)), lags=100)
    assert len(found.mean) == len(found.median) == 4  # inputs before the last target: Begin, 1, 2, 3


def test_a_corpus_without_tokens_is_refused() -> None:
    with pytest.raises(CorpusError, match="no token to measure on"):
        gradient_flow(new_model(), excerpt_of([], Stretch(0, 0, 0, is_closed=False)), lags=5)


def test_a_token_that_is_not_there_is_refused() -> None:
    excerpt = excerpt_of([1, 2, 3], Stretch(0, 3, 0, is_closed=True))
    with pytest.raises(SettingError, match=r"--at: must be from 0 to 2, the last token there \(3\)"):
        leanings(new_model(), excerpt, 3, lags=5)


def test_tokens_are_numbered_without_the_ends_of_documents() -> None:
    ids = list(range(9))
    stretches = (Stretch(0, 4, 0, is_closed=True), Stretch(4, 6, 0, is_closed=False), Stretch(6, 9, 0, is_closed=True))
    excerpt = excerpt_of(ids, *stretches)
    assert [leanings(new_model(), excerpt, number, lags=3).target for number in ids] == ids


def test_many_lags_are_measured_on_fewer_targets() -> None:
    excerpt = excerpt_of([1] * 300, Stretch(0, 300, 0, is_closed=False))
    counts = [gradient_flow(new_model(), excerpt, lags=lags).num_targets for lags in (200, 401, 4096)]
    assert counts == [256, 127, 12]  # 256 * 401 inputs by 401, 803 and 8,193


def test_all_tokens_at_once_have_the_gradients_of_each_alone() -> None:
    model, ids = new_model("rnn"), np.random.default_rng(4).integers(0, 38, 300).tolist()
    excerpt = excerpt_of(ids, Stretch(0, 300, LABEL, is_closed=True))

    norms, nats = gradients_at(model, excerpt, np.arange(301), lags=30)  # more rows than run side by side

    for number in (0, 7, 150, 299):
        alone = leanings(model, excerpt, number, lags=30)
        np.testing.assert_allclose(norms[number, : len(alone.gradient)], alone.gradient, rtol=1e-9)
        assert np.isnan(norms[number, len(alone.gradient) :]).all()
        assert nats[number] == pytest.approx(alone.nats)
