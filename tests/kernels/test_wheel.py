"""A wheel with compiled kernels: built as pip builds it, installed, and used where there is no compiler."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from gen.kernels.compiling import find_compiler
from gen.kernels.variants import machine, usable_variants, variants_of
from tests.conftest import REPOSITORY

pytest.importorskip("hatchling")
needs_compiler = pytest.mark.skipif(
    not usable_variants() or find_compiler() is None, reason="no C compiler, or no kernels for this processor"
)


def built(kind: str, folder: Path, **variables: str) -> Path:
    """Returns a package of these sources."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(folder)]
    subprocess.run(command, check=True, cwd=REPOSITORY, env=os.environ | variables, capture_output=True)
    (package,) = folder.iterdir()
    return package


@needs_compiler
def test_a_wheel_carries_kernels_that_serve_without_a_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GEN_KERNELS", raising=False)
    wheel = built("wheel", tmp_path / "wheel")
    assert "-py3-none-" in wheel.name
    assert not wheel.name.endswith("-any.whl")
    carried = {Path(name).stem for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".so")}
    assert carried == {variant.name for variant in variants_of(machine())}
    place = tmp_path / "installed"
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet", "--target", str(place)]
    subprocess.run([*install, str(wheel)], check=True)
    environment = os.environ | {"PYTHONPATH": str(place), "PATH": str(tmp_path), "GEN_CACHE": str(tmp_path / "cache")}
    code = "import gen; from gen.kernels.library import serving; print(gen.__file__); print(serving())"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.stdout.splitlines() == [
        str(place / "gen" / "__init__.py"),
        f"{usable_variants()[0].name}, carried by the installed package",
    ]
    assert not (tmp_path / "cache").exists()


def test_without_a_compiler_the_wheel_is_for_every_platform(tmp_path: Path) -> None:
    wheel = built("wheel", tmp_path, CC="no-such-compiler")
    assert wheel.name.endswith("-py3-none-any.whl")
    assert not [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".so")]


def test_a_source_package_can_build_the_wheel(tmp_path: Path) -> None:
    with tarfile.open(built("sdist", tmp_path)) as package:
        assert "hatch_build.py" in {Path(name).name for name in package.getnames()}
