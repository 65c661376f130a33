"""The device that a model runs on."""

import torch

from gen.errors import SettingError


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
