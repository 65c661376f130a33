"""The kernels on other processors than the best that this one can be: held to less here, or emulated."""

import hashlib
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import torch

from gen.config import ModelConfig, SamplingConfig
from gen.generation.generate import generate
from gen.kernels.compiling import find_compiler
from gen.kernels.variants import usable_variants
from gen.models.cells import CELLS
from gen.models.recurrent import RecurrentLM
from gen.models.stepper import PackedStepper, StepPrecision
from tests.kernels import emulation

ROOT = Path(__file__).parents[2]
FILES = {name: f"tests/kernels/test_{name}.py" for name in ("stepping", "window", "cross_entropy")}
STEPPER = "tests/models/test_stepper.py"
LESSER = [variant.name for variant in usable_variants()[1:]]
PROCESSORS = [*LESSER, *emulation.CPUS]
# The tests of each; of those that take minutes in the emulator, some. Dot products of bytes are in the digests.
TESTS = {name: [*FILES.values(), STEPPER] for name in LESSER} | {
    "neon": [*FILES.values(), STEPPER, "-k", "not (numpy or one_at_a_time or torch or threads or alone)"],
    "neon-bf16": [FILES["window"], FILES["cross_entropy"], "-k", "dtype1 and not threads"],
}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_compiler() is None or not usable_variants(), reason="NEEDS A C COMPILER"),
]


def environment(name: str, folder: Path) -> dict[str, str]:
    """Returns the environment of a process with a processor's kernels, which are built in the folder."""
    if name not in emulation.CPUS:
        return os.environ | {"GEN_KERNELS": name, "OMP_NUM_THREADS": "1"}
    if (what := emulation.missing()) is not None:
        pytest.skip(what)
    return os.environ | {"OMP_NUM_THREADS": "1", emulation.SWITCH: name, f"{emulation.SWITCH}_FOLDER": str(folder)}


def digest() -> str:
    """Returns a hash of the bits of logits and of samples, of all cells in float32 and int8."""
    found = hashlib.sha256()
    for cell in CELLS:
        config = ModelConfig(23, cell, hidden_size=40, num_layers=2, embedding_size=8, num_labels=2)
        model = RecurrentLM(config, torch.Generator().manual_seed(3))
        with torch.no_grad():
            model.output.weight.mul_(8)  # decided, as a trained model is
        precisions: tuple[StepPrecision, ...] = ("fp32", "int8")
        for precision in precisions:
            stepper = PackedStepper(model, precision)
            logits, _ = stepper.step(torch.arange(7), stepper.initial_state(torch.arange(7) % 3))
            found.update(logits.numpy().tobytes())
            drawn = generate(
                stepper,
                begin=21,
                end=22,
                length=100,
                num_samples=3,
                prompt=[3, 4],
                seed=5,
                label=1,
                sampling=SamplingConfig(0.8, 12, 0.95, 0.01, 1.2),
            )
            found.update(repr([(item.row, item.token) for item in drawn]).encode())
    return found.hexdigest()


def digest_in(variables: dict[str, str]) -> str:
    """Returns the digest of another process, with the emulator if the environment names a processor for it."""
    script = (
        "import os; from tests.kernels import emulation, test_processors; "
        "emulation.SWITCH in os.environ and emulation.pytest_configure(); print(test_processors.digest())"
    )
    command = [sys.executable, "-c", script]
    return subprocess.run(command, cwd=ROOT, env=variables, check=True, capture_output=True, text=True).stdout


@cache
def usual_digest() -> str:
    return digest_in(os.environ | {"OMP_NUM_THREADS": "1"})


@pytest.mark.parametrize("name", TESTS)
def test_the_tests_of_the_kernels_pass_on_another_processor(name: str, tmp_path: Path) -> None:
    plugin = ("-p", "tests.kernels.emulation") if name in emulation.CPUS else ()
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", *plugin, *TESTS[name]]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(name, tmp_path), check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", PROCESSORS)
def test_logits_and_samples_have_the_same_bits_on_another_processor(name: str, tmp_path: Path) -> None:
    assert digest_in(environment(name, tmp_path)) == usual_digest()
