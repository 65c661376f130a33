"""The library of compiled kernels: built from the C files of this folder at first use, cached, loaded by ctypes.

It needs a C compiler (`cc`, or the one that $CC names) and a processor with AVX-512 for bf16. Elsewhere, and on
Windows, `library()` is None and everything runs on torch's own kernels: slower, with the same results up to rounding.
The library is compiled for this very processor, so its name in the cache contains a hash of sources, compiler and
processor. It shares torch's OpenMP and so its threads: two pools would compete for the same cores.
"""

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import torch

from gen.errors import SettingError
from gen.files import cache_root, write_atomically

SOURCES = tuple(sorted(Path(__file__).parent.glob("*.[ch]")))
FLAGS = (
    "-std=gnu11",
    "-O3",
    "-march=native",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=off",
    "-fopenmp",
    "-fPIC",
    "-shared",
)
SECONDS_TO_BUILD = 120
SWITCH = "GEN_KERNELS"  # set to "off", nothing is built or loaded


@cache
def library() -> ctypes.CDLL | None:
    """Returns the kernels; None without a compiler, on another processor, or if they are switched off."""
    compiler = _compiler() if sys.platform != "win32" else None  # its OpenMP there would be a second one
    if compiler is None or os.environ.get(SWITCH) == "off" or not torch.cpu._is_avx512_bf16_supported():
        return None
    path = cache_root() / "kernels" / f"{_key(compiler)}.so"
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, lambda target: _build(compiler, target))
        return ctypes.CDLL(str(path))
    except (OSError, SettingError, subprocess.SubprocessError):
        return None


def built() -> ctypes.CDLL:
    """Returns the kernels where `library()` is known not to be None."""
    kernels = library()
    assert kernels is not None
    return kernels


def _compiler() -> tuple[str, ...] | None:
    """Returns the command of the C compiler, or None if there is none."""
    command = shlex.split(os.environ.get("CC", "cc"))
    return tuple(command) if command and shutil.which(command[0]) else None


def _build(compiler: tuple[str, ...], target: Path) -> None:
    sources = [str(source) for source in SOURCES if source.suffix == ".c"]
    command = [*compiler, *FLAGS, "-o", str(target), *sources, "-lm"]
    subprocess.run(command, check=True, capture_output=True, timeout=SECONDS_TO_BUILD)  # noqa: S603


def _key(compiler: tuple[str, ...]) -> str:
    described = [
        *compiler,
        *FLAGS,
        platform.machine(),
        _processor(),
        *(source.read_text(encoding="utf-8") for source in SOURCES),
    ]
    return hashlib.sha256("\0".join(described).encode()).hexdigest()[:32]


def _processor() -> str:
    """Returns the name and the features of this processor, as the system lists them."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return "\n".join(sorted({line for line in lines if line.startswith(("flags", "model name", "Features"))}))
