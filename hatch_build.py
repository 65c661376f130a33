"""Builds a wheel that carries the compiled kernels, where there is a C compiler; elsewhere one without.

The wheel has every variant of this machine's architecture, whatever this processor can run: where it is installed, the
best that the processor there can run is loaded. Libraries depend on no Python, so the tag names the platform alone. An
editable install compiles at first use, as do wheels that carry none.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import platform_tags


class KernelsHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds gen/kernels/compiled/VARIANT.so to a wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compiles the variants into a folder of its own, and names the files and the tag of the wheel."""
        if version == "editable":
            return
        self._folder = tempfile.TemporaryDirectory(prefix="gen-kernels-")
        for library in self._compiled(Path(self._folder.name)):
            build_data["force_include"][str(library)] = f"gen/kernels/compiled/{library.name}"
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{_platform()}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Removes the folder."""
        if version != "editable":
            self._folder.cleanup()

    def _compiled(self, folder: Path) -> list[Path]:
        """Returns the libraries of the variants that the compiler can build."""
        sys.path.insert(0, self.root)  # of these sources, whatever version is installed
        from gen.kernels.compiling import CompilerError, compile_kernels, find_compiler
        from gen.kernels.variants import machine, variants_of

        libraries: list[Path] = []
        if (compiler := find_compiler()) is None:
            return libraries
        for variant in variants_of(machine()):
            library = folder / f"{variant.name}.so"
            try:
                compile_kernels(compiler, variant, library)
            except CompilerError as err:
                self.app.display_warning(f"gen's kernels: {variant.name} is left out, since the compiler failed: {err}")
            else:
                libraries.append(library)
        return libraries


def _platform() -> str:
    """Returns the tag of this machine's platform; one for many Linuxes would promise what nobody has checked."""
    return next(tag for tag in platform_tags() if "manylinux" not in tag and "musllinux" not in tag)
