from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gen.codec import BoolArray, Grammar
from gen.config import CellName, ModelConfig, SamplingConfig
from gen.errors import CheckpointError, SettingError
from gen.generation.generate import Sampled, generate
from gen.kernels.stepping import has_step_kernel
from gen.models.recurrent import RecurrentLM, State
from gen.models.stepper import PackedStepper, Stepper, StepPrecision
from tests.fixed_model import FixedModel

BEGIN, END = 10, 11  # of all models here: ten symbols
OPEN, CLOSE = 0, 1  # of the grammar of brackets
PLAIN = SamplingConfig()
GREEDY = SamplingConfig(temperature=0.0)

needs_kernels = pytest.mark.skipif(not has_step_kernel(), reason="no C compiler, or a processor without bf16 or VNNI")


class Brackets:
    """A grammar whose documents are the balanced rows of brackets and letters; `end` is allowed where none is open."""

    def __init__(self) -> None:
        self.depth = 0

    def allowed(self, budget: int | None) -> BoolArray:
        mask = np.ones(12, dtype=np.bool_)
        mask[CLOSE] = self.depth > 0
        mask[END] = self.depth == 0
        mask[BEGIN] = False
        if budget is not None:
            mask[OPEN] = budget >= self.depth + 2
            mask[2:BEGIN] = budget >= self.depth + 1
        return mask

    def advance(self, token: int) -> None:
        self.depth += (token == OPEN) - (token == CLOSE)
        assert self.depth >= 0

    def tokens_to_close(self) -> int:
        return self.depth


class Counting(FixedModel):
    """A fixed model that counts its steps."""

    num_steps = 0

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        self.num_steps += 1
        return super().step(tokens, state)


def trained(cell: CellName = "lstm", *, num_labels: int = 0) -> RecurrentLM:
    config = ModelConfig(
        vocab_size=12, cell=cell, hidden_size=24, num_layers=2, embedding_size=8, num_labels=num_labels
    )
    model = RecurrentLM(config, torch.Generator().manual_seed(3))
    with torch.no_grad():
        model.output.weight.mul_(8)  # decided, as a trained model is
    return model


def even() -> FixedModel:
    return FixedModel(torch.zeros(12))


def stream_of(stepper: Stepper, **changed: Any) -> Iterator[Sampled]:
    settings: dict[str, Any] = {"prompt": [], "begin": BEGIN, "end": END, "length": 60, "sampling": PLAIN, "seed": 0}
    return generate(stepper, **(settings | changed))


def rows_of(stepper: Stepper, *, count: int = 1, **changed: Any) -> list[list[int]]:
    rows: list[list[int]] = [[] for _ in range(count)]
    for sampled in stream_of(stepper, num_samples=count, **changed):
        rows[sampled.row].append(sampled.token)
    return rows


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("sampling", [PLAIN, SamplingConfig(0.8, 6, 0.9, 0.02, 1.2)])
def test_a_sample_is_the_same_alone_and_in_a_batch(cell: CellName, sampling: SamplingConfig) -> None:
    stepper = PackedStepper(trained(cell))
    batch = rows_of(stepper, count=64, length=200, sampling=sampling)
    assert len({len(row) for row in batch}) > 10  # rows end one after the other
    assert rows_of(stepper, count=1, length=200, sampling=sampling) == batch[:1]
    assert rows_of(stepper, count=7, length=200, sampling=sampling) == batch[:7]


def test_rows_and_seeds_give_different_samples_and_seed_0_is_a_seed() -> None:
    zero, one = (rows_of(even(), count=8, end=None, seed=seed) for seed in (0, 1))
    assert len({tuple(row) for row in zero + one}) == 16
    assert rows_of(even(), count=8, end=None, seed=0) == zero


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("label", [0, 2])
def test_greedy_tokens_equal_argmax_of_forward_over_the_whole_text(cell: CellName, label: int) -> None:
    model = trained(cell, num_labels=2)
    stepper = PackedStepper(model)
    rows = rows_of(stepper, count=2, length=8, end=None, prompt=[4, 2, 7], sampling=GREEDY, label=label)
    text = [BEGIN, 4, 2, 7]
    with torch.no_grad():
        for _ in range(8):
            logits, _ = model(torch.tensor([text]), model.initial_state(torch.tensor([label])))
            text.append(int(logits[0, -1, :BEGIN].argmax()))
    assert rows == [text[4:], text[4:]]


