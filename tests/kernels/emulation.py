"""The kernels of 64-bit ARM processors, cross-compiled and run in an emulator, as the library of this process.

A host library has their functions, and passes each call to Python; the guest (guest.c) runs it in qemu on copies of the
memory that the arguments point to. As a plugin of pytest this module does so for the variant that EMULATED names.
"""

import ctypes
import gc
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from gen.kernels import cross_entropy, drawing, library, stepping, window
from gen.kernels.compiling import FOLDER, Compiler, compile_kernels
from gen.kernels.variants import VARIANTS

SWITCH = "EMULATED"
CROSS, QEMU, ROOT = "aarch64-linux-gnu-gcc", "qemu-aarch64", "/usr/aarch64-linux-gnu"
CPUS = {
    "neon": "cortex-a57",
    "neon-dotprod": "neoverse-n1",
    "neon-bf16": "max",
}  # a57 has neither dot products nor bf16
NUM_ARGUMENTS = 5
STRUCTURES: dict[str, tuple[type[ctypes.Structure], ...]] = {
    "gen_lanes": (),
    "gen_byte_offset": (),
    "gen_step_size": (),
    "gen_draw_size": (),
    "gen_window_size": (),
    "gen_step_run": (stepping.Step,),
    "gen_draw_run": (drawing._Draw,),
    "gen_sample_run": (stepping.Step, drawing._Draw),
}
OF_TRAINING = {
    "gen_window_pack_forward": window._Weights,
    "gen_window_pack_backward": window._Turned,
    "gen_window_forward": window._ForwardPass,
    "gen_window_backward": window._BackwardPass,
    "gen_cross_entropy": cross_entropy._Rows,
}
Region = tuple[int, int]  # address, size
_KEPT: list[object] = []  # what the host library points to


def missing() -> str | None:
    """Returns what this machine lacks, or None."""
    lacking = [name for name in ("cc", CROSS, QEMU) if shutil.which(name) is None]
    return f"NEEDS {' AND '.join(lacking)}" if lacking else None


