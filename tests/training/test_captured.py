"""Steps that a GPU takes as graphs, against steps that are taken one by one.

On a CPU the operations that a graph would hold run one by one, with the same fixed tensors.
"""

from itertools import pairwise

import numpy as np
import pytest
import torch

from gen.config import CellName, ModelConfig, Precision, TrainingConfig
from gen.data.batches import Batches
from gen.data.split import Excerpt
from gen.data.stretches import Stretch, Stretches
from gen.models.choice import new_model
from gen.models.recurrent import RecurrentLM
from gen.training import trainer as trainer_module
from gen.training.captured import CapturedStep, can_capture
from gen.training.step import OptimizerStep, Pace
from gen.training.trainer import SNAPSHOT_STEPS, Step, Trainer

V = 12
CONFIG = TrainingConfig(batch_size=4, bptt=8, learning_rate=0.01, warmup_steps=5, steps=60, matrix_share=3.0)
NEEDS_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
CELLS = pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
DEVICES = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=NEEDS_CUDA)])


def new_batches(config: TrainingConfig = CONFIG) -> Batches:
    ids = np.random.default_rng(0).integers(0, V - 2, 700).astype(np.uint8)
    ids[1::2] = (ids[::2] + 1) % (V - 2)  # something to learn
    excerpt = Excerpt(ids, Stretches([Stretch(0, 300, 1, True), Stretch(300, 700, 2, True)]), V - 2, V - 1)
    return Batches(excerpt, batch_size=config.batch_size, bptt=config.bptt, reset_rate=0.1, seed=0)


def a_model(device: str = "cpu", cell: CellName = "lstm", dropout: float = 0.2) -> RecurrentLM:
    config = ModelConfig(V, cell, 16, 2, 8, dropout=dropout, num_labels=2)
    return RecurrentLM(config, torch.Generator().manual_seed(0)).to(device)


def taken(kind: type[OptimizerStep], device: str, cell: CellName = "lstm") -> tuple[torch.Tensor, RecurrentLM]:
    """Returns the outcomes of 30 steps, and the model after them."""
    model, batches = a_model(device, cell), new_batches()
    step = kind(model, CONFIG, slice(0, CONFIG.batch_size), lambda loss: loss)
    outcomes = []
    for n in range(30):
        batch = batches.batch(*divmod(n, batches.num_windows(0)))
        outcomes.append(step.take(batch, Pace(n, 0.01 / (n + 1), 0.2 if n < 20 else 0.1)))
    return torch.stack(outcomes).cpu(), model


def some_steps(trainer: Trainer) -> list[Step]:
    return list(trainer.run())


def captured_trainer(
    monkeypatch: pytest.MonkeyPatch, device: str, config: TrainingConfig = CONFIG, dropout: float = 0.2
) -> Trainer:
    monkeypatch.setattr(trainer_module, "can_capture", lambda *_: True)
    return Trainer(a_model(device, dropout=dropout), new_batches(config), config)


@CELLS
@DEVICES
def test_steps_from_fixed_tensors_equal_steps_one_by_one(cell: CellName, device: str) -> None:
    one_by_one, model = taken(OptimizerStep, device, cell)
    as_graphs, other = taken(CapturedStep, device, cell)

    torch.testing.assert_close(as_graphs, one_by_one, rtol=1e-4, atol=1e-5)
    for weight, expected in zip(other.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(weight, expected, rtol=1e-3, atol=1e-4)


@DEVICES
def test_losses_are_read_at_every_snapshot_and_at_the_end(monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    single = [*Trainer(a_model(), new_batches(), CONFIG).run()]
    bursts = some_steps(captured_trainer(monkeypatch, device))

    ends = [burst.step for burst in bursts]
    assert ends == [SNAPSHOT_STEPS, 2 * SNAPSHOT_STEPS, 60]
    assert [burst.num_tokens for burst in bursts] == [
        sum(step.num_tokens for step in single[a:b]) for a, b in pairwise([0, *ends])
    ]
    if device == "cpu":  # other devices draw other masks
        for burst, (a, b) in zip(bursts, pairwise([0, *ends]), strict=True):
            nats = sum(step.loss_nats * step.num_targets for step in single[a:b])
            assert burst.loss_nats == pytest.approx(nats / burst.num_targets, rel=1e-3)


@DEVICES
@pytest.mark.parametrize("first", [0, 25, 50])
def test_a_resumed_run_equals_the_undisturbed_one(monkeypatch: pytest.MonkeyPatch, device: str, first: int) -> None:
    straight = captured_trainer(monkeypatch, device)
    some_steps(straight)
    stopped = captured_trainer(monkeypatch, device)
    run = stopped.run()
    while stopped.position.step < first:
        next(run)

    resumed = captured_trainer(monkeypatch, device)
    resumed.load_state_dict(*stopped.state_dict())
    some_steps(resumed)

    for weight, expected in zip(resumed.model.parameters(), straight.model.parameters(), strict=True):
        assert torch.equal(weight, expected)


@DEVICES
def test_a_run_that_explodes_goes_back_to_its_snapshot(monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    config = TrainingConfig(batch_size=4, bptt=8, learning_rate=3e4, warmup_steps=0, steps=100, clip_norm=1e9)
    trainer = captured_trainer(monkeypatch, device, config)
    run = trainer.run()
    burst = next(run)

    assert burst.is_rolled_back
    assert burst.step == 0
    assert trainer.position.rate_scale == 0.5
    fresh = a_model().state_dict()
    assert all(torch.equal(value.cpu(), fresh[name]) for name, value in trainer.model.state_dict().items())
    next(run)  # goes on


@NEEDS_CUDA
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_two_runs_on_a_gpu_have_the_same_bits(precision: Precision) -> None:
    config = TrainingConfig(batch_size=8, bptt=16, steps=60, matrix_share=3.0, precision=precision)
    ends = []
    for _ in range(2):
        trainer = Trainer(a_model("cuda"), new_batches(config), config)
        losses = [step.loss_nats for step in trainer.run()]
        ends.append((losses, [weight.detach().cpu() for weight in trainer.model.parameters()]))
    assert ends[0][0] == ends[1][0]
    assert all(torch.equal(a, b) for a, b in zip(ends[0][1], ends[1][1], strict=True))


def test_only_whole_batches_of_one_shape_on_a_gpu_are_captured() -> None:
    assert not can_capture(a_model(), CONFIG, 1)
    tagger = new_model(ModelConfig(V, "lstm", 16, 1, 8, num_labels=2, task="tag"))
    assert not can_capture(tagger, CONFIG, 1)