def test_surprise_is_what_forward_says_of_the_text() -> None:
    model = trained()
    found = list(stream_of(PackedStepper(model), prompt=[3], sampling=SamplingConfig(0.5, top_k=4)))
    text = torch.tensor([[BEGIN, 3, *(sampled.token for sampled in found)]])
    with torch.no_grad():
        logits, _ = model(text, model.initial_state(torch.tensor([0])))
    expected = -logits[0, 1:-1].log_softmax(1).gather(1, text[0, 2:, None])[:, 0]
    surprises = [sampled.surprise_nats for sampled in found]
    assert surprises == pytest.approx(expected.tolist(), abs=1e-4)  # float32: stepper against fused kernels


def test_a_token_takes_one_step_and_nothing_runs_ahead() -> None:
    model = Counting(torch.zeros(12))
    stream = stream_of(model, prompt=[1, 2], end=None, length=None, num_samples=3)
    assert model.num_steps == 0
    steps = [model.num_steps for _ in islice(stream, 9)]
    assert steps == [3, 3, 3, 4, 4, 4, 5, 5, 5]  # begin and the prompt once for all rows, then a step for three tokens


def test_no_step_follows_the_last_token() -> None:
    model = Counting(torch.zeros(12))
    assert len(list(stream_of(model, end=None, length=5))) == 5
    assert model.num_steps == 5


def test_gradients_stay_on_for_the_caller_between_tokens() -> None:
    stream = stream_of(PackedStepper(trained()), end=None, length=3)
    modes = [(torch.is_inference_mode_enabled(), torch.is_grad_enabled()) for _ in stream]
    assert modes == [(False, True)] * 3


def test_end_is_the_last_token_of_its_row_and_begin_never_comes() -> None:
    rows = rows_of(even(), count=40, length=None)
    assert all(row[-1] == END and END not in row[:-1] for row in rows)
    assert not any(BEGIN in row for row in rows)


def test_end_does_not_count_in_the_length() -> None:
    after_five = torch.full((12, 12), -50.0)
    after_five[torch.arange(12), (torch.arange(12) + 1) % 12] = 50.0  # 0 1 2 ..., and 0 after END
    after_five[BEGIN, 5] = 100.0  # Begin 5 6 7 8 9
    after_five[9, END] = 100.0
    assert rows_of(FixedModel(after_five), count=1, length=6) == [[5, 6, 7, 8, 9, END]]
    assert rows_of(FixedModel(after_five), count=1, length=5) == [[5, 6, 7, 8, 9]]


class OneByOne(PackedStepper):
    """A stepper that does not write several tokens a call."""

    def writer(self, *_: Any, **__: Any) -> None:
        return


@pytest.mark.parametrize("min_length", [1, 2, 63, 64, 65, 130, 200])
@pytest.mark.parametrize("precision", ["fp32", pytest.param("int8", marks=needs_kernels)])
@pytest.mark.parametrize("sampling", [PLAIN, SamplingConfig(0.8, 6, 0.9, 0.02, 1.2)])
def test_no_end_is_drawn_before_the_least_length_and_some_right_after(
    min_length: int, precision: StepPrecision, sampling: SamplingConfig
) -> None:
    settings: dict[str, Any] = {"count": 40, "prompt": [3, 1], "length": 200, "sampling": sampling}
    rows = rows_of(PackedStepper(trained(), precision), min_length=min_length, **settings)
    endless = rows_of(PackedStepper(trained(), precision), **(settings | {"end": None, "length": min_length}))
    assert [row[:min_length] for row in rows] == endless
    assert min_length == 200 or any(row[min_length:] == [END] for row in rows)
    assert rows_of(OneByOne(trained(), precision), min_length=min_length, **settings) == rows


def test_a_least_length_of_0_draws_what_was_drawn_without_one() -> None:
    assert rows_of(PackedStepper(trained()), count=9, min_length=0) == rows_of(PackedStepper(trained()), count=9)


@pytest.mark.parametrize("new_grammar", [lambda: None, Brackets])
def test_a_least_length_holds_under_a_grammar_and_under_a_hand(new_grammar: Callable[[], Grammar | None]) -> None:
    settings: dict[str, Any] = {"count": 20, "length": 60, "min_length": 40, "new_grammar": new_grammar}
    rows, steered = (rows_of(even(), sampling=how, **settings) for how in (PLAIN, lambda: PLAIN))
    assert rows == steered
    assert all(END not in row[:40] for row in rows)
    assert any(END in row for row in rows)