def install(name: str, folder: Path) -> None:
    """Makes a variant's kernels those of this process; builds them in the folder."""
    (variant,) = (variant for variant in VARIANTS if variant.name == name)
    functions = STRUCTURES | {
        f"{function}_{suffix}": (structure,)
        for function, structure in OF_TRAINING.items()
        for suffix in (("fp32", "bf16") if variant.has_bf16 else ("fp32",))
    }
    cross = shutil.which(CROSS)
    assert cross is not None
    compile_kernels(Compiler((CROSS,), Path(cross)), variant, folder / "kernels.so")
    _run(CROSS, "-O1", "-o", folder / "guest", Path(__file__).with_name("guest.c"), "-ldl")
    guest = subprocess.Popen(
        [QEMU, "-cpu", CPUS[name], "-L", ROOT, folder / "guest", folder / "kernels.so"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    host = _host(tuple(functions), folder)

    def forward(index: int, arguments: "ctypes._Pointer[ctypes.c_int64]") -> int:
        function, kinds = list(functions.items())[index]
        return _call(guest, function, arguments[:NUM_ARGUMENTS], kinds)

    callback = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.POINTER(ctypes.c_int64))(forward)
    ctypes.c_void_p.in_dll(host, "forward").value = ctypes.cast(callback, ctypes.c_void_p).value
    _KEPT.extend((callback, guest))
    found = library.Kernels(host, name, None, ())
    library.kernels = lambda: found  # type: ignore[assignment]
    gc.collect()
    gc.freeze()  # so that `_tensors` looks through few objects


def _host(functions: tuple[str, ...], folder: Path) -> ctypes.CDLL:
    """Returns a library for this processor with these functions, and with the pool, which Python calls too."""
    names = [f"a{n}" for n in range(NUM_ARGUMENTS)]
    lines = ["#include <stdint.h>", "int64_t (*forward)(int64_t function, int64_t *arguments);"]
    for index, function in enumerate(functions):
        given = ", ".join(f"int64_t {name}" for name in names)
        lines += [f"int64_t {function}({given})"]
        lines += [f"{{ return forward({index}, (int64_t[]){{{', '.join(names)}}}); }}"]
    (folder / "host.c").write_text("\n".join([*lines, ""]), encoding="utf-8")
    _run("cc", "-O1", "-fPIC", "-shared", "-pthread", "-o", folder / "host.so", folder / "host.c", FOLDER / "pool.c")
    return ctypes.CDLL(str(folder / "host.so"))


def _run(*command: object) -> None:
    subprocess.run([str(part) for part in command], check=True)


def _call(
    guest: "subprocess.Popen[bytes]", function: str, arguments: list[int], kinds: tuple[type[ctypes.Structure], ...]
) -> int:
    roots = [kind.from_address(argument) for kind, argument in zip(kinds, arguments, strict=False)]
    structures = [region for root in roots for region in _structures(root)]
    words = np.frombuffer(b"".join(ctypes.string_at(*region) for region in structures), dtype=np.uint64)
    arrays = sorted({*_tensors(), *_of_numpy(function, roots, arguments)})
    arrays = [(at, size) for at, size in arrays if ((words >= at) & (words < at + size)).any()]
    regions = [*((*region, 1) for region in structures), *((*region, 0) for region in arrays)]
    assert guest.stdin is not None
    assert guest.stdout is not None
    guest.stdin.write(struct.pack(f"64s{NUM_ARGUMENTS}qQ", function.encode(), *arguments, len(regions)))
    for address, size, is_structure in regions:
        guest.stdin.write(struct.pack("4Q", address, size, is_structure, 0) + ctypes.string_at(address, size))
    guest.stdin.flush()
    (result,) = struct.unpack("q", guest.stdout.read(8))
    for address, size, _ in regions:
        ctypes.memmove(address, guest.stdout.read(size), size)
    return int(result)


def _structures(of: ctypes.Structure, count: int = 1) -> Iterator[Region]:
    """Yields an array of structures that begins with this one, and the structures that they point to."""
    yield ctypes.addressof(of), count * ctypes.sizeof(of)
    for name, kind, *_ in of._fields_:
        if issubclass(kind, ctypes._Pointer):  # those that are pointed to point to no others
            yield from _structures(getattr(of, name)[0], of.L if name == "layers" else 1)


def _tensors() -> Iterator[Region]:
    """Yields the memory of all tensors."""
    for item in gc.get_objects():
        if issubclass(type(item), torch.Tensor) and item.device.type == "cpu" and item.layout == torch.strided:
            storage = item.untyped_storage()
            if storage.nbytes():
                yield storage.data_ptr(), storage.nbytes()


def _of_numpy(function: str, roots: list[ctypes.Structure], arguments: list[int]) -> Iterator[Region]:
    """Yields the arrays of the draws, which numpy allocates; tensors among them are yielded once more."""
    if function not in ("gen_draw_run", "gen_sample_run"):
        return
    draw, filters = roots[-1], roots[-1].filters[0]
    count = arguments[2] if function == "gen_sample_run" else 1
    sizes = {
        "allowed": draw.B * filters.V,
        "uniforms": count * draw.B * 8,
        "recent": filters.window * draw.B * 8,
        "counts": draw.B * filters.V * 2,
        "tokens": count * draw.B * 8,
        "surprises": count * draw.B * 8,
        "room": torch.get_num_threads() * 3 * filters.V * 8,
    }
    yield from ((getattr(draw, name), size) for name, size in sizes.items() if getattr(draw, name) and size)
    if filters.num_banned:
        yield filters.banned, filters.num_banned * 8
    if function == "gen_sample_run":
        yield roots[0].tokens, draw.B * 8


def pytest_configure() -> None:
    """Installs the variant that the environment names, in a folder that the environment names too."""
    install(os.environ[SWITCH], Path(os.environ[f"{SWITCH}_FOLDER"]))
