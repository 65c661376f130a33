"""Compiles the C files of this folder into a shared library.

Nothing here needs torch: the build of a wheel imports it too.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from gen.kernels.variants import Variant

FOLDER = Path(__file__).parent
SOURCES = tuple(sorted(FOLDER.glob("*.[ch]")))
FLAGS = (
    "-std=gnu11",
    "-O3",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=off",
    "-Werror=implicit-function-declaration",
    "-pthread",
    "-fPIC",
    "-shared",
)
SECONDS_TO_BUILD = 120
MAC_SHIM = "/usr/bin/cc"  # without Apple's tools it opens a window that offers to install them


class CompilerError(Exception):
    """The compiler failed: its first error, or that it took too long."""


class Compiler(NamedTuple):
    """A C compiler."""

    command: tuple[str, ...]
    program: Path

    def version(self) -> str:
        """Returns the name and the version as it tells them, such as "cc 12.2.0"."""
        command = [*self.command, "--version"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
        number = re.search(r"\d+\.\d+(\.\d+)?", done.stdout)
        return f"{self.program.name} {number[0]}" if number else self.program.name

    def identity(self) -> str:
        """Returns words that change when the compiler is replaced, without running it."""
        target = self.program.resolve()
        stat = target.stat()
        return shlex.join([*self.command, str(target), str(stat.st_size), str(stat.st_mtime_ns)])


def compiler_name() -> str:
    """Returns the command of the C compiler: $CC, else `cc`."""
    return os.environ.get("CC") or "cc"


def find_compiler() -> Compiler | None:
    """Returns the C compiler; None if there is none, or on Windows."""
    try:
        command = tuple(shlex.split(compiler_name()))
    except ValueError:  # an open quotation mark
        return None
    program = shutil.which(command[0]) if command and sys.platform != "win32" else None
    if program is None or (sys.platform == "darwin" and program == MAC_SHIM and not _has_mac_tools()):
        return None
    path = Path(program).absolute()  # it runs in the folder of the sources
    return Compiler((str(path), *command[1:]), path)


def compile_kernels(compiler: Compiler, variant: Variant, target: Path) -> None:
    """Writes the library of a variant; raises CompilerError."""
    try:
        _compile(compiler, (*variant.flags, *variant.optional), target)
    except CompilerError:
        if not variant.optional:
            raise
        _compile(compiler, variant.flags, target)


def _compile(compiler: Compiler, flags: tuple[str, ...], target: Path) -> None:
    sources = [source.name for source in SOURCES if source.suffix == ".c"]
    command = [*compiler.command, *FLAGS, *flags, "-o", str(target.resolve()), *sources, "-lm"]
    environment = os.environ | {"LC_ALL": "C"}
    try:
        done = subprocess.run(  # noqa: S603
            command,
            cwd=FOLDER,
            env=environment,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS_TO_BUILD,
        )
    except subprocess.TimeoutExpired as err:
        raise CompilerError(f"it took more than {SECONDS_TO_BUILD} s") from err
    except OSError as err:
        raise CompilerError(f"it cannot be run ({err.strerror})") from err
    if done.returncode:
        raise CompilerError(_first_error(done.stderr.decode(errors="replace")) or f"exit status {done.returncode}")


def _first_error(text: str) -> str:
    """Returns the first line that names an error, else the first line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line), lines[0] if lines else "")


def _has_mac_tools() -> bool:
    command = ["/usr/bin/xcode-select", "-p"]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0  # noqa: S603
