"""The library of compiled kernels: carried by a wheel, or compiled at first use and cached; loaded by ctypes.

It has variants, one for each set of instructions (variants.py), and the best that this processor can run serves. A
wheel that was built where there is a C compiler carries them. Elsewhere `cc`, or the compiler that $CC names, builds
one at first use. Its name in the cache is a hash of sources, flags and compiler, so machines may share a cache. Where
nothing can be built, `library()` is None and everything runs on torch's own operations: slower, with the same results
up to rounding. A failure is noted in the cache, and the compiler is not tried again for an hour.
"""

import ctypes
import hashlib
import os
import sys
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from gen.errors import SettingError
from gen.files.disk import cache_root, write_atomically
from gen.kernels import compiling
from gen.kernels.compiling import Compiler, CompilerError, compile_kernels, compiler_name, find_compiler
from gen.kernels.variants import VARIANTS, Variant, machine, usable_variants

SWITCH = "GEN_KERNELS"  # the name of a variant holds the kernels to it; with "off" none is built or loaded
OFF = "off"
CARRIED = compiling.FOLDER / "compiled"  # in a wheel
CHECKSUM = ".sha256"  # the suffix of the file beside a library in the cache
SECONDS_TO_REMEMBER = 3600.0  # a failure


class Kernels(NamedTuple):
    """The library that serves in this process, and why no other does."""

    library: ctypes.CDLL | None
    variant: str | None
    compiler: Compiler | None  # None for a library that a wheel carries
    reasons: tuple[str, ...]  # why no better variant serves, or none


class _UnavailableError(Exception):
    """A variant cannot be had here."""


def library() -> ctypes.CDLL | None:
    """Returns the kernels, compiled now if need be; None where there are none.

    Raises SettingError if GEN_KERNELS names a variant that does not exist, or that this processor cannot run.
    """
    return kernels().library


def built() -> ctypes.CDLL:
    """Returns the kernels where `library()` is known not to be None."""
    found = library()
    assert found is not None
    return found


def has_bf16() -> bool:
    """Tells whether this processor multiplies bf16, and GEN_KERNELS holds to no variant without it.

    Raises SettingError as `library` does.
    """
    return any(variant.has_bf16 for variant in _wanted())


def serving() -> str:
    """Returns what serves and why, such as "avx2, compiled at first use with cc 12.2.0". Errors as in `library`."""
    found = kernels()
    why = "; ".join(found.reasons)
    if found.variant is None:
        return f"torch's operations, since {why}"
    origin = "carried by the installed package"
    if found.compiler is not None:
        origin = f"compiled at first use with {found.compiler.version()}"
    return f"{found.variant}, {origin}" + (f" ({why})" if why else "")


@cache
def kernels() -> Kernels:
    """Returns the kernels that serve here, compiled now if need be. Errors as in `library`."""
    wanted, reasons = _wanted(), []
    if os.environ.get(SWITCH) == OFF:
        return Kernels(None, None, None, (f"{SWITCH} is {OFF}",))
    for variant in wanted:
        try:
            found, compiler = _loaded(variant)
        except _UnavailableError as err:
            reasons.append(str(err))
        else:
            return Kernels(found, variant.name, compiler, tuple(reasons))
    if not wanted:
        reasons.append(f"there are no kernels for this processor and system ({machine()}, {sys.platform})")
    return Kernels(None, None, None, tuple(dict.fromkeys(reasons)))


def _wanted() -> tuple[Variant, ...]:
    """Returns the variants that may serve, the best first."""
    usable, name = usable_variants(), os.environ.get(SWITCH, "")
    if name in ("", OFF):
        return usable
    choices = f"choose one of {', '.join([*(variant.name for variant in usable), OFF])}, or leave it unset"
    if name not in {variant.name for variant in VARIANTS}:
        raise SettingError(f"{SWITCH}: unknown ({name})", hint=choices)
    held = tuple(variant for variant in usable if variant.name == name)
    if not held:
        raise SettingError(f"{SWITCH}: not for this processor ({name})", hint=choices)
    return held


def _loaded(variant: Variant) -> tuple[ctypes.CDLL, Compiler | None]:
    """Returns the library of a variant, and the compiler that built it here."""
    with suppress(OSError):  # it is not carried, or was built for another system
        return ctypes.CDLL(str(CARRIED / f"{variant.name}.so")), None
    compiler = find_compiler()
    if compiler is None:
        raise _UnavailableError(f"no C compiler was found ({compiler_name()})")
    path = cache_root() / "kernels" / f"{variant.name}-{_key(compiler, variant)}.so"
    if _is_whole(path):
        with suppress(OSError):  # it was built for another system
            return ctypes.CDLL(str(path)), compiler
    record = path.with_suffix(".failed")
    if reason := _recorded(record):
        raise _UnavailableError(reason)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda target: compile_kernels(compiler, variant, target))
        write_atomically(path.with_suffix(CHECKSUM), lambda target: target.write_bytes(_checksum(path)))
    except CompilerError as err:
        raise _failure(record, f"the compiler failed: {err}") from err
    except (OSError, SettingError) as err:
        raise _UnavailableError(f"the cache cannot be written ({path.parent})") from err
    try:
        return ctypes.CDLL(str(path)), compiler
    except OSError as err:
        raise _failure(record, f"what the compiler made cannot be loaded: {err}") from err


def _key(compiler: Compiler, variant: Variant) -> str:
    sources = (source.read_text(encoding="utf-8") for source in compiling.SOURCES)
    described = [compiler.identity(), *compiling.FLAGS, *variant.flags, *variant.optional, *sources]
    return hashlib.sha256("\0".join(described).encode()).hexdigest()[:32]


def _is_whole(path: Path) -> bool:
    """Tells whether a library in the cache is as the compiler made it: loading a part of one ends the process."""
    try:
        return path.with_suffix(CHECKSUM).read_bytes() == _checksum(path)
    except OSError:
        return False


def _checksum(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).hexdigest().encode()


def _failure(record: Path, reason: str) -> _UnavailableError:
    """Notes a failure for later processes, and returns it."""
    with suppress(SettingError):
        write_atomically(record, lambda target: target.write_text(reason, encoding="utf-8"))
    return _UnavailableError(reason)


def _recorded(record: Path) -> str | None:
    """Returns the reason of a failure that is not long ago; None if there is none."""
    try:
        is_recent = 0 <= time.time() - record.stat().st_mtime < SECONDS_TO_REMEMBER
        return record.read_text(encoding="utf-8") if is_recent else None
    except OSError:
        return None
