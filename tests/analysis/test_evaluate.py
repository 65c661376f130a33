import json
import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from gen.analysis import evaluate as module
from gen.analysis.evaluate import Evaluation, LanguageModel, OnProgress, evaluate
from gen.codec import IdArray
from gen.config import CellName, ModelConfig
from gen.data.split import Excerpt
from gen.data.stretches import Stretch, Stretches
from gen.errors import CorpusError, SettingError
from gen.models.recurrent import RecurrentLM, State
from tests.fixed_model import FixedModel

BEGIN, END = 10, 11  # of all models here: ten symbols
UNITS = np.array([1, 1, 0, 1, 1, 2, 1, 1, 1, 1, 0, 0])


def ids_of(length: int) -> IdArray:
    return np.random.default_rng(0).integers(0, 10, length).astype(np.uint8)


def small_model(cell: CellName = "gru") -> RecurrentLM:
    config = ModelConfig(
        vocab_size=12, cell=cell, hidden_size=16, num_layers=2, embedding_size=8, dropout=0.3, num_labels=2
    )
    return RecurrentLM(config, torch.Generator().manual_seed(1))


def measured(
    model: LanguageModel,
    ids: IdArray,
    stretches: Sequence[Stretch],
    *,
    context: int | None,
    on_progress: OnProgress | None = None,
) -> Evaluation:
    return evaluate(
        model,
        Excerpt(ids, Stretches(stretches), BEGIN, END),
        units=UNITS,
        unit="note",
        context=context,
        on_progress=on_progress,
    )


def naive_nats(model: RecurrentLM, ids: IdArray, stretches: Sequence[Stretch], *, context: int | None) -> list[float]:
    """One stretch after the other, one window after the other."""
    nats: list[float] = []
    for stretch in stretches:
        document = ids[stretch.start : stretch.stop].tolist() + [END] * stretch.is_closed
        for first in range(0, len(document), context or len(document) or 1):
            targets = document[first : first + (context or len(document))]
            inputs = [BEGIN, *document][first : first + len(targets)]
            with torch.no_grad():
                logits, _ = model(torch.tensor([inputs]), model.initial_state(torch.tensor([stretch.label])))
            shares = logits[0].double().log_softmax(1)
            nats.extend(-float(shares[place, target]) for place, target in enumerate(targets))
    return nats


MANY = tuple(
    Stretch(start, start + length, label, is_closed)
    for start, length, label, is_closed in [
        (0, 150, 0, False),
        (150, 1, 1, False),
        (151, 0, 2, True),
        (151, 0, 2, False),
        (151, 40, 2, True),
        (191, 41, 1, True),
        (232, 8, 0, True),
    ]
)


@pytest.mark.parametrize(
    ("cell", "context"),
    [("rnn", None), ("lstm", None), ("gru", None), ("rnn", 1), ("lstm", 7), ("gru", 40), ("rnn", 1000)],
)
def test_evaluation_equals_one_window_after_the_other(cell: CellName, context: int | None) -> None:
    model, ids = small_model(cell), ids_of(240)
    found = measured(model, ids, MANY, context=context)
    nats = naive_nats(model, ids, MANY, context=context)
    assert found.tokens == len(nats) == 244
    assert found.nats_per_token == pytest.approx(math.fsum(nats) / len(nats), abs=1e-6)


