"""The compiled stepper and its draws against torch, numpy and sums worked out plainly."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from gen.config import ModelConfig, SamplingConfig
from gen.errors import CheckpointError
from gen.generation.generate import Sampled, generate
from gen.generation.sampling import REPETITION_WINDOW, pick, weigh
from gen.kernels import drawing, stepping
from gen.kernels.drawing import DrawKernel, Recent
from gen.kernels.stepping import Layer, StepKernel, has_step_kernel
from gen.models.cells import CELLS
from gen.models.recurrent import RecurrentLM
from gen.models.stepper import PackedStepper

pytestmark = pytest.mark.skipif(not has_step_kernel(), reason="no C compiler, or a processor without bf16 or VNNI")
V, H = 23, 40


def rounded_rows(weights: Tensor) -> Tensor:
    """Returns what int8 makes of (N, K) weights: whole numbers up to 127, times a scale a row."""
    scales = weights.abs().amax(1, keepdim=True) / 127
    return (weights / scales).round() * scales


def test_int8_is_the_product_of_weights_and_outputs_rounded_to_127_steps() -> None:
    generator = torch.Generator().manual_seed(0)
    w_hh, output = (torch.randn(size, H, generator=generator) * 0.3 for size in (H, V))
    table, bias = torch.randn(V, H, generator=generator), torch.randn(V, generator=generator)
    zeros = torch.zeros(H)
    kernel = StepKernel("rnn", table, [Layer(w_hh, w_hh, zeros, zeros)], output, bias, is_int8=True)
    h = torch.rand(1, 5, H, generator=generator) * 2 - 1
    tokens = torch.arange(5)
    padded = torch.nn.functional.pad(h, (0, kernel.hidden_size - H))

    logits, (after,) = kernel.run(tokens, (padded,), None)

    expected = (table[tokens] + (h[0] * 127).round() / 127 @ rounded_rows(w_hh).t()).tanh()
    torch.testing.assert_close(after[0, :, :H], expected, rtol=0, atol=1e-5)
    of_rounded = (after[0, :, :H] * 127).round() / 127 @ rounded_rows(output).t() + bias
    torch.testing.assert_close(logits, of_rounded, rtol=0, atol=1e-5)
    assert not after[0, :, H:].any()


def test_a_token_that_is_not_of_the_vocabulary_is_an_index_error() -> None:
    stepper = PackedStepper(RecurrentLM(ModelConfig(V, hidden_size=16), torch.Generator().manual_seed(0)))
    with pytest.raises(IndexError, match="not of a vocabulary of 23"):
        stepper.step(torch.tensor([V]), stepper.initial_state(torch.tensor([0])))


def test_weights_of_any_size_start_a_page_and_keep_their_values() -> None:
    tensor = torch.arange(3 << 19, dtype=torch.float32)
    kept = stepping._aligned(tensor.shape, tensor.dtype).copy_(tensor)
    assert kept.data_ptr() % stepping.HUGE_PAGE == 0
    assert torch.equal(kept, tensor)


configs = st.builds(
    SamplingConfig,
    temperature=st.sampled_from([0.0, 1e-30, 0.3, 1.0, 3.0]),
    top_k=st.none() | st.integers(1, 12),
    top_p=st.none() | st.floats(0.01, 1.0),
    min_p=st.none() | st.floats(0.0, 0.99),
    repetition_penalty=st.sampled_from([0.5, 1.0, 1.7]),
)
few_logits = st.lists(st.sampled_from([-900.0, -3.1, -1.0, 0.0, 0.4, 2.0, 5.3]), min_size=2, max_size=40)


def drawn_by_kernel(
    logits: list[float], config: SamplingConfig, uniform: float, *, allowed: NDArray[np.bool_], recent: list[int]
) -> tuple[int, float]:
    kernel = DrawKernel(config, vocab_size=len(logits), banned=(1,))
    counts = np.bincount(recent, minlength=len(logits)).astype(np.int16)[None]
    ring = np.array(recent + [0] * (REPETITION_WINDOW - len(recent)))[:, None]
    drawn = kernel.draw(
        torch.tensor([logits]), np.array([uniform]), allowed=allowed[None], recent=Recent(ring, counts, len(recent))
    )
    assert drawn is not None
    return int(drawn.tokens[0, 0]), float(drawn.surprise_nats[0, 0])


@settings(max_examples=400)
@given(few_logits, configs, st.floats(0, 1, exclude_max=True), st.data())
def test_a_draw_is_that_of_the_filters_in_numpy(
    logits: list[float], config: SamplingConfig, uniform: float, data: st.DataObject
) -> None:
    ids = st.integers(0, len(logits) - 1)
    forbidden, recent = data.draw(st.sets(ids.filter(bool))), data.draw(st.lists(ids, max_size=REPETITION_WINDOW))
    allowed = np.array([token not in forbidden for token in range(len(logits))])  # 0 always is
    single = np.array([logits], dtype=np.float32).astype(np.float64)
    mask = np.isin(np.arange(len(logits)), recent)[None]
    weights = weigh(single, config, banned=(1,), allowed=allowed[None], recent=mask)

    token, surprise = drawn_by_kernel(logits, config, uniform, allowed=allowed, recent=recent)

    assert token == pick(weights, np.array([uniform]))[0]
    assert surprise == pytest.approx(np.logaddexp.reduce(single[0]) - single[0, token], abs=1e-12)


def trained(cell: Any = "lstm", **sizes: Any) -> RecurrentLM:
    config = ModelConfig(V, cell, **({"hidden_size": 48, "num_layers": 2, "embedding_size": 8} | sizes))
    model = RecurrentLM(config, torch.Generator().manual_seed(3))
    with torch.no_grad():
        model.output.weight.mul_(8)  # decided, as a trained model is
    return model


def samples(
    stepper: PackedStepper, *, count: int, length: int = 300, end: int | None = V - 1, **changed: Any
) -> list[Sampled]:
    given: dict[str, Any] = {
        "sampling": SamplingConfig(0.8, 12, 0.95, 0.01, 1.2),
        "prompt": [3, 4],
        "seed": 5,
        "label": 0,
    }
    drawn = generate(stepper, begin=V - 2, end=end, length=length, num_samples=count, **(given | changed))
    return sorted(drawn, key=lambda item: item.row)


class TokenByToken(PackedStepper):
    """A stepper that writes nothing ahead."""

    def writer(self, *_: object, **__: object) -> None:
        return None


@pytest.mark.parametrize("cell", tuple(CELLS))
@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize(("count", "end"), [(1, None), (1, V - 1), (9, V - 1)])
def test_many_tokens_a_call_are_those_of_one_at_a_time(cell: Any, precision: Any, count: int, end: int | None) -> None:
    model = trained(cell, num_labels=2)
    ahead = samples(PackedStepper(model, precision), count=count, label=2, end=end)
    assert ahead == samples(TokenByToken(model, precision), count=count, label=2, end=end)
    assert len(ahead) > count


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_the_rows_of_many_are_those_of_each_alone_on_one_thread_and_on_two(temperature: float) -> None:
    stepper, before = PackedStepper(trained()), torch.get_num_threads()
    many = samples(stepper, count=30, length=60, sampling=SamplingConfig(temperature))
    torch.set_num_threads(2)
    try:
        on_two = samples(stepper, count=30, length=60, sampling=SamplingConfig(temperature))
    finally:
        torch.set_num_threads(before)
    alone = samples(stepper, count=1, length=60, sampling=SamplingConfig(temperature))
    assert many == on_two
    assert [item for item in many if item.row == 0] == alone


def test_threads_may_be_added_while_a_stream_goes_on() -> None:
    stepper, before = PackedStepper(trained(hidden_size=160)), torch.get_num_threads()
    expected, stream = (
        generate(
            stepper,
            prompt=(),
            begin=V - 2,
            end=None,
            length=200,
            sampling=SamplingConfig(),
            seed=1,
            num_samples=5,
        )
        for _ in range(2)
    )
    found = [next(stream) for _ in range(50)]
    torch.set_num_threads(before + 2)
    try:
        found += stream
    finally:
        torch.set_num_threads(before)
    assert found == list(expected)


def test_a_stream_that_cannot_go_on_yields_what_it_drew_and_then_says_why() -> None:
    model = trained()
    with torch.no_grad():
        model.embedding.weight[7] = torch.nan
    stream = generate(
        PackedStepper(model), begin=V - 2, end=None, length=None, sampling=SamplingConfig(), seed=0, prompt=()
    )
    seen: list[int] = []
    with pytest.raises(CheckpointError, match="not finite"):
        seen.extend(item.token for item in stream)
    assert seen.index(7) == len(seen) - 1  # whose state no row survives


def test_a_library_that_was_built_without_vnni_has_no_steps_and_no_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (stepping, drawing):
        monkeypatch.setattr(module, "library", lambda: SimpleNamespace(gen_window_forward=None))
    assert (has_step_kernel(), drawing.has_draw_kernel()) == (False, False)
