"""The script of docs/library.md, run as it stands but for its budget."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import gen
from gen.music.views.sound import check_sound
from tests.conftest import REPOSITORY

BUDGET = "minutes=3"
TINY = "steps=2, hidden_size=8, num_layers=1, batch_size=4, bptt=16"
FIRST_BYTES = {"tune.mid": b"MThd", "tune.wav": b"RIFF", "tune.png": b"\x89PNG"}
NO_COMMAND_LINE = "\nimport sys\nassert not [name for name in sys.modules if name.startswith('gen.cli')]\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the script has run."""
    page = (REPOSITORY / "docs" / "library.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert script.count(BUDGET) == 1
    folder = tmp_path_factory.mktemp("library")
    program = script.replace(BUDGET, TINY) + NO_COMMAND_LINE
    subprocess.run([sys.executable, "-c", program], cwd=folder, check=True)
    return folder


@pytest.mark.parametrize("name", FIRST_BYTES)
def test_the_script_of_the_library_page_writes_its_files_without_the_command_line(folder: Path, name: str) -> None:
    if name.endswith(".png"):
        pytest.importorskip("matplotlib")
    if name.endswith(".wav"):
        try:
            check_sound(None)
        except gen.SettingError as err:
            pytest.skip(f"no sound on this machine: {err}")
    assert (folder / name).read_bytes().startswith(FIRST_BYTES[name])
