"""Units of a network that was made by hand: one counts the characters of a line, one knows whether a quote is open."""

import math

import numpy as np
import pytest
import torch

from gen.analysis.probing.gates import record, record_states
from gen.analysis.probing.knockout import class_nats, knock_out, mean_of
from gen.analysis.probing.saturation import saturation
from gen.analysis.probing.units import find_units, fit_logistic, peaks, steadiest
from gen.codec import classes_named
from gen.codecs.text.char import CharCodec
from gen.config import ModelConfig
from gen.data.split import Excerpt
from gen.data.stretches import Stretch, Stretches
from gen.models.cells import layer_weights
from gen.models.recurrent import RecurrentLM

H, COUNTER, QUOTE = 24, 3, 17
SHUT = 30.0


def text() -> str:
    """Lines of random length, in which random passages are quoted."""
    rng = np.random.default_rng(0)
    lines = []
    for _ in range(300):
        words = ["".join(rng.choice(list("abcdef"), rng.integers(1, 7))) for _ in range(rng.integers(2, 9))]
        first, last = sorted(rng.integers(0, len(words), 2).tolist())
        words[first], words[last] = f"\u201c{words[first]}", f"{words[last]}\u201d"
        lines.append(" ".join(words))
    return "\n".join(lines)


def hand_made(codec: CharCodec) -> RecurrentLM:
    """A random LSTM with two units of known meaning, and an output that asks the second whether a quote may close.

    The counter adds 0.02 a character and is cleared at a line end; the quote unit is set by an opening mark and cleared
    by a closing one.
    """
    size = len(codec.vocab)
    config = ModelConfig(size, "lstm", hidden_size=H, num_layers=1, embedding_size=size)
    model = RecurrentLM(config, torch.Generator().manual_seed(0)).eval().requires_grad_(requires_grad=False)
    model.embedding.weight.copy_(torch.eye(size))
    weights, index, line_end = layer_weights(model.layers[0]), codec.vocab.index, codec.vocab.index["\n"]
    i, f, g, o = (gate * H for gate in range(4))
    for unit in (COUNTER, QUOTE):
        for gate in (i, f, g, o):
            for matrix in (weights.w_ih, weights.w_hh, weights.b_ih, weights.b_hh):
                matrix[gate + unit] = 0
        weights.b_ih[f + unit] = SHUT
        weights.b_ih[o + unit] = SHUT
    weights.b_ih[i + COUNTER] = SHUT
    weights.b_ih[g + COUNTER] = math.atanh(0.02)
    weights.w_ih[f + COUNTER, line_end] = -2 * SHUT
    weights.w_ih[i + COUNTER, line_end] = -2 * SHUT
    weights.b_ih[i + QUOTE] = -SHUT
    opening, closing = index["\u201c"], index["\u201d"]
    weights.w_ih[i + QUOTE, opening] = 2 * SHUT
    weights.b_ih[g + QUOTE] = SHUT
    weights.w_ih[f + QUOTE, [opening, closing]] = -2 * SHUT
    model.output.weight[closing] = 0
    model.output.weight[closing, QUOTE] = 12.0
    model.output.bias[closing] = -10.0
    return model


@pytest.fixture(scope="module")
def codec() -> CharCodec:
    return CharCodec.build(text())


@pytest.fixture(scope="module")
def model(codec: CharCodec) -> RecurrentLM:
    return hand_made(codec)


@pytest.fixture(scope="module")
def excerpt(codec: CharCodec) -> Excerpt:
    ids = codec.encode(text())
    return Excerpt(ids, Stretches([Stretch(0, len(ids), 0, True)]), codec.vocab.begin, codec.vocab.end)


@pytest.mark.parametrize(("feature", "unit"), [("position in line", COUNTER), ("inside quotes", QUOTE)])
def test_the_unit_that_was_made_for_a_feature_is_ranked_first(
    feature: str, unit: int, codec: CharCodec, model: RecurrentLM, excerpt: Excerpt
) -> None:
    states = record_states(model, excerpt, num_tokens=len(excerpt.ids))
    found = find_units(states, codec.features(excerpt.ids))[feature]
    assert found[0].unit == unit
    assert found[0].correlation > 0.99
    assert found[0].shuffled < 0.2
    assert abs(found[1].correlation) < 0.9


def test_its_knockout_costs_the_quotation_marks_far_more_than_that_of_others(
    codec: CharCodec, model: RecurrentLM, excerpt: Excerpt
) -> None:
    states = record_states(model, excerpt, num_tokens=4000)
    unit = mean_of(states, 0, QUOTE, hidden_size=H)
    found = knock_out(model, excerpt, [unit], states=states, classes=codec.symbol_classes())
    assert found.num_others == H - 1
    assert found.classes[0].name == "quotation marks"
    assert found.classes[0].added > 0.5
    assert found.classes[0].added > 5 * found.classes[0].others
    assert sum(cost.number for cost in found.classes) == 4000


def test_the_costs_of_all_classes_are_those_of_a_plain_pass(model: RecurrentLM, excerpt: Excerpt) -> None:
    few = Excerpt(excerpt.ids, Stretches([Stretch(0, 200, 0, False)]), excerpt.begin, excerpt.end)
    size = model.config.vocab_size
    nats, counts = class_nats(model, few, classes_named(["even" if token % 2 else "odd" for token in range(size)]))
    tokens = torch.tensor([[excerpt.begin, *excerpt.ids[:200].tolist()]])
    logits, _ = model(tokens[:, :-1], model.initial_state(torch.zeros(1, dtype=torch.long)))
    costs = -logits[0].log_softmax(1).gather(1, tokens[0, 1:, None])[:, 0]
    is_odd = tokens[0, 1:] % 2 == 0
    assert nats.tolist() == pytest.approx([costs[is_odd].sum().item(), costs[~is_odd].sum().item()], rel=1e-4)
    assert counts.sum() == 200


def test_gates_that_were_made_open_or_shut_are_counted_so(model: RecurrentLM, excerpt: Excerpt) -> None:
    found = saturation(record(model, excerpt, num_tokens=500).layers[0])
    is_line_end = excerpt.ids[:500] == 0
    assert list(found) == ["i", "f", "o"]
    assert found["f"].open[COUNTER] == pytest.approx(1 - is_line_end.mean())
    assert found["f"].shut[COUNTER] == pytest.approx(is_line_end.mean())
    assert found["o"].open[QUOTE] == 1


def test_the_units_that_move_far_and_stay_come_first(model: RecurrentLM, excerpt: Excerpt) -> None:
    recording = record(model, excerpt, num_tokens=2000)
    flicker = np.tile([[1.0], [-1.0]], (1000, 1)).astype(np.float32)
    steps = np.repeat([[0.0], [1.0]] * 10, 100, axis=0).astype(np.float32)
    order = steadiest([recording.state(0), np.concatenate([flicker, steps, 0 * steps], axis=1)])
    assert order[0] == (1, 1)
    assert {order[-1], order[-2]} == {(1, 0), (1, 2)}


def test_a_logistic_model_finds_the_odds_that_made_the_labels() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(3, 2, 20_000).astype(np.float32)
    labels = (rng.random(20_000) < 1 / (1 + np.exp(-(1.5 * x - 4)))).astype(np.float32)
    found = fit_logistic(x, labels)
    assert (found.weight, found.bias) == pytest.approx((1.5, -4), rel=0.05)


def test_peaks_are_the_highest_places_and_far_apart() -> None:
    values = np.zeros(1000, np.float32)
    values[[10, 12, 500, 900]] = [5, 4, 3, 2]
    assert peaks(values) == (10, 500, 900)
