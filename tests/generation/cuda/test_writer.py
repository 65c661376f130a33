"""Blocks of tokens written on the model's device against one token at a time.

On a CPU the very operations run that a CUDA graph holds; whether a graph gives the same is for a machine that has CUDA.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gen.config import CellName, ModelConfig, SamplingConfig
from gen.errors import CheckpointError
from gen.generation import generate as generating
from gen.generation.cuda import writer as device_writer
from gen.generation.cuda.drawing import DeviceDraw
from gen.generation.cuda.graph import NUM_WARM_UP_RUNS, Captured
from gen.generation.cuda.streams import stream_keys, stream_uniforms
from gen.generation.cuda.writer import BLOCK, DeviceWriter, last_tokens
from gen.generation.generate import Sampled, generate
from gen.generation.sampling import REPETITION_WINDOW, Sampler, pick, surprise_nats, weigh
from gen.generation.uniforms import UNIFORM_BLOCK
from gen.kernels.drawing import Drawn, TokenArray
from gen.models import stepper as models
from gen.models.cells import CELLS
from gen.models.recurrent import RecurrentLM, State
from gen.models.stepper import PackedStepper

V = 24
BEGIN, END = V - 2, V - 1
SEED = 5
PENALISED = SamplingConfig(0.9, repetition_penalty=1.3)
FILTERED = SamplingConfig(0.8, top_k=12, top_p=0.95, min_p=0.01, repetition_penalty=1.2)

needs_cuda = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="NEEDS CUDA: whether a graph gives the tokens of its operations is not tested"
)


class Watched(PackedStepper):
    """A stepper that notes how many rows it was given."""

    def __init__(self, model: RecurrentLM) -> None:
        super().__init__(model)
        self.row_counts: list[int] = []

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        self.row_counts.append(len(tokens))
        return super().step(tokens, state)


@pytest.fixture(autouse=True)
def in_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps in torch's operations, as where there are no compiled kernels."""
    monkeypatch.setattr(models, "has_step_kernel", lambda: False)


def trained(cell: CellName = "lstm", *, num_layers: int = 2, num_labels: int = 0) -> RecurrentLM:
    config = ModelConfig(V, cell, 40, num_layers, 16, num_labels=num_labels)
    model = RecurrentLM(config, torch.Generator().manual_seed(3))
    with torch.no_grad():
        model.output.weight.mul_(8)  # decided, as a trained model is
    return model


class OneByOne:
    """A `gen.models.stepper.Writer` that steps and draws a token a call, by the reference filters, in numpy.

    It draws with the streams of the device, and adds the weights of top-k and top-p from the likeliest on.
    """

    def __init__(self, stepper: PackedStepper, state: State, config: SamplingConfig, prompt: list[int]) -> None:
        self.stepper, self.state, self.config = stepper, state, config
        num_rows = len(state.condition)
        self.keys = stream_keys(SEED, num_rows)
        self.banned: tuple[int, ...] = (BEGIN,)
        self.texts = [list(prompt) for _ in range(num_rows)]
        self.num_drawn = 0
        self.logits = torch.empty(0)

    def most_tokens(self) -> int:
        return 1

    def ban(self, tokens: tuple[int, ...]) -> None:
        self.banned = tokens

    def keep(self, rows: Sequence[int]) -> None:
        kept = list(rows)
        memory = tuple(m[:, kept] for m in self.state.memory)
        self.state, self.keys = State(memory, self.state.condition[kept]), self.keys[kept]
        self.texts = [self.texts[row] for row in kept]

    def write(self, tokens: TokenArray, count: int) -> Drawn:
        assert count == 1
        for text, token in zip(self.texts, tokens.tolist(), strict=True):
            text.append(token)
        self.logits, self.state = self.stepper.step(torch.from_numpy(tokens), self.state)
        raw = self.logits.double().numpy()
        if not np.isfinite(raw).all():
            return Drawn(np.empty((0, len(raw)), np.int64), np.empty((0, len(raw))))
        recent = np.array([[t in text[-REPETITION_WINDOW:] for t in range(V)] for text in self.texts])
        weights = weigh(raw, self.config, banned=self.banned, recent=recent)
        order = np.tile(np.arange(V), (len(raw), 1))
        if self.config.top_k or self.config.top_p:
            order = np.argsort(-weights, axis=1, kind="stable")
        uniforms = stream_uniforms(self.keys, torch.tensor(self.num_drawn), 1)[0].numpy()
        picks = pick(np.take_along_axis(weights, order, axis=1), uniforms)
        self.num_drawn += 1
        found = order[np.arange(len(raw)), picks]
        return Drawn(found[None], surprise_nats(raw, found)[None])


