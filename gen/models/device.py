"""The device that a model runs on, and the threads that it uses there."""

import torch

from gen.errors import SettingError
from gen.kernels.stepping import has_step_kernel

FEW_ROWS = 8  # below it one thread of torch is as fast as two, and does not wait for the other on a busy machine
# Rows sampled side by side from which on a GPU serves. A token of one row of 1x512 takes an H200 75 microseconds, and
# two cores of a Xeon 29; from how many rows on the GPU is faster is an estimate.
MANY_ROWS = 8


def choose_device(name: str) -> torch.device:
    """Returns the device for `auto`, `cpu`, `cuda` or `mps`. Raises SettingError if this machine lacks it."""
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if available[kind]))
    if name not in available:
        raise SettingError(f"--device: unknown ({name})", hint="choose one of auto, cpu, cuda, mps")
    if not available[name]:
        raise SettingError(f"--device: not on this machine ({name})", hint="--device auto takes the best there is")
    return torch.device(name)


def sampling_device(num_rows: int, precision: str | None = None) -> str:
    """Returns the name of the device on which so many rows are sampled fastest: few ones on the host of a GPU.

    A precision that is asked for decides first: int8 is for a CPU, fp16 for a GPU.
    """
    if precision in ("int8", "fp16"):
        return "cpu" if precision == "int8" else "auto"
    return "cpu" if num_rows < MANY_ROWS and has_step_kernel() else "auto"


def limit_threads(num_rows: int) -> None:
    """Makes torch use one thread from now on if fewer than `FEW_ROWS` rows are sampled side by side in its operations.

    The compiled kernels choose a number of threads by its speed (gen.kernels.choice).
    """
    if num_rows < FEW_ROWS and not has_step_kernel():
        torch.set_num_threads(1)