def test_without_an_end_it_is_never_drawn() -> None:
    likes_end = torch.zeros(12)
    likes_end[END] = 500.0
    rows = rows_of(FixedModel(likes_end), count=4, length=50, end=None)
    assert [len(row) for row in rows] == [50] * 4
    assert max(max(row) for row in rows) < BEGIN


def test_length_zero_yields_nothing() -> None:
    assert rows_of(even(), count=3, length=0) == [[], [], []]


def test_an_unlimited_length_goes_on() -> None:
    assert len(list(islice(stream_of(even(), end=None, length=None), 2000))) == 2000


@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0, 100.0])
@pytest.mark.parametrize("length", [1, 2, 7, 30])
def test_under_a_grammar_every_sample_closes_within_its_length(temperature: float, length: int) -> None:
    stepper = PackedStepper(trained())
    sampling = SamplingConfig(temperature=temperature)
    for row in rows_of(stepper, count=20, length=length, sampling=sampling, new_grammar=Brackets):
        depths = np.cumsum([(token == OPEN) - (token == CLOSE) for token in row])
        assert depths.min() >= 0
        assert depths[-1] == 0
        assert len([token for token in row if token != END]) <= length


def test_a_grammar_takes_the_prompt() -> None:
    rows = rows_of(even(), count=3, prompt=[OPEN, OPEN, 5], length=2, new_grammar=Brackets)
    assert rows == [[CLOSE, CLOSE]] * 3


@pytest.mark.parametrize("new_grammar", [lambda: None, Brackets])
@pytest.mark.parametrize("sampling", [PLAIN, GREEDY, SamplingConfig(0.7, top_k=5, repetition_penalty=1.3)])
def test_steering_that_changes_nothing_draws_the_same_bits(
    sampling: SamplingConfig, new_grammar: Callable[[], Grammar | None]
) -> None:
    stepper = PackedStepper(trained())
    plain, steered = (
        list(
            generate(
                stepper,
                prompt=[3, 4],
                begin=BEGIN,
                end=None,
                length=300,
                sampling=how,
                seed=5,
                num_samples=3,
                new_grammar=new_grammar,
            )
        )
        for how in (sampling, lambda: sampling)
    )
    assert plain == steered


@pytest.mark.parametrize(
    "turned",
    [GREEDY, SamplingConfig(top_k=1), SamplingConfig(0.5, top_p=0.9), SamplingConfig(repetition_penalty=1.5)],
)
def test_a_turn_of_a_knob_holds_from_the_next_token_on(turned: SamplingConfig) -> None:
    stepper = PackedStepper(trained())
    settings = [PLAIN]

    def drawn(how: SamplingConfig | Callable[[], SamplingConfig], prompt: list[int]) -> Iterator[int]:
        sampled = generate(stepper, prompt=prompt, begin=BEGIN, end=None, length=200, sampling=how, seed=5)
        return (item.token for item in sampled)

    steered = drawn(lambda: settings[-1], [])
    before = list(islice(steered, 100))
    settings.append(turned)
    after = list(steered)
    assert before == list(islice(drawn(PLAIN, []), 100))
    assert after != list(drawn(PLAIN, []))[100:]
    if turned.temperature == 0 or turned.top_k == 1:  # no draw of which the uniform matters
        assert after == list(islice(drawn(turned, before), 100))


def test_a_length_too_short_to_close_the_prompt_is_a_setting_error() -> None:
    with pytest.raises(SettingError, match=r"^--length: too short .* \(1\)$") as caught:
        stream_of(even(), prompt=[OPEN, OPEN], length=1, new_grammar=Brackets)
    assert caught.value.hint == "give at least 2"


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("--length", {"length": -1}),
        ("--min-length", {"min_length": -1}),
        ("--min-length", {"min_length": 61}),
        ("--num-samples", {"num_samples": 0}),
        ("--seed", {"seed": -1}),
        ("prompt", {"prompt": [3, 12]}),
        ("prompt", {"prompt": [BEGIN]}),
    ],
)
def test_arguments_out_of_range_are_setting_errors_at_once(name: str, changed: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match=f"^{name}: "):
        stream_of(even(), **changed)


def test_a_model_of_nan_is_a_checkpoint_error() -> None:
    with pytest.raises(CheckpointError, match="not finite"):
        rows_of(FixedModel(torch.full((12,), torch.nan)), count=2)
