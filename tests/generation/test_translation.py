"""Searches for targets: the beam against all targets that there are, greedy against step after step."""

from itertools import product

import pytest
import torch

from gen.config import ModelConfig, SamplingConfig
from gen.generation.generate import generate
from gen.generation.translation import SourceStepper, Symbols, beam_search, greedy, length_penalty
from gen.models.translator import RecurrentTranslator

V, SYMBOLS = 6, Symbols(separator=0, begin=4, end=5)
LETTERS = (1, 2, 3)
SOURCES = [[1, 2, 3, 0], [3, 0], [2, 2, 0]]
MAX_LENGTH = 4


def new_model(seed: int = 0, *, has_attention: bool = True, scale: float = 4.0) -> RecurrentTranslator:
    """Returns a model whose targets end sooner or later."""
    config = ModelConfig(V, "gru", 8, 1, 4, task="pairs", is_bidirectional=True, has_attention=has_attention)
    model = RecurrentTranslator(config, torch.Generator().manual_seed(seed)).eval()
    with torch.no_grad():
        model.output.weight *= scale
        model.output.bias[SYMBOLS.end] = 0.5
    return model


@torch.no_grad()
def score_of(model: RecurrentTranslator, source: list[int], target: tuple[int, ...]) -> float:
    """Returns the score of a target, from one pass over all of it."""
    inputs = torch.tensor([[SYMBOLS.begin, *target]])
    logits = model(inputs, model.encode(torch.tensor([source]), torch.tensor([len(source)])))[0]
    logits[:, [SYMBOLS.separator, SYMBOLS.begin]] = -torch.inf
    log_probs = logits.double().log_softmax(1)
    summed: float = sum(log_probs[n, token].item() for n, token in enumerate((*target, SYMBOLS.end)))
    return summed / length_penalty(len(target) + 1)


def all_targets() -> list[tuple[int, ...]]:
    """Returns every target of at most MAX_LENGTH tokens, with its end."""
    return [target for length in range(MAX_LENGTH) for target in product(LETTERS, repeat=length)]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("has_attention", [True, False])
def test_a_wide_beam_finds_the_best_of_all_targets(seed: int, has_attention: bool) -> None:
    model = new_model(seed, has_attention=has_attention)

    found = list(beam_search(model, SOURCES, SYMBOLS, beam=len(LETTERS) ** MAX_LENGTH, max_length=MAX_LENGTH))

    for source, hypothesis in zip(SOURCES, found, strict=True):
        best = max(all_targets(), key=lambda target: score_of(model, source, target))
        assert tuple(hypothesis.tokens) == best
        assert hypothesis.log_prob == pytest.approx(score_of(model, source, best), abs=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_a_beam_of_one_takes_the_likeliest_symbol_at_every_step(seed: int) -> None:
    model = new_model(seed)

    by_beam = [hypothesis.tokens for hypothesis in beam_search(model, SOURCES, SYMBOLS, beam=1, max_length=30)]

    by_greed = list(greedy(model, SOURCES, SYMBOLS, max_length=30))
    ended = [n for n, tokens in enumerate(by_greed) if len(tokens) < 29]  # a beam counts the end as a token
    assert [by_beam[n] for n in ended] == [by_greed[n] for n in ended]


def test_a_narrow_beam_finds_better_targets_than_greedy_in_the_mean() -> None:
    gains = []
    for seed in range(20):
        model = new_model(seed)
        targets = greedy(model, SOURCES, SYMBOLS, max_length=40)
        found = list(beam_search(model, SOURCES, SYMBOLS, beam=3, max_length=40))
        for source, target, hypothesis in zip(SOURCES, targets, found, strict=True):
            if max(len(target), len(hypothesis.tokens)) < 39:  # both have ended
                wanted = score_of(model, source, tuple(hypothesis.tokens))
                assert hypothesis.log_prob == pytest.approx(wanted, abs=1e-4)
                gains.append(wanted - score_of(model, source, tuple(target)))

    assert sum(gains) > 0


def test_sources_side_by_side_are_answered_as_each_alone() -> None:
    model = new_model(2)
    alone = [next(greedy(model, [source], SYMBOLS, max_length=20)) for source in SOURCES]
    searched = [next(beam_search(model, [source], SYMBOLS, beam=3, max_length=20)).tokens for source in SOURCES]

    assert list(greedy(model, SOURCES, SYMBOLS, max_length=20)) == alone
    together = beam_search(model, SOURCES, SYMBOLS, beam=3, max_length=20)
    assert [hypothesis.tokens for hypothesis in together] == searched


@pytest.mark.parametrize("has_attention", [True, False])
def test_a_stream_at_temperature_0_is_greedy(has_attention: bool) -> None:
    model = new_model(3, has_attention=has_attention)
    wanted = next(greedy(model, SOURCES[:1], SYMBOLS, max_length=20))
    stepper = SourceStepper(model, SOURCES[0], separator=SYMBOLS.separator)

    drawn = generate(
        stepper,
        prompt=(),
        begin=SYMBOLS.begin,
        end=SYMBOLS.end,
        length=20,
        sampling=SamplingConfig(temperature=0.0),
        seed=0,
    )

    assert [sampled.token for sampled in drawn if sampled.token != SYMBOLS.end] == wanted


def test_neither_separator_nor_begin_is_ever_written() -> None:
    model = new_model()
    with torch.no_grad():
        model.output.bias[[SYMBOLS.separator, SYMBOLS.begin]] = 50.0
        model.output.bias[SYMBOLS.end] = -5.0
    stepper = SourceStepper(model, SOURCES[0], separator=SYMBOLS.separator)

    drawn = generate(
        *(stepper,), prompt=(), begin=4, end=5, length=50, sampling=SamplingConfig(), seed=0, num_samples=4
    )

    assert {sampled.token for sampled in drawn} <= {*LETTERS, SYMBOLS.end}
    assert {token for tokens in greedy(model, SOURCES, SYMBOLS, max_length=9) for token in tokens} <= {*LETTERS}
    searched = beam_search(model, SOURCES, SYMBOLS, beam=2, max_length=9)
    assert {token for hypothesis in searched for token in hypothesis.tokens} <= {*LETTERS}


def test_length_penalty_is_that_of_wu_et_al() -> None:
    assert length_penalty(1) == 1.0
    assert length_penalty(7) == pytest.approx(2**0.6)
