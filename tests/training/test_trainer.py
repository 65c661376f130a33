"""Steps, limits, resume and rollback, on a real little model."""

import itertools
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gen.codec import IdArray, IdTable, Variation
from gen.config import CellName, ModelConfig, TrainingConfig
from gen.data.batches import Batches
from gen.data.split import Excerpt
from gen.data.stretches import Stretch, Stretches
from gen.errors import TrainingError
from gen.models.recurrent import RecurrentLM
from gen.runs.checkpoint import read_checkpoint, write_checkpoint
from gen.training.dropout import choose_dropout
from gen.training.trainer import MIN_CHANGE, Step, Trainer, TrainingPosition

V = 12
CONFIG = TrainingConfig(batch_size=4, bptt=8, learning_rate=0.01, warmup_steps=5, steps=60, patience=0)


def excerpt_of(ids: IdArray, stretches: list[Stretch]) -> Excerpt:
    return Excerpt(ids, Stretches(stretches), V - 2, V - 1)


def new_trainer(
    config: TrainingConfig = CONFIG, cell: CellName = "lstm", dropout: float = 0.2, hidden_size: int = 16
) -> Trainer:
    ids = np.random.default_rng(0).integers(0, V - 2, 700).astype(np.uint8)
    ids[1::2] = (ids[::2] + 1) % (V - 2)  # something to learn
    stretches = [Stretch(0, 300, 1, True), Stretch(300, 700, 2, True)]
    batches = Batches(
        excerpt_of(ids, stretches),
        batch_size=config.batch_size,
        bptt=config.bptt,
        reset_rate=config.reset_rate,
        seed=config.seed,
    )
    model_config = ModelConfig(V, cell, hidden_size, 2, 8, dropout=dropout, num_labels=2)
    return Trainer(RecurrentLM(model_config, torch.Generator().manual_seed(config.seed)), batches, config)


def one_document(vary: Variation, vary_plainly: Variation | None = None) -> Batches:
    return Batches(
        excerpt_of(np.arange(320, dtype=np.uint8) % (V - 2), [Stretch(0, 320, 0, True)]),
        batch_size=4,
        bptt=8,
        reset_rate=0.0,
        seed=0,
        vary=vary,
        vary_plainly=vary_plainly,
    )


def some_steps(trainer: Trainer, number: int) -> list[Step]:
    return list(itertools.islice(trainer.run(), number))


def reloaded(trainer: Trainer, folder: Path, fresh: Trainer) -> Trainer:
    tensors, position = trainer.state_dict()
    write_checkpoint(folder / "t.safetensors", "training", tensors, asdict(position))
    tensors, header = read_checkpoint(folder / "t.safetensors", "training")
    fresh.load_state_dict(tensors, TrainingPosition(**header))
    return fresh


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("first", [0, 1, 17, 50])
def test_resumed_run_equals_uninterrupted_run(tmp_path: Path, cell: CellName, first: int) -> None:
    straight = new_trainer(cell=cell)
    all_losses = [step.loss_nats for step in straight.run()]
    trainer = new_trainer(cell=cell)
    before = [step.loss_nats for step in some_steps(trainer, first)]

    resumed = reloaded(trainer, tmp_path, new_trainer(cell=cell))
    after = [step.loss_nats for step in resumed.run()]

    assert before + after == all_losses  # bit for bit: same device, same order
    assert all(torch.equal(a, b) for a, b in zip(straight.model.parameters(), resumed.model.parameters(), strict=True))


def test_training_learns_what_there_is_to_learn() -> None:
    ids = np.tile(np.arange(V - 2, dtype=np.uint8), 60)
    excerpt = excerpt_of(ids, [Stretch(0, 600, 0, False)])
    batches = Batches(excerpt, batch_size=4, bptt=8, reset_rate=0.05, seed=0)
    model = RecurrentLM(ModelConfig(V, "lstm", 16, 1, 8), torch.Generator().manual_seed(0))

    taken = [step.loss_nats for step in Trainer(model, batches, replace(CONFIG, steps=150)).run()]

    assert taken[0] > 0.9 * np.log(V)
    assert np.mean(taken[-20:]) < 0.2  # only what follows `begin` is left to chance


def test_run_stops_at_the_nearest_of_its_limits() -> None:
    by_steps = new_trainer(replace(CONFIG, steps=7, epochs=100.0))
    by_epochs = new_trainer(replace(CONFIG, steps=None, epochs=1.0))

    assert len(list(by_steps.run())) == 7
    assert by_epochs.progress() == 0.0
    list(by_epochs.run())
    assert by_epochs.epochs() == 1.0
    assert new_trainer(replace(CONFIG, steps=0)).progress() == 1.0


def test_epochs_that_begin_in_the_last_fifth_of_a_run_are_read_plainly() -> None:
    read: list[str] = []

    def noting(how: str) -> Variation:
        def vary(_ids: IdArray, _rng: np.random.Generator) -> IdTable:
            read.append(how)
            return IdTable(np.arange(V), is_varied=False)

        return vary

    batches = one_document(noting("varied"), noting("plainly"))
    model = RecurrentLM(ModelConfig(V, "lstm", 8, 1, 8), torch.Generator().manual_seed(0))
    trainer = Trainer(model, batches, replace(CONFIG, steps=None, epochs=10.0))
    before = 0
    epochs: dict[str, set[int]] = {"varied": set(), "plainly": set()}
    run = trainer.run()
    while trainer.progress() < 1.0:
        epoch = trainer.position.epoch
        next(run)
        for how in read[before:]:
            epochs[how].add(epoch)
        before = len(read)

    assert epochs == {"varied": set(range(8)), "plainly": {8, 9}}


