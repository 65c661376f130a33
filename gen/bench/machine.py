"""Which machine the figures belong to, and how much of its memory was taken."""

import os
import platform
import sys
from pathlib import Path
from typing import Any

import torch

from gen.kernels.library import library
from gen.runs.header import versions

try:
    import resource
except ImportError:  # Windows
    HAS_USAGE = False
else:
    HAS_USAGE = True


def machine(device: torch.device) -> dict[str, Any]:
    """Returns processor, cores, torch's threads, device and versions as JSON data."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    facts = {"cpu": _cpu_name(), "cores": _num_cores(), "threads": torch.get_num_threads()}
    return facts | {"device": device.type, "device_name": name, "has_kernels": library() is not None} | versions()


def peak_bytes() -> int | None:
    """Returns the most memory that this process has held so far; None where the system does not tell."""
    if not HAS_USAGE:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024  # bytes on macOS, KiB elsewhere


def peak_device_bytes(device: torch.device) -> int | None:
    """Returns the most memory of a GPU that tensors have held so far; None where it is not counted."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None


def _cpu_name() -> str:
    """Returns the processor's name as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _num_cores() -> int:
    """Returns how many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1
