"""Training has the same bits on any number of threads, on a busy machine, and resumed on another number of threads.

Each part of a run is a process of its own, started with OMP_NUM_THREADS as a user would.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gen.kernels.library import library

pytestmark = pytest.mark.skipif(library() is None, reason="NEEDS A C COMPILER: torch's own threads round differently")

STEPS = 6
SCRIPT = """
import hashlib, sys
import numpy as np, torch
from gen.config import ModelConfig, TrainingConfig
from gen.data.batches import Batches
from gen.data.split import Excerpt
from gen.data.stretches import Stretch, Stretches
from gen.models.recurrent import RecurrentLM
from gen.training.trainer import Trainer

def trained(cell, precision, first, stop, folder):
    ids = np.random.default_rng(0).integers(0, 40, 4096, dtype=np.uint8)
    excerpt = Excerpt(ids, Stretches([Stretch(0, len(ids), 0, is_closed=False)]), 40, 41)
    config = TrainingConfig(batch_size=40, bptt=24, precision=precision, steps=1000, matrix_share=10.0)
    batches = Batches(excerpt, batch_size=40, bptt=24, reset_rate=0.05, seed=0)
    model = RecurrentLM(ModelConfig(42, cell, 64, 2, 32, dropout=0.2), torch.Generator().manual_seed(0))
    trainer = Trainer(model, batches, config)
    if first:
        trainer.load_state_dict(*torch.load(f"{folder}/{cell}-{precision}", weights_only=False))
    for _, step in zip(range(stop - first), trainer.run()):
        pass
    torch.save(trainer.state_dict(), f"{folder}/{cell}-{precision}")
    return hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in model.parameters())).hexdigest()

first, stop, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
for cell, precision in (("lstm", "fp32"), ("lstm", "bf16"), ("gru", "fp32"), ("gru", "bf16"), ("rnn", "fp32")):
    print(cell, precision, trained(cell, precision, first, stop, folder))
"""


@contextmanager
def busy(num_programs: int) -> Iterator[None]:
    """Other programs that compute all the time."""
    programs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(num_programs)]
    try:
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


def weights(folder: Path, threads: int, first: int = 0, stop: int = STEPS) -> str:
    """Trains from step `first` to `stop` in another process; returns the hash of each model's weights."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-c", SCRIPT, str(first), str(stop), str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout


@pytest.fixture(scope="module")
def on_one_thread(tmp_path_factory: pytest.TempPathFactory) -> str:
    return weights(tmp_path_factory.mktemp("one"), 1)


@pytest.mark.parametrize("threads", [2, 3])
def test_more_threads_give_the_same_weights(threads: int, on_one_thread: str, tmp_path: Path) -> None:
    assert weights(tmp_path, threads) == on_one_thread


def test_other_programs_change_no_weight(on_one_thread: str, tmp_path: Path) -> None:
    with busy(2):
        assert weights(tmp_path, 2) == on_one_thread


def test_a_run_resumed_on_another_number_of_threads_has_the_same_weights(on_one_thread: str, tmp_path: Path) -> None:
    weights(tmp_path, 3, stop=STEPS // 2)
    assert weights(tmp_path, 2, first=STEPS // 2) == on_one_thread
