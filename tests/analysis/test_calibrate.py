"""The factor on all logits: known where the truth is known, and what it does to a model."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gen.analysis.calibrate import FINE, SCALES, best_scale, evaluate_calibrated, nats_at_scales
from gen.analysis.evaluate import Evaluation, evaluate
from gen.config import ModelConfig
from gen.data.split import Excerpt
from gen.data.stretches import Stretch, Stretches
from gen.errors import CorpusError
from gen.models.recurrent import RecurrentLM, State, scale_logits_

COUNTS = (50, 25, 15, 10)  # of the symbols
IDS = np.random.default_rng(0).permutation(np.repeat(np.arange(4), COUNTS)).astype(np.uint8)
UNITS = np.ones(6, dtype=np.int64)
ALL = Excerpt(IDS, Stretches([Stretch(0, len(IDS), 0, False)]), begin=4, end=5)


class Unigram(nn.Module):
    """Says everywhere the logarithms of the symbols' true shares, times a factor."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        shares = torch.tensor([*COUNTS, 1e-30, 1e-30]) / sum(COUNTS)
        self.logits = nn.Parameter(factor * shares.log())

    def initial_state(self, labels: Tensor) -> State:
        return State((), torch.zeros(len(labels), 0))

    def forward(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        return self.logits.expand(*tokens.shape, -1), state


def calibrated(model: Unigram | RecurrentLM) -> tuple[Evaluation, float]:
    return evaluate_calibrated(model, ALL, units=UNITS, unit="char", context=None)


@pytest.mark.parametrize("factor", [0.8, 1.0, 1.1, 1.37, 1.9])
def test_a_model_that_is_too_sure_or_not_sure_enough_is_brought_back(factor: float) -> None:
    evaluation, scale = calibrated(Unigram(factor))

    shares = np.array(COUNTS) / sum(COUNTS)
    assert scale == pytest.approx(1 / factor, abs=5e-3)
    assert evaluation.nats_per_token == pytest.approx(-float(shares @ np.log(shares)), abs=1e-4)  # the entropy
    assert (evaluation.tokens, evaluation.units, evaluation.context) == (100, 100, None)


def test_the_factor_stays_within_what_is_tried() -> None:
    assert calibrated(Unigram(10.0))[1] == pytest.approx(SCALES[0])
    assert calibrated(Unigram(0.1))[1] == pytest.approx(SCALES[-1])


def test_without_anything_to_measure_on_there_is_an_error() -> None:
    with pytest.raises(CorpusError, match="no token"):
        evaluate_calibrated(Unigram(1.0), replace(ALL, stretches=Stretches()), units=UNITS, unit="char", context=None)


@pytest.mark.parametrize("is_tied", [False, True])
def test_scaled_logits_are_the_logits_times_the_factor_and_the_embedding_stays(is_tied: bool) -> None:
    config = ModelConfig(vocab_size=6, hidden_size=8, embedding_size=8, is_tied=is_tied)
    model = RecurrentLM(config, torch.Generator().manual_seed(0)).eval()
    state = model.initial_state(torch.zeros(2, dtype=torch.long))
    tokens = torch.tensor([[4, 1, 2], [4, 0, 3]])
    before, embedding = model(tokens, state)[0].clone(), model.embedding.weight.clone()

    scale_logits_(model, 0.75)

    torch.testing.assert_close(model(tokens, state)[0], 0.75 * before)
    assert torch.equal(model.embedding.weight, embedding)


def test_the_factor_makes_a_model_pay_what_was_told_and_no_other_makes_it_pay_less() -> None:
    model = RecurrentLM(ModelConfig(vocab_size=6, hidden_size=8), torch.Generator().manual_seed(3)).eval()
    with torch.no_grad():
        model.output.bias.copy_(Unigram(1.4).logits)
    told, scale = calibrated(model)
    scale_logits_(model, scale)

    def nats(factor: float) -> float:
        scale_logits_(model, factor)
        found = evaluate(model, ALL, units=UNITS, unit="char", context=None)
        scale_logits_(model, 1 / factor)
        return found.nats_per_token

    assert nats(1.0) == pytest.approx(told.nats_per_token, abs=1e-4)
    assert nats(1.0) < min(nats(0.9), nats(1.1))


@pytest.mark.parametrize("margin", [3.0, 8.0, 14.0, 40.0])
def test_nats_of_a_model_that_is_nearly_always_right_are_those_that_are_measured(margin: float) -> None:
    torch.manual_seed(0)
    targets = torch.randint(5, (1, 4000))
    logits = torch.randn(1, 4000, 5) + margin * torch.nn.functional.one_hot(targets, 5)

    found, scale = best_scale(nats_at_scales(logits, targets))

    def measured(factor: float) -> float:
        scaled = factor * logits[0].double()
        return float(torch.nn.functional.cross_entropy(scaled, targets[0], reduction="sum"))

    assert found == pytest.approx(measured(scale), rel=0.02, abs=4000 * 1e-6)
    assert measured(scale) <= 1.02 * min(map(measured, FINE.tolist())) + 4000 * 1e-6
