"""Work in stages: a program in C, since Python has no function for it."""

import subprocess
from pathlib import Path

import pytest

from gen.kernels.compiling import FOLDER, find_compiler
from gen.kernels.variants import usable_variants


@pytest.mark.skipif(find_compiler() is None or not usable_variants(), reason="NEEDS A C COMPILER")
def test_each_piece_of_a_stage_is_done_once_and_before_the_next_stage(tmp_path: Path) -> None:
    compiler, program = find_compiler(), tmp_path / "check"
    assert compiler is not None
    sources = (Path(__file__).with_name("stages_check.c"), FOLDER / "stages.c", FOLDER / "pool.c")
    flags = ("-std=gnu11", "-O2", "-pthread", "-I", FOLDER, "-o", program)
    subprocess.run([*compiler.command, *map(str, (*flags, *sources))], check=True)
    done = subprocess.run([program], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
