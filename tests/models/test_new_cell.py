"""A cell that is nothing but equations and an entry in CELLS is trained, sampled, guided and measured as the others."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import gen
from gen import config
from gen.config import ModelConfig, TrainingSettings
from gen.corpus.builtin import builtin_path
from gen.errors import SettingError
from gen.models.cells import CELLS, Cell, Memory, Products
from gen.models.recurrent import RecurrentLM
from gen.models.stepper import PackedStepper
from gen.runs.checkpoint import TRAINING_FILE, read_checkpoint
from gen.runs.opening import train_session
from gen.runs.options import CorpusOptions

SIZES: dict[str, Any] = {"hidden_size": 24, "num_layers": 2, "embedding_size": 8, "batch_size": 2, "bptt": 16}


def mgu_cell(x: torch.Tensor, memory: Memory, weights: Products) -> Memory:
    """Advances a minimal gated unit: f = sigma(W_f x + U_f h), n = tanh(W_n x + U_n (f * h)), h' = (1 - f) * h + f * n.

    Zhou et al. 2016; weights in the order f, n.
    """
    (h,) = memory
    x_f, x_n = weights.input_sums(x).chunk(2, dim=-1)
    f = torch.sigmoid(x_f + weights.recurrent_sums(h).chunk(2, dim=-1)[0])
    n = torch.tanh(x_n + weights.recurrent_sums(f * h).chunk(2, dim=-1)[1])
    return ((1 - f) * h + f * n,)


def janet_cell(x: torch.Tensor, memory: Memory, weights: Products) -> Memory:
    """Advances an LSTM that has a forget gate alone: h' = f * h + (1 - f) * g (van der Westhuizen & Lasenby 2018)."""
    (h,) = memory
    f, g = weights.sums(x, h).chunk(2, dim=-1)
    f = torch.sigmoid(f)
    return (f * h + (1 - f) * torch.tanh(g),)


NEW = {"mgu": Cell(mgu_cell, num_gates=2), "janet": Cell(janet_cell, num_gates=2, open_gate=0)}
each_cell = pytest.mark.parametrize("cell", NEW)


@pytest.fixture(autouse=True)
def entered(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, cell in NEW.items():
        monkeypatch.setitem(CELLS, name, cell)
    monkeypatch.setattr(config, "CELL_NAMES", (*config.CELL_NAMES, *NEW))


def new_model(cell: str, **sizes: Any) -> RecurrentLM:
    given = {"hidden_size": 24, "num_layers": 2, "embedding_size": 7} | sizes
    return RecurrentLM(ModelConfig(13, cell, **given), torch.Generator().manual_seed(0))


def text_file(folder: Path) -> Path:
    path = folder / "a.txt"
    path.write_text("to be or not to be, that is the question\n" * 60, encoding="utf-8")
    return path


@each_cell
@pytest.mark.parametrize("num_labels", [0, 2])
def test_stepping_equals_forward_and_a_row_has_the_same_bits_among_others(cell: str, num_labels: int) -> None:
    model = new_model(cell, num_labels=num_labels, is_tied=True)
    tokens, labels = torch.randint(0, 13, (9, 12)), torch.arange(9) % (num_labels + 1)
    with torch.no_grad():
        expected, _ = model(tokens, model.initial_state(labels))
    stepper = PackedStepper(model)

    def walked(rows: slice) -> torch.Tensor:
        state, outputs = stepper.initial_state(labels[rows]), []
        for column in tokens[rows].t():
            logits, state = stepper.step(column, state)
            outputs.append(logits)
        return torch.stack(outputs, dim=1)

    together = walked(slice(0, 9))
    torch.testing.assert_close(together, expected, rtol=0, atol=1e-5)
    assert torch.equal(walked(slice(4, 6)), together[4:6])


@each_cell
def test_its_matrices_start_orthogonal_and_its_open_gate_at_one(cell: str) -> None:
    for layer in new_model(cell).layers:
        gates = layer.get_parameter("weight_hh_l0").view(2, 24, 24)
        torch.testing.assert_close(gates @ gates.transpose(1, 2), torch.eye(24).expand(2, 24, 24), atol=1e-5, rtol=0)
        biases = layer.get_parameter("bias_ih_l0").view(2, 24)
        assert (biases[0] == float(cell == "janet")).all()
        assert not biases[1].any()


@each_cell
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_text_run_learns_and_is_sampled_and_measured(cell: str, precision: str, tmp_path: Path) -> None:
    settings = SIZES | {"cell": cell, "precision": precision, "seed": 1}
    fresh = gen.train(text_file(tmp_path), run="fresh", out=tmp_path, steps=0, **settings)
    gen.train(text_file(tmp_path), run="run", out=tmp_path, steps=60, warmup_steps=5, learning_rate=0.02, **settings)
    run = gen.load(tmp_path / "run", device="cpu")
    assert run.evaluate("valid").nats_per_token < fresh.evaluate("valid").nats_per_token - 0.5
    assert run.evaluate("valid", context=16).tokens > 0
    among_others = [item.token for item in run.generate("to be", length=30, seed=3, num_samples=5) if item.row == 0]
    assert among_others == [item.token for item in run.generate("to be", length=30, seed=3)]


@each_cell
def test_a_stopped_run_resumes_bit_for_bit(cell: str, tmp_path: Path) -> None:
    options = CorpusOptions((str(text_file(tmp_path)),))
    for name, stop in (("straight", 20), ("stopped", 7), ("stopped", 20)):
        settings = TrainingSettings(**SIZES | {"cell": cell, "steps": 20})
        with train_session(options, settings, run=name, out=tmp_path, resume=(tmp_path / name).exists()) as session:
            for report in session.reports():
                if report.step == stop:
                    session.stop()
    straight, stopped = (
        read_checkpoint(tmp_path / name / TRAINING_FILE, "training")[0] for name in ("straight", "stopped")
    )
    assert straight.keys() == stopped.keys()
    assert all(torch.equal(tensor, stopped[name]) for name, tensor in straight.items())


@each_cell
def test_another_run_starts_from_its_weights(cell: str, tmp_path: Path) -> None:
    corpus = text_file(tmp_path)
    first = gen.train(corpus, run="first", out=tmp_path, steps=3, cell=cell, **SIZES)
    second = gen.train(
        corpus, run="second", out=tmp_path, steps=0, from_run=str(tmp_path / "first"), batch_size=2, bptt=16
    )
    assert second.config == first.config
    weight = "layers.1.weight_hh_l0"
    assert torch.equal(second.model.get_parameter(weight), first.model.get_parameter(weight))


@each_cell
def test_its_int8_is_a_setting_error(cell: str) -> None:
    with pytest.raises(SettingError, match=r"^--precision: needs the compiled kernels \(int8\)$") as caught:
        PackedStepper(new_model(cell), "int8")
    assert caught.value.hint is not None


def test_a_music_run_is_guided_towards_its_controls(tmp_path: Path) -> None:
    chorales = builtin_path("chorales")
    assert chorales is not None
    (tmp_path / "music").mkdir()
    for name in ("bwv2.6.mid", "bwv3.6.mid", "bwv4.8.mid"):
        shutil.copy(chorales / name, tmp_path / "music" / name)
    run = gen.train(
        tmp_path / "music", run="m", out=tmp_path, steps=2, cell="mgu", codec="beat", controls=("density",), **SIZES
    )
    plain, guided = (
        [item.token for item in run.generate(length=40, seed=2, controls=controls)] for controls in ({}, {"density": 4})
    )
    assert plain != guided
