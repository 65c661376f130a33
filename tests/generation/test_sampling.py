import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gen.config import SamplingConfig
from gen.errors import CheckpointError
from gen.generation import sampling, uniforms
from gen.generation.sampling import REPETITION_WINDOW, Sampler, pick, weigh
from gen.generation.uniforms import new_stream
from gen.kernels.drawing import FloatArray, TokenArray, has_draw_kernel

ALL_FILTERS = SamplingConfig(temperature=0.7, top_k=30, top_p=0.9, min_p=0.02, repetition_penalty=1.3)
CONFIGS = [
    SamplingConfig(),
    SamplingConfig(temperature=0.0),
    SamplingConfig(top_k=5),
    SamplingConfig(top_p=0.8),
    SamplingConfig(min_p=0.1),
    SamplingConfig(repetition_penalty=2.0),
    ALL_FILTERS,
]


@pytest.fixture(params=["compiled", "numpy"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Draws in the compiled kernel, then in numpy."""
    if request.param == "numpy":
        monkeypatch.setattr(sampling, "has_draw_kernel", lambda: False)
    elif not has_draw_kernel():
        pytest.skip("no compiled kernels")


both_ways = pytest.mark.usefixtures("way")


def logits_of(*probabilities: float) -> FloatArray:
    return np.array([[math.log(probability) for probability in probabilities]])


def random_logits(num_rows: int, vocab_size: int, *, seed: int = 0) -> torch.Tensor:
    return torch.randn(num_rows, vocab_size, generator=torch.Generator().manual_seed(seed)) * 4


def sampler_for(config: SamplingConfig, *, vocab_size: int, num_rows: int = 1, seed: int = 0) -> Sampler:
    return Sampler(config, vocab_size=vocab_size, seed=seed, num_rows=num_rows)


def drawn(sampler: Sampler, logits: torch.Tensor, *, count: int) -> TokenArray:
    return np.stack([sampler.draw(logits).tokens[0] for _ in range(count)])  # (count, B)


def survivors(weights: FloatArray) -> list[int]:
    return [int(token) for token in np.flatnonzero(weights[0])]


def naive_shares(logits: list[float], config: SamplingConfig, *, recent: set[int]) -> dict[int, float]:
    """The documented filters for one row, one candidate at a time."""
    penalty = config.repetition_penalty
    scores = {t: (x if t not in recent else x / penalty if x > 0 else x * penalty) for t, x in enumerate(logits)}
    order = sorted(scores, key=lambda t: (-scores[t], t))
    if config.temperature == 0:
        return {order[0]: 1.0}
    scores = {t: (x - scores[order[0]]) / config.temperature for t, x in scores.items()}
    order = order[: config.top_k]
    total = math.fsum(math.exp(scores[t]) for t in order)
    if config.top_p is not None and config.top_p < 1:
        nucleus: list[int] = []
        while math.fsum(math.exp(scores[t]) for t in nucleus) < config.top_p * total:
            nucleus.append(order[len(nucleus)])
        order = nucleus
    if config.min_p:
        order = [t for t in order if math.exp(scores[t]) >= config.min_p]
    total = math.fsum(math.exp(scores[t]) for t in order)
    return {t: math.exp(scores[t]) / total for t in order}


configs = st.builds(
    SamplingConfig,
    temperature=st.sampled_from([0.0, 0.3, 1.0, 3.0]),
    top_k=st.none() | st.integers(1, 12),
    top_p=st.none() | st.floats(0.01, 1.0),
    min_p=st.none() | st.floats(0.0, 0.99),
    repetition_penalty=st.sampled_from([0.5, 1.0, 1.7]),
)
few_logits = st.lists(st.sampled_from([-3.1, -1.0, 0.0, 0.4, 2.0, 5.3]), min_size=1, max_size=10)


@settings(max_examples=300, deadline=None)
@given(few_logits, configs, st.sets(st.integers(0, 9)))
def test_filters_equal_one_candidate_at_a_time(logits: list[float], config: SamplingConfig, recent: set[int]) -> None:
    mask = np.array([[token in recent for token in range(len(logits))]])
    weights = weigh(np.array([logits]), config, recent=mask)
    expected = naive_shares(logits, config, recent=recent)
    shares = weights[0] / weights.sum()
    assert survivors(weights) == sorted(expected)
    assert [shares[token] for token in sorted(expected)] == pytest.approx([expected[t] for t in sorted(expected)])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=20), configs)
def test_filters_never_leave_zero_candidates(logits: list[float], config: SamplingConfig) -> None:
    assert weigh(np.array([logits]), config).max() == 1.0


@both_ways
@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("vocab_size", [2, 3, 67, 390, 1031])
@pytest.mark.parametrize("num_rows", [2, 7, 64])
def test_a_row_draws_the_same_bits_alone_and_among_others(
    config: SamplingConfig, vocab_size: int, num_rows: int
) -> None:
    steps = [random_logits(num_rows, vocab_size, seed=step) for step in range(4)]
    together = sampler_for(config, vocab_size=vocab_size, num_rows=num_rows)
    draws = [together.draw(logits) for logits in steps]
    for row in {0, 1, num_rows - 1}:
        alone = sampler_for(config, vocab_size=vocab_size, num_rows=num_rows)
        alone.keep([row])
        singles = [alone.draw(logits[row : row + 1]) for logits in steps]
        assert [s.tokens[0, 0] for s in singles] == [d.tokens[0, row] for d in draws]
        assert [s.surprise_nats[0, 0] for s in singles] == [d.surprise_nats[0, row] for d in draws]


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("vocab_size", [1, 67, 390, 5003])
def test_weights_of_a_row_have_the_same_bits_alone_and_among_others(config: SamplingConfig, vocab_size: int) -> None:
    logits = random_logits(33, vocab_size).double().numpy()
    recent = logits > 3
    together = weigh(logits, config, recent=recent)
    alone = np.concatenate([weigh(logits[r : r + 1], config, recent=recent[r : r + 1]) for r in range(33)])
    assert together.tobytes() == alone.tobytes()


@both_ways
def test_rows_go_on_unchanged_when_others_end() -> None:
    logits = random_logits(5, 40)
    whole = drawn(sampler_for(ALL_FILTERS, vocab_size=40, num_rows=5), logits, count=300)
    sampler = sampler_for(ALL_FILTERS, vocab_size=40, num_rows=5)
    drawn(sampler, logits, count=100)
    sampler.keep([1, 2, 4])
    drawn(sampler, logits[[1, 2, 4]], count=50)
    sampler.keep([0, 2])
    rest = drawn(sampler, logits[[1, 4]], count=150)
    assert np.array_equal(rest, whole[150:, [1, 4]])


@both_ways
@pytest.mark.parametrize("block", [1, 7, 100])
def test_draws_do_not_depend_on_the_size_of_a_block(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    logits = random_logits(3, 50)
    expected = drawn(sampler_for(SamplingConfig(), vocab_size=50, num_rows=3), logits, count=300)
    monkeypatch.setattr(uniforms, "UNIFORM_BLOCK", block)
    found = drawn(sampler_for(SamplingConfig(), vocab_size=50, num_rows=3), logits, count=300)
    assert np.array_equal(found, expected)


@both_ways
@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1])
def test_a_token_costs_one_uniform_and_is_the_first_to_pass_its_share(seed: int) -> None:
    logits = random_logits(3, 20)
    found = drawn(sampler_for(SamplingConfig(), vocab_size=20, num_rows=3, seed=seed), logits, count=100)
    for row in range(3):
        uniforms = torch.rand(100, generator=new_stream(seed, row), dtype=torch.float64).tolist()
        cumulative = logits[row].double().softmax(0).cumsum(0).tolist()
        expected = [next(t for t, c in enumerate(cumulative) if c > u) for u in uniforms]
        assert found[:, row].tolist() == expected


def test_streams_of_nearby_seeds_and_rows_all_differ() -> None:
    seeds = [new_stream(seed, row).initial_seed() for seed in range(100) for row in range(100)]
    assert len(set(seeds)) == 10_000
    assert max(seeds) < 2**32  # torch's generator on a CPU ignores what is above


def test_streams_of_seeds_that_agree_in_their_low_bits_differ() -> None:
    seeds = {new_stream(1 + (k << 16), 0).initial_seed() for k in range(200)}
    seeds |= {new_stream(1 + (1 << 32 + k), 0).initial_seed() for k in range(30)}
    assert len(seeds) == 230


@both_ways
def test_draws_follow_the_distribution() -> None:
    shares = [0.5, 0.25, 0.15, 0.07, 0.03]
    sampler = sampler_for(SamplingConfig(), vocab_size=5, num_rows=500)
    tokens = drawn(sampler, torch.tensor(shares).log().expand(500, 5), count=100)
    found = np.bincount(tokens.ravel(), minlength=5) / tokens.size
    for share, frequency in zip(shares, found, strict=True):
        assert abs(frequency - share) < 5 * math.sqrt(share * (1 - share) / tokens.size)  # five standard errors


def test_the_largest_uniform_picks_the_last_candidate() -> None:
    assert pick(np.array([[0.3, 0.7, 1e-3, 0.0]]), np.array([1 - 2.0**-53])).tolist() == [2]


def test_the_smallest_uniform_picks_the_first_candidate() -> None:
    assert pick(np.array([[0.0, 0.0, 0.7, 0.1]]), np.array([0.0])).tolist() == [2]


@both_ways
def test_temperature_zero_takes_the_lowest_of_equal_ids() -> None:
    sampler = sampler_for(SamplingConfig(temperature=0.0), vocab_size=5)
    assert drawn(sampler, torch.tensor([[0.0, 2.0, 1.0, 2.0, 2.0]]), count=5).ravel().tolist() == [1] * 5


@pytest.mark.parametrize("temperature", [5e-324, 1e-300, 1e-38, 1e-6])
def test_a_tiny_temperature_takes_the_likeliest_token(temperature: float) -> None:
    weights = weigh(np.array([[-3e38, 3e38, 1.0, -np.inf]]), SamplingConfig(temperature=temperature))
    assert weights.tolist() == [[0.0, 1.0, 0.0, 0.0]]


@pytest.mark.parametrize(
    ("k", "expected"), [(1, [1]), (2, [1, 3]), (3, [0, 1, 3]), (4, [0, 1, 2, 3]), (9, [0, 1, 2, 3])]
)
def test_top_k_keeps_k_and_of_equals_the_lowest_ids(k: int, expected: list[int]) -> None:
    assert survivors(weigh(logits_of(0.2, 0.3, 0.2, 0.3), SamplingConfig(top_k=k))) == expected


@pytest.mark.parametrize(
    ("p", "expected"), [(0.01, [2]), (0.49, [2]), (0.51, [1, 2]), (0.79, [1, 2]), (0.81, [0, 1, 2])]
)
def test_top_p_keeps_the_fewest_likeliest_that_reach_p(p: float, expected: list[int]) -> None:
    assert survivors(weigh(logits_of(0.12, 0.3, 0.5, 0.08), SamplingConfig(top_p=p))) == expected


def test_top_p_of_one_keeps_even_what_float64_cannot_add() -> None:
    assert survivors(weigh(np.array([[0.0, -60.0]]), SamplingConfig(top_p=1.0))) == [0, 1]


@pytest.mark.parametrize(
    ("p", "expected"), [(0.0, [0, 1, 2]), (0.16, [0, 1, 2]), (0.17, [0, 2]), (0.51, [2]), (1.0, [2])]
)
def test_min_p_keeps_what_is_likely_enough_beside_the_likeliest(p: float, expected: list[int]) -> None:
    assert survivors(weigh(logits_of(0.3, 0.1, 0.6), SamplingConfig(min_p=p))) == expected


def test_top_p_counts_shares_of_what_top_k_left() -> None:
    both = SamplingConfig(top_k=2, top_p=0.55)  # 0.4 of 0.7 is 0.57: enough; 0.4 of 1 would not be
    assert survivors(weigh(logits_of(0.4, 0.3, 0.2, 0.1), both)) == [0]


def test_temperature_comes_before_top_p_and_min_p() -> None:
    cold = SamplingConfig(temperature=0.5)  # squares: 0.36, 0.09, 0.01 of 0.46
    assert survivors(weigh(logits_of(0.6, 0.3, 0.1), replace(cold, top_p=0.78))) == [0]
    assert survivors(weigh(logits_of(0.6, 0.3, 0.1), replace(cold, min_p=0.26))) == [0]


def test_repetition_penalty_divides_positive_and_multiplies_negative_logits() -> None:
    recent = np.array([[True, True, False, False]])
    weights = weigh(np.array([[4.0, -1.0, 3.0, -1.5]]), SamplingConfig(repetition_penalty=2.0), recent=recent)
    assert np.log(weights[0]) == pytest.approx([2 - 3, -2 - 3, 0, -1.5 - 3])


@both_ways
def test_repetition_penalty_sees_the_prompt_and_forgets_after_its_window() -> None:
    config = SamplingConfig(temperature=0.0, repetition_penalty=2.0)
    sampler = Sampler(config, vocab_size=3, seed=0, num_rows=1, prompt=[0])
    logits = torch.tensor([[3.0, 2.0, 0.0]])  # 0 is penalised to 1.5 while the prompt is in the window; so is 1, to 1
    tokens = drawn(sampler, logits, count=REPETITION_WINDOW + 1).ravel().tolist()
    assert tokens[:2] == [1, 0]
    steady = Sampler(config, vocab_size=3, seed=0, num_rows=1, prompt=[0] * 100)
    only_two = np.array([[False, False, True]])
    assert [int(steady.draw(logits, only_two).tokens[0, 0]) for _ in range(REPETITION_WINDOW)] == [
        2
    ] * REPETITION_WINDOW
    assert steady.draw(logits).tokens.tolist() == [[0]]  # the prompt has left the window


@both_ways
def test_surprise_is_the_models_own_whatever_the_filters() -> None:
    logits = random_logits(4, 30)
    sampler = Sampler(ALL_FILTERS, vocab_size=30, seed=0, num_rows=4, banned=(2, 3))
    draw = sampler.draw(logits)
    expected = -logits.double().log_softmax(1)[torch.arange(4), torch.from_numpy(draw.tokens[0])]
    assert draw.surprise_nats[0] == pytest.approx(expected.numpy(), rel=1e-12)


@both_ways
def test_banned_and_forbidden_tokens_are_never_drawn_however_likely() -> None:
    sampler = Sampler(SamplingConfig(), vocab_size=4, seed=0, num_rows=1, banned=(0,))
    allowed = np.array([[True, False, True, True]])
    logits = torch.tensor([[5000.0, 4000.0, 0.0, 0.0]])
    tokens = {int(sampler.draw(logits, allowed).tokens[0, 0]) for _ in range(50)}
    assert tokens == {2, 3}


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_logits_that_are_no_numbers_are_a_checkpoint_error(bad: float) -> None:
    logits = random_logits(3, 8)
    logits[1, 5] = bad
    with pytest.raises(CheckpointError, match=f"not finite \\({bad}\\)"):
        sampler_for(SamplingConfig(), vocab_size=8, num_rows=3).draw(logits)


def test_no_probability_for_any_permitted_token_is_a_checkpoint_error() -> None:
    sampler = Sampler(SamplingConfig(), vocab_size=3, seed=0, num_rows=1, banned=(0,))
    with pytest.raises(CheckpointError, match="any probability"):
        sampler.draw(torch.tensor([[0.0, -math.inf, -math.inf]]))
