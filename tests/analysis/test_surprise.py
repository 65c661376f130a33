"""The nats of each token, beside torch's own loss one token at a time, and beside the evaluation."""

import math

import numpy as np
import pytest
import torch

from gen.analysis import evaluate as module
from gen.analysis.evaluate import evaluate
from gen.analysis.surprise import Passage, Share, Surprise, collect, passages, shares, static_costs
from gen.data.split import Excerpt
from gen.data.stretches import Stretch, Stretches
from gen.models.recurrent import RecurrentLM
from tests.analysis.test_evaluate import BEGIN, END, MANY, UNITS, ids_of, naive_nats, small_model


def surprise_of(model: RecurrentLM, excerpt: Excerpt, *, context: int | None, max_tokens: int = 1000) -> Surprise:
    costs = static_costs(model, excerpt, context=context, vocab_size=12)
    return collect(costs, excerpt, units=UNITS, unit="note", context=context, max_tokens=max_tokens)


@pytest.mark.parametrize("context", [None, 1, 7, 100])
@pytest.mark.parametrize("max_chunk", [5, 64, 1 << 15])
def test_each_token_costs_what_it_costs_one_window_after_the_other(
    context: int | None, max_chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_TOKENS", max_chunk)
    monkeypatch.setattr(module, "MIN_CHUNK", 16)
    model, ids = small_model(), ids_of(240)
    found = surprise_of(model, Excerpt(ids, Stretches(MANY), BEGIN, END), context=context)
    assert found.nats.tolist() == pytest.approx(naive_nats(model, ids, MANY, context=context), abs=1e-5)


@pytest.mark.parametrize("context", [None, 7])
@pytest.mark.parametrize("max_tokens", [0, 1, 100, 244, 1000])
def test_the_first_tokens_are_kept_and_all_are_measured(context: int | None, max_tokens: int) -> None:
    model, excerpt = small_model(), Excerpt(ids_of(240), Stretches(MANY), BEGIN, END)
    whole = surprise_of(model, excerpt, context=context)
    found = surprise_of(model, excerpt, context=context, max_tokens=max_tokens)
    expected = evaluate(model, excerpt, units=UNITS, unit="note", context=context)
    assert found.nats.tolist() == whole.nats[:max_tokens].tolist()
    assert found.evaluation.nats_per_token == pytest.approx(expected.nats_per_token, abs=1e-7)  # of float32
    assert (found.evaluation.tokens, found.evaluation.units) == (expected.tokens, expected.units)
    assert math.fsum(whole.nats.tolist()) == pytest.approx(expected.nats_per_token * expected.tokens, abs=1e-4)


def test_progress_ends_with_all_targets() -> None:
    excerpt = Excerpt(ids_of(9), Stretches([Stretch(0, 9, 0, True)]), BEGIN, END)
    told: list[tuple[int, int]] = []
    collect(
        static_costs(small_model(), excerpt, context=4, vocab_size=12),
        excerpt,
        units=UNITS,
        unit="note",
        context=4,
        max_tokens=9,
        on_progress=lambda done, total: told.append((done, total)),
    )
    assert told[-1] == (10, 10)


def test_passages_are_those_with_the_highest_mean_and_have_nothing_in_common() -> None:
    nats = np.array([0, 9, 9, 9, 0, 0, 5, 1, 0], np.float64)
    assert passages(nats, length=2, most=3) == [Passage(1, 3, 9.0), Passage(3, 5, 4.5), Passage(6, 8, 3.0)]


def test_passages_of_few_symbols_are_all_of_them_and_of_none_there_are_none() -> None:
    assert passages(np.array([1.0, 3.0]), length=24, most=3) == [Passage(0, 2, 2.0)]
    assert passages(np.array([]), length=24, most=3) == []


def test_a_symbol_without_a_number_counts_as_nothing_in_a_passage() -> None:
    assert passages(np.array([np.nan, 1.0, 5.0, np.inf]), length=1, most=2) == [Passage(2, 3, 5.0), Passage(1, 2, 1.0)]


def test_shares_are_by_kind_the_costliest_first() -> None:
    tokens, nats = np.array([4, 0, 4, 1]), np.array([1.0, 2.0, 3.0, 0.5])
    assert shares(tokens, nats, lambda token: "even" if token % 2 == 0 else "odd") == [
        Share("even", 3, 6.0),
        Share("odd", 1, 0.5),
    ]
    assert shares(np.empty(0, np.int64), np.empty(0), str) == []


def test_costs_need_no_gradient() -> None:
    excerpt = Excerpt(ids_of(9), Stretches([Stretch(0, 9, 0, True)]), BEGIN, END)
    model = small_model()
    list(static_costs(model, excerpt, context=None, vocab_size=12))
    assert torch.is_grad_enabled()
    assert all(parameter.grad is None for parameter in model.parameters())