@pytest.mark.parametrize("is_varied", [False, True])
def test_the_model_is_told_what_is_varied(is_varied: bool) -> None:
    batches = one_document(lambda _ids, _rng: IdTable(np.arange(V), is_varied))
    model = RecurrentLM(ModelConfig(V, "lstm", 8, 1, 8, has_variations=True), torch.Generator().manual_seed(0))
    before = model.variation_embedding.detach().clone()
    some_steps(Trainer(model, batches, CONFIG), 3)

    assert torch.equal(model.variation_embedding, before) != is_varied


def test_minutes_count_the_time_between_steps_too() -> None:
    times = iter(float(second) for second in range(0, 10_000, 10))

    def clock() -> float:
        return next(times)

    trainer = new_trainer(replace(CONFIG, steps=None, minutes=1.0))
    trainer = Trainer(trainer.model, trainer._batches, trainer.config, clock=clock)

    assert len(list(trainer.run())) == 6
    assert trainer.position.seconds == 60.0


def test_learning_rate_warms_up_and_ends_near_nought() -> None:
    rates = [step.learning_rate for step in new_trainer().run()]

    assert rates[0] == pytest.approx(0.01 / 5)
    assert max(rates) == pytest.approx(0.01, rel=0.05)
    assert rates[-1] < 0.01 * 0.002


def poisoned(trainer: Trainer, at: int) -> Iterator[Step]:
    """Runs the trainer and makes a weight infinite once, before step `at`."""
    is_clean = True
    for step in trainer.run():
        yield step
        if step.step == at and is_clean:
            is_clean = False
            with torch.no_grad():
                trainer.model.get_parameter("output.bias").fill_(float("nan"))


def test_a_loss_that_is_not_finite_goes_back_to_the_snapshot_with_half_the_rate() -> None:
    steps = list(poisoned(new_trainer(), at=30))

    remarks = [step for step in steps if step.remark]
    assert len(remarks) == 1
    assert "step 30: the loss is not finite; back to step 25" in str(remarks[0].remark)
    assert steps[-1].step == 60
    assert all(np.isfinite(step.loss_nats) for step in steps if not step.remark)
    after = next(step for step in steps[steps.index(remarks[0]) + 1 :])
    assert after.step == 26
    assert after.learning_rate < 0.006


def test_an_exploding_loss_is_rolled_back() -> None:
    steps = list(new_trainer(replace(CONFIG, learning_rate=100.0, warmup_steps=0, steps=200)).run())

    assert any("has risen to" in str(step.remark) for step in steps)
    assert steps[-1].step == 200


def test_a_run_that_only_diverges_ends_with_an_error() -> None:
    trainer = new_trainer()
    with torch.no_grad():
        trainer.model.get_parameter("output.bias").fill_(float("inf"))

    with pytest.raises(TrainingError, match="after 10 rollbacks"):
        list(trainer.run())


def test_gradient_is_clipped_by_its_global_norm() -> None:
    trainer = new_trainer(replace(CONFIG, clip_norm=1e-3, weight_decay=0.0))

    step = some_steps(trainer, 1)[0]
    norm = torch.stack([p.grad.norm() for p in trainer.model.parameters() if p.grad is not None]).norm()

    assert step.grad_norm > 1e-2
    assert float(norm) == pytest.approx(1e-3, rel=1e-3)


def timed_trainer(config: TrainingConfig, dropout: float = 0.0) -> Trainer:
    """Returns a trainer on a machine that takes an eighth of a second for a step, so 480 of them a minute."""
    looks = itertools.count()
    given = new_trainer(replace(config, steps=None, minutes=1.0), dropout=dropout, hidden_size=128)
    return Trainer(given.model, given._batches, given.config, clock=lambda: next(looks) / 8)


def suited_dropout(trainer: Trainer) -> float:
    """Returns the dropout that suits the readings that a run had."""
    return choose_dropout(trainer.epochs(), trainer.model.num_parameters(), is_varied=False)


FOLLOWING = replace(CONFIG, follows_speed=True)


def test_dropout_follows_the_readings_that_the_time_allows() -> None:
    trainer = timed_trainer(FOLLOWING)
    steps = list(trainer.run())

    remarks = [str(step.remark) for step in steps if step.remark]
    assert remarks
    assert remarks[-1].endswith(f"dropout is now {trainer.dropout():g}")
    assert trainer.dropout() == pytest.approx(suited_dropout(trainer), abs=MIN_CHANGE) != 0.0
    assert not any(step.is_rolled_back for step in steps)


def test_a_dropout_that_suits_the_readings_stays() -> None:
    straight = timed_trainer(CONFIG)
    list(straight.run())
    suited = suited_dropout(straight) - MIN_CHANGE / 2

    assert not any(step.remark for step in timed_trainer(FOLLOWING, dropout=suited).run())


def test_a_given_dropout_stays() -> None:
    trainer = timed_trainer(CONFIG)

    assert not any(step.remark for step in trainer.run())
    assert trainer.dropout() == 0.0


@pytest.mark.parametrize("first", [10, 100, 300])
def test_a_run_whose_dropout_has_changed_resumes_bit_for_bit(tmp_path: Path, first: int) -> None:
    straight = timed_trainer(FOLLOWING)
    all_losses = [step.loss_nats for step in straight.run()]
    trainer = timed_trainer(FOLLOWING)
    before = [step.loss_nats for step in some_steps(trainer, first)]

    resumed = reloaded(trainer, tmp_path, timed_trainer(FOLLOWING))
    after = [step.loss_nats for step in resumed.run()]

    assert straight.position.dropout is not None
    assert before + after == all_losses
    assert resumed.dropout() == straight.dropout()