def reference(config: SamplingConfig, prompt: list[int]) -> Callable[..., OneByOne]:
    """Returns what makes a reference of `new_device_writer`."""

    def new_writer(stepper: PackedStepper, state: State, *_: Any, banned: tuple[int, ...], **__: Any) -> OneByOne:
        writer = OneByOne(stepper, state, config, prompt)
        writer.ban(banned)
        return writer

    return new_writer


def one_by_one(monkeypatch: pytest.MonkeyPatch, stepper: PackedStepper, **changed: Any) -> list[Sampled]:
    """Returns the samples that the reference draws with the streams of the device."""
    new_writer = reference(changed.get("sampling", FILTERED), changed.get("prompt", [3, 4]))
    with monkeypatch.context() as patch:
        patch.setattr(generating, "new_device_writer", new_writer)
        return list(stream_of(stepper, **changed))


def stream_of(stepper: PackedStepper, **changed: Any) -> Iterator[Sampled]:
    given: dict[str, Any] = {"prompt": [3, 4], "end": END, "length": 150, "sampling": FILTERED, "num_samples": 7}
    return generate(stepper, begin=BEGIN, seed=SEED, **(given | changed))


def in_blocks(monkeypatch: pytest.MonkeyPatch, stepper: PackedStepper, **changed: Any) -> list[Sampled]:
    """Returns the samples that are written on the model's device, the CPU."""
    with monkeypatch.context() as patch:
        patch.setattr(device_writer, "DEVICES", frozenset({"cpu"}))
        return list(stream_of(stepper, **changed))


def assert_same(found: list[Sampled], expected: list[Sampled]) -> None:
    assert [item[:2] for item in found] == [item[:2] for item in expected]  # rows and tokens, in order
    assert [item.surprise_nats for item in found] == pytest.approx([item.surprise_nats for item in expected], abs=1e-5)