@pytest.mark.parametrize("context", [None, 7, 100])
@pytest.mark.parametrize("max_tokens", [5, 64, 200])
def test_neither_chunks_nor_rows_change_the_result(
    context: int | None, max_tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, ids = small_model(), ids_of(240)
    expected = measured(model, ids, MANY, context=context)
    monkeypatch.setattr(module, "MAX_TOKENS", max_tokens)
    monkeypatch.setattr(module, "MIN_CHUNK", 16)
    found = measured(model, ids, MANY, context=context)
    assert found.nats_per_token == pytest.approx(expected.nats_per_token, abs=1e-6)
    assert found.units == expected.units


def test_a_stretch_costs_the_same_alone_and_among_others() -> None:
    model, ids = small_model(), ids_of(240)
    alone = [measured(model, ids, [stretch], context=None) for stretch in MANY if stretch != MANY[3]]
    together = measured(model, ids, MANY, context=None)
    total = math.fsum(each.nats_per_token * each.tokens for each in alone)
    assert together.nats_per_token * together.tokens == pytest.approx(total, abs=1e-6 * together.tokens)


@pytest.mark.parametrize("context", [None, 3, 100_000])
@pytest.mark.parametrize(("vocab_size", "length"), [(12, 100_000), (7146, 10_000)])
def test_chunks_bound_the_logits_whatever_the_vocabulary(context: int | None, vocab_size: int, length: int) -> None:
    sizes: list[int] = []

    class Watched(FixedModel):
        def forward(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
            sizes.append(tokens.numel())
            return torch.zeros(1).expand(*tokens.shape, vocab_size), state

    ids = np.zeros(length, dtype=np.uint16)
    long = length * 9 // 10
    stretches = [Stretch(0, long, 0, False), *(Stretch(n, n + 100, 0, True) for n in range(long, length, 100))]
    found = evaluate(
        Watched(torch.zeros(2)),
        Excerpt(ids, Stretches(stretches), vocab_size - 2, vocab_size - 1),
        units=np.ones(vocab_size, dtype=np.int64),
        unit="char",
        context=context,
    )
    assert found.nats_per_token == pytest.approx(math.log(vocab_size), rel=1e-6)
    assert max(sizes) <= min(module.MAX_TOKENS, module.MAX_LOGITS // vocab_size)
    assert sum(sizes) < 1.3 * found.tokens  # little is padding


def test_nats_bits_and_units_are_those_worked_out_by_hand() -> None:
    shares = torch.full((12,), 0.025)  # ten times 1/40, and
    shares[3], shares[END] = 0.5, 0.25
    ids = np.array([3, 3, 5, 2], dtype=np.uint8)  # 1 + 1 + 2 + 0 units
    found = measured(FixedModel(shares.log()), ids, [Stretch(0, 4, 0, True)], context=None)
    bits = 1 + 1 + 2 * math.log2(40) + 2
    assert (found.tokens, found.units, found.unit, found.context) == (5, 4, "note", None)
    assert found.bits_per_token == pytest.approx(bits / 5, rel=1e-6)
    assert found.nats_per_token == pytest.approx(bits / 5 * math.log(2), rel=1e-6)
    assert found.bits_per_unit == pytest.approx(bits / 4, rel=1e-6)


def test_json_has_the_contracts_keys() -> None:
    found = measured(FixedModel(torch.zeros(12)), ids_of(9), [Stretch(0, 9, 0, False)], context=4).to_json()
    assert list(found) == [
        "nats_per_token", "bits_per_token", "bits_per_unit", "unit", "tokens", "units", "context"
    ]  # fmt: skip
    assert json.loads(json.dumps(found)) == found
    assert found["context"] == 4


def test_carried_context_is_called_carry() -> None:
    found = measured(FixedModel(torch.zeros(12)), ids_of(9), [Stretch(0, 9, 0, False)], context=None)
    assert found.to_json()["context"] == "carry"


def test_bits_per_unit_are_absent_where_no_unit_is_completed() -> None:
    ids = np.full(5, 2, dtype=np.uint8)
    assert measured(FixedModel(torch.zeros(12)), ids, [Stretch(0, 5, 0, False)], context=None).bits_per_unit is None


def test_each_module_gets_back_the_mode_that_it_had() -> None:
    model = small_model().train()
    model.embedding.eval()
    modes = [each.training for each in model.modules()]
    seen: list[bool] = []
    measured(
        model,
        ids_of(9),
        [Stretch(0, 9, 0, False)],
        context=None,
        on_progress=lambda _done, _total: seen.append(any(each.training for each in model.modules())),
    )
    assert seen == [False]
    assert [each.training for each in model.modules()] == modes


def test_training_goes_on_after_an_evaluation() -> None:
    model, ids = small_model().train(), ids_of(9)
    measured(model, ids, [Stretch(0, 9, 0, False)], context=None)
    logits, _ = model(torch.zeros(1, 3, dtype=torch.int64), model.initial_state(torch.tensor([1])))
    logits.sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("context", [None, 7])
def test_progress_grows_to_the_number_of_targets(context: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TOKENS", 64)
    told: list[tuple[int, int]] = []
    measured(
        small_model(), ids_of(240), MANY, context=context, on_progress=lambda done, total: told.append((done, total))
    )
    dones = [done for done, _ in told]
    assert len(dones) > 2
    assert dones == sorted(set(dones))
    assert told[-1] == (244, 244)


@pytest.mark.parametrize("stretches", [[], [Stretch(3, 3, 0, False)]])
def test_nothing_to_measure_on_is_a_corpus_error(stretches: list[Stretch]) -> None:
    with pytest.raises(CorpusError, match="no token to measure on"):
        measured(small_model(), ids_of(9), stretches, context=None)


def test_a_context_of_zero_is_a_setting_error() -> None:
    with pytest.raises(SettingError, match=r"--context: must be at least 1 \(0\)"):
        measured(small_model(), ids_of(9), MANY, context=0)
