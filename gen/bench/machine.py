"""The description of this machine, and the peak of its memory use."""

import platform
import sys
from pathlib import Path
from typing import Any

import torch

from gen.corpus.workers import num_cpus
from gen.kernels.library import kernels, serving
from gen.runs.header import versions

try:
    import resource
except ImportError:  # Windows
    HAS_USAGE = False
else:
    HAS_USAGE = True


def machine(device: torch.device) -> dict[str, Any]:
    """Returns processor, cores, torch's threads, device, kernels and versions as JSON data."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    cpu = {"cpu": _cpu_name(), "cores": num_cpus(), "threads": torch.get_num_threads()}
    served = {"variant": kernels().variant, "kernels": serving()}
    return cpu | {"device": device.type, "device_name": name} | served | versions()


def peak_bytes() -> int | None:
    """Returns the peak of the memory of this process so far; None on Windows."""
    if not HAS_USAGE:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # bytes on macOS, KiB elsewhere


def peak_device_bytes(device: torch.device) -> int | None:
    """Returns the peak of the GPU memory of tensors so far; None for other devices than CUDA."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None


def _cpu_name() -> str:
    """Returns the name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