@pytest.mark.parametrize("cell", tuple(CELLS))
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize(
    "sampling",
    [
        SamplingConfig(),
        SamplingConfig(temperature=0.0, repetition_penalty=1.5),
        SamplingConfig(top_k=5),
        SamplingConfig(top_p=0.8),
        SamplingConfig(min_p=0.1),
        PENALISED,
        FILTERED,
    ],
)
def test_blocks_hold_the_tokens_of_one_at_a_time(
    cell: CellName, num_layers: int, sampling: SamplingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    stepper = PackedStepper(trained(cell, num_layers=num_layers))
    expected = one_by_one(monkeypatch, stepper, sampling=sampling)
    assert_same(in_blocks(monkeypatch, stepper, sampling=sampling), expected)


@pytest.mark.parametrize("cell", tuple(CELLS))
def test_labels_and_rows_that_end_one_after_the_other(cell: CellName, monkeypatch: pytest.MonkeyPatch) -> None:
    model = trained(cell, num_labels=2)
    with torch.no_grad():
        model.output.bias[END] -= 3  # so that rows last for some blocks
    stepper = PackedStepper(model)
    settings = {"label": 2, "num_samples": 20, "length": None, "sampling": PENALISED}
    expected = one_by_one(monkeypatch, stepper, **settings)
    lengths = np.bincount([item.row for item in expected])
    assert len(set(lengths.tolist())) > 8
    assert len({length % BLOCK for length in lengths.tolist()}) > 4  # in the middle of a block, too
    assert_same(in_blocks(monkeypatch, stepper, **settings), expected)


@pytest.mark.parametrize("end", [END, None])
@pytest.mark.parametrize("length", [1, 2, BLOCK, BLOCK + 1, BLOCK + 2, 3 * BLOCK, UNIFORM_BLOCK + 50])
def test_a_length_is_kept_wherever_it_falls_in_a_block(
    length: int, end: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    stepper = PackedStepper(trained())
    expected = one_by_one(monkeypatch, stepper, length=length, end=end)
    assert_same(in_blocks(monkeypatch, stepper, length=length, end=end), expected)


@pytest.mark.parametrize("min_length", [1, 2, BLOCK, BLOCK + 1, 40])
def test_no_end_is_drawn_before_the_least_length(min_length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"min_length": min_length, "num_samples": 60}
    expected = one_by_one(monkeypatch, PackedStepper(trained()), **settings)
    assert_same(in_blocks(monkeypatch, PackedStepper(trained()), **settings), expected)
    lengths = [len([item for item in expected if item.row == row]) for row in range(60)]
    assert min(lengths) == min_length + 1


@pytest.mark.parametrize("num_prompt", [0, 3, REPETITION_WINDOW - 1, REPETITION_WINDOW, REPETITION_WINDOW + 30])
def test_the_penalty_sees_the_prompt(num_prompt: int, monkeypatch: pytest.MonkeyPatch) -> None:
    stepper, prompt = PackedStepper(trained()), [n % BEGIN for n in range(num_prompt)]
    settings = {"prompt": prompt, "end": None, "sampling": SamplingConfig(0.5, repetition_penalty=3.0)}
    expected = one_by_one(monkeypatch, stepper, **settings)
    assert_same(in_blocks(monkeypatch, stepper, **settings), expected)


@pytest.mark.parametrize("num_prompt", [0, 1, REPETITION_WINDOW, REPETITION_WINDOW + 7])
def test_last_tokens_are_the_ring_unrolled(num_prompt: int) -> None:
    prompt = list(range(num_prompt))
    sampler = Sampler(PENALISED, vocab_size=200, seed=0, num_rows=2, prompt=prompt)
    recent = sampler.recent()
    assert recent is not None
    expected = ([200] * REPETITION_WINDOW + prompt)[-REPETITION_WINDOW:]
    if num_prompt <= REPETITION_WINDOW:  # the sampler itself takes no more of a prompt
        assert last_tokens(recent, absent=200).tolist() == [expected, expected]
    for token in (150, 160):
        recent = recent._replace(num_seen=recent.num_seen + 1)
        recent.tokens[(recent.num_seen - 1) % REPETITION_WINDOW] = token
    assert last_tokens(recent, absent=200).tolist() == [[*expected[2:], 150, 160]] * 2


def test_rows_that_have_ended_stay_until_half_of_them_have() -> None:
    stepper = Watched(trained())
    draw = DeviceDraw(SamplingConfig(), vocab_size=V, banned=(BEGIN,), device=stepper.device)
    state = stepper.initial_state(torch.zeros(8, dtype=torch.int64))
    writer = DeviceWriter(stepper, draw, state, seed=0, recent=None)
    for num_rows, kept in ((8, [0, 1, 3, 4, 6, 7]), (6, [0, 2, 5]), (3, [1, 2])):
        writer.write(np.zeros(num_rows, dtype=np.int64), 2)
        writer.keep(kept)
    writer.write(np.zeros(2, dtype=np.int64), 1)
    assert stepper.row_counts == [8, 8, 8, 8, 3, 3, 3]


@pytest.mark.parametrize("num_samples", [1, 5])
def test_a_stream_that_cannot_go_on_yields_what_it_drew_and_then_says_why(
    num_samples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = trained()
    with torch.no_grad():
        model.embedding.weight[7] = torch.nan
    stepper, yielded = PackedStepper(model), []
    plain = SamplingConfig()
    for new_writer in (device_writer.new_device_writer, reference(plain, [3, 4])):
        monkeypatch.setattr(device_writer, "DEVICES", frozenset({"cpu"}))
        monkeypatch.setattr(generating, "new_device_writer", new_writer)
        seen: list[tuple[int, ...]] = []
        stream = stream_of(stepper, num_samples=num_samples, sampling=plain, end=None, length=None)
        with pytest.raises(CheckpointError, match=r"not finite \(nan\)"):
            seen.extend(item[:2] for item in stream)
        yielded.append(seen)
    assert yielded[0] == yielded[1]
    assert len(yielded[0]) % num_samples == 0
    assert len(yielded[0]) > 1


def test_what_a_row_would_draw_after_its_end_breaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model = trained()
    with torch.no_grad():
        model.embedding.weight[END] = torch.nan  # nobody goes on after it
    stepper = PackedStepper(model)
    expected = one_by_one(monkeypatch, stepper, num_samples=9)
    assert sum(item.token == END for item in expected) > 3
    assert_same(in_blocks(monkeypatch, stepper, num_samples=9), expected)


@pytest.mark.parametrize("sampling", [SamplingConfig(), FILTERED])
@pytest.mark.parametrize("cell", tuple(CELLS))
def test_a_block_asks_nothing_of_the_host(cell: CellName, sampling: SamplingConfig) -> None:
    meta = torch.device("meta")  # tensors without content: what would read one, or size another by it, fails
    stepper = PackedStepper(trained(cell, num_labels=1).to(meta))
    draw = DeviceDraw(sampling, vocab_size=V, banned=(BEGIN,), device=meta)
    fixed = device_writer._Fixed(
        torch.empty(5, dtype=torch.int64, device=meta),
        torch.empty(5, dtype=torch.int64, device=meta),
        torch.empty((), dtype=torch.int64, device=meta),
        stepper.initial_state(torch.empty(5, dtype=torch.int64, device=meta)),
        torch.empty(5, REPETITION_WINDOW, dtype=torch.int64, device=meta),
    )
    written = device_writer._written(stepper, draw, fixed, BLOCK)
    assert written.words.shape == (2, BLOCK, 5)
    assert [m.shape for m in written.memory] == [m.shape for m in fixed.state.memory]


@needs_cuda
@pytest.mark.parametrize("cell", tuple(CELLS))
@pytest.mark.parametrize("sampling", [SamplingConfig(), FILTERED])
@pytest.mark.parametrize("num_samples", [1, 20])
def test_a_graph_writes_the_tokens_of_its_operations(
    cell: CellName, sampling: SamplingConfig, num_samples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    stepper = PackedStepper(trained(cell, num_labels=2).to("cuda"))
    settings = {"sampling": sampling, "num_samples": num_samples, "label": 1, "length": 40 * BLOCK}
    for end, min_length in ((None, 0), (END, 0), (END, 20 * BLOCK)):
        monkeypatch.setattr(Captured, "can_capture", False)
        expected = list(stream_of(stepper, end=end, min_length=min_length, **settings))
        monkeypatch.setattr(Captured, "can_capture", True)
        assert_same(list(stream_of(stepper, end=end, min_length=min_length, **settings)), expected)
        assert Captured.can_capture  # none has failed


@needs_cuda
def test_after_some_blocks_there_is_a_graph() -> None:
    stepper = PackedStepper(trained().to("cuda"))
    draw = DeviceDraw(FILTERED, vocab_size=V, banned=(BEGIN,), device=stepper.device)
    state = stepper.initial_state(torch.zeros(3, dtype=torch.int64, device="cuda"))
    writer = DeviceWriter(stepper, draw, state, seed=0, recent=None)
    drawn = Drawn(np.zeros((1, 3), dtype=np.int64), np.zeros((1, 3)))
    for _ in range(NUM_WARM_UP_RUNS + 2):
        drawn = writer.write(drawn.tokens[-1], BLOCK)
    assert isinstance(writer._block, Captured)
    assert writer._block.is_graph
