"""Dynamic evaluation beside torch's own optimiser, and what it may never do: learn before it predicts."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch.nn import functional

from gen.analysis.adapting import Adapting, adapt_, adapting_costs
from gen.analysis.surprise import collect, static_costs
from gen.codec import IdArray
from gen.config import CellName
from gen.data.split import Excerpt
from gen.data.stretches import Stretch, Stretches
from gen.errors import CorpusError, SettingError
from gen.models.recurrent import RecurrentLM, detached
from tests.analysis.test_evaluate import BEGIN, END, MANY, UNITS, ids_of, small_model


def of(ids: IdArray, *stretches: Stretch) -> Excerpt:
    return Excerpt(ids, Stretches(stretches), BEGIN, END)


def nats_of(model: RecurrentLM, excerpt: Excerpt, settings: Adapting) -> list[float]:
    costs = adapting_costs(deepcopy(model), excerpt, settings)
    found = collect(costs, excerpt, units=UNITS, unit="note", context=None, max_tokens=10_000)
    return [float(each) for each in found.nats]


def by_torch(model: RecurrentLM, excerpt: Excerpt, *, segment: int, rate: float) -> list[float]:
    """Predicts each segment, then takes a step of torch.optim.SGD."""
    model = deepcopy(model)
    optimiser = torch.optim.SGD(model.parameters(), lr=rate)
    found: list[float] = []
    for stretch in excerpt.stretches:
        document = excerpt.ids[stretch.start : stretch.stop].tolist() + [END] * stretch.is_closed
        inputs = [BEGIN, *document]
        state = model.initial_state(torch.tensor([stretch.label]))
        for start in range(0, len(document), segment):
            targets = document[start : start + segment]
            logits, state = model(torch.tensor([inputs[start : start + len(targets)]]), state)
            nats = functional.cross_entropy(logits[0], torch.tensor(targets), reduction="none")
            found += nats.tolist()
            optimiser.zero_grad()
            (nats.sum() / segment).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            state = detached(state)
    return found


@pytest.mark.parametrize(("cell", "segment"), [("rnn", 7), ("lstm", 32), ("gru", 64)])
def test_the_nats_are_those_of_sgd_by_torch(cell: CellName, segment: int) -> None:
    model, excerpt = small_model(cell), of(ids_of(240), *MANY)
    expected = by_torch(model, excerpt, segment=segment, rate=0.5)
    assert nats_of(model, excerpt, Adapting(segment, 0.5)) == pytest.approx(expected, abs=1e-4)


def test_at_rate_0_it_is_the_evaluation() -> None:
    model, excerpt = small_model(), of(ids_of(240), *MANY)
    costs = static_costs(model, excerpt, context=None, vocab_size=12)
    static = collect(costs, excerpt, units=UNITS, unit="note", context=None, max_tokens=1000)
    assert nats_of(model, excerpt, Adapting(16, 0.0)) == pytest.approx(static.nats.tolist(), abs=1e-5)


def test_no_token_is_learnt_before_it_was_predicted() -> None:
    model, ids = small_model(), ids_of(100)
    other = ids.copy()
    other[64:] = 9 - other[64:]
    stretch = Stretch(0, 100, 0, False)
    first, second = (nats_of(model, of(each, stretch), Adapting(16, 1.0)) for each in (ids, other))
    assert first[:64] == second[:64]
    assert first[64:] != second[64:]


def test_a_text_that_repeats_itself_costs_less() -> None:
    model, ids = small_model(), np.tile(ids_of(20), 20)
    excerpt = of(ids, Stretch(0, 400, 0, True))
    costs = nats_of(model, excerpt, Adapting(20, 1.0))
    assert sum(costs[-100:]) < 0.9 * sum(costs[:100])


def test_learning_that_diverges_asks_for_a_lower_rate() -> None:
    model, excerpt = small_model(), of(ids_of(100), Stretch(0, 100, 0, True))
    with torch.no_grad():
        model.output.weight *= 1e37  # its logits are finite, but not what follows from their gradient
    assert np.isfinite(nats_of(deepcopy(model), excerpt, Adapting(10, 0.0))).all()
    with pytest.raises(SettingError, match=r"--adapt-rate: learning diverged.*\(1000\)"):
        nats_of(model, excerpt, Adapting(10, 1000.0))


def test_adapting_leaves_the_weights_that_it_ended_with() -> None:
    model, excerpt = small_model(), of(ids_of(100), Stretch(0, 100, 0, True))
    adapted = deepcopy(model)
    adapt_(adapted, excerpt, Adapting(16, 0.5))
    changed = [not torch.equal(a, b) for a, b in zip(model.parameters(), adapted.parameters(), strict=True)]
    assert any(changed)
    assert nats_of(adapted, excerpt, Adapting(16, 0.0)) != nats_of(model, excerpt, Adapting(16, 0.0))


def test_nothing_to_learn_from_is_a_corpus_error() -> None:
    with pytest.raises(CorpusError, match="no token to measure on"):
        nats_of(small_model(), of(ids_of(9)), Adapting())


@pytest.mark.parametrize(("segment", "rate"), [(0, 0.1), (65537, 0.1), (32, -1.0), (32, 2000.0), (32, float("nan"))])
def test_settings_out_of_range_are_refused(segment: int, rate: float) -> None:
    with pytest.raises(SettingError, match="--adapt-"):
        Adapting(segment, rate)
