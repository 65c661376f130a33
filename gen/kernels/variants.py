"""The variants of the compiled kernels: each is the same C code for another set of instructions.

Nothing here needs torch: the build of a wheel imports it too.
"""

import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

CPU_FLAGS = Path("/proc/cpuinfo")  # Linux
MAC_FEATURES: Mapping[str, str] = MappingProxyType({"FEAT_DotProd": "asimddp", "FEAT_BF16": "bf16"})  # sysctl: Linux
MACHINES: Mapping[str, str] = MappingProxyType({"AMD64": "x86_64", "arm64": "aarch64"})  # other names of the same


class Variant(NamedTuple):
    """The kernels for one set of instructions."""

    name: str
    machine: str  # architecture, as `machine` returns it
    needs: frozenset[str]  # features of the processor, as Linux lists them
    flags: tuple[str, ...]  # of the compiler: what `needs` allows, and no more, so that any such processor can run it
    optional: tuple[str, ...] = ()  # flags that are left out if the compiler does not know them; used if the system can
    has_bf16: bool = False


AVX2 = ("avx2", "fma")
AVX512_VNNI = (*AVX2, "avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512_vnni")
AVX512 = (*AVX512_VNNI, "avx512_bf16")


def _flags_of(features: Iterable[str]) -> tuple[str, ...]:
    """Returns the compiler's flags for features of x86."""
    return tuple(f"-m{feature.replace('_', '')}" for feature in features)


VARIANTS = (  # the best of an architecture first
    Variant(
        "avx512",
        "x86_64",
        frozenset(AVX512),
        _flags_of(AVX512),
        optional=("-mamx-tile", "-mamx-bf16"),
        has_bf16=True,
    ),
    Variant("avx512-vnni", "x86_64", frozenset(AVX512_VNNI), _flags_of(AVX512_VNNI)),
    Variant("avx2", "x86_64", frozenset(AVX2), _flags_of(AVX2)),
    Variant(
        "neon-bf16",
        "aarch64",
        frozenset(("asimd", "asimddp", "bf16")),
        ("-march=armv8.2-a+dotprod+bf16",),
        has_bf16=True,
    ),
    Variant("neon-dotprod", "aarch64", frozenset(("asimd", "asimddp")), ("-march=armv8.2-a+dotprod",)),
    Variant("neon", "aarch64", frozenset(("asimd",)), ("-march=armv8-a",)),
)


def machine() -> str:
    """Returns the architecture of this machine by the name that Linux gives it."""
    name = platform.machine()
    return MACHINES.get(name, name)


def variants_of(architecture: str) -> tuple[Variant, ...]:
    """Returns the variants of an architecture, the best first."""
    return tuple(variant for variant in VARIANTS if variant.machine == architecture)


def usable_variants() -> tuple[Variant, ...]:
    """Returns the variants that this processor can run, the best first."""
    features = _features()
    return tuple(variant for variant in variants_of(machine()) if variant.needs <= features)


def _features() -> frozenset[str]:
    """Returns the features of this processor, by Linux's names; none on other systems than Linux and macOS on ARM."""
    if sys.platform == "darwin":
        return _features_of_mac() if machine() == "aarch64" else frozenset()
    try:
        with CPU_FLAGS.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:  # to the first processor only: a large machine takes long to list them all
                if line.startswith(("flags", "Features")):
                    return frozenset(line.partition(":")[2].split())
    except OSError:
        pass
    return frozenset()


def _features_of_mac() -> frozenset[str]:
    found = {"asimd"}  # every such processor has it
    for name, feature in MAC_FEATURES.items():
        command = ["/usr/sbin/sysctl", "-n", f"hw.optional.arm.{name}"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
        if done.stdout.strip() == "1":
            found.add(feature)
    return frozenset(found)
