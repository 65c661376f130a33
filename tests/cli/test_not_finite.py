"""A run whose weights are NaN: one line, exit code 2, and nothing measured."""

import shutil
from pathlib import Path

import pytest
import torch

from gen.runs.checkpoint import read_checkpoint, write_checkpoint
from tests.cli.conftest import Gen

COMMANDS = [
    *("probe FILE", "probe FILE --find", "probe FILE --out OUT", "probe FILE --knock 0:3", "probe FILE --gradient"),
    *("eval FILE", "eval FILE --show", "eval FILE --adapt", "eval FILE --out OUT", "sample --adapt FILE", "sample"),
]


@pytest.fixture(scope="module")
def broken_run(text_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of a run with a recurrent weight that is NaN."""
    folder = tmp_path_factory.mktemp("runs") / "broken"
    shutil.copytree(text_run, folder)
    path = folder / "model.safetensors"
    tensors, header = read_checkpoint(path, "model")
    tensors = {name: weights.clone() for name, weights in tensors.items()}
    recurrent = next(weights for name, weights in tensors.items() if "weight_hh" in name)
    recurrent[0, 0] = torch.nan
    write_checkpoint(path, "model", tensors, header)
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_measures_or_writes_with_weights_that_are_nan(
    gen: Gen, broken_run: Path, text_file: Path, tmp_path: Path, command: str
) -> None:
    name, *rest = command.split()
    page = tmp_path / "x.html"
    outcome = gen(name, broken_run, *({"FILE": text_file, "OUT": page}.get(word, word) for word in rest))
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.splitlines()[0] == "error: model: its logits are not finite (nan)"
    assert not page.exists()
