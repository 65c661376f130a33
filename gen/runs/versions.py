"""The versions that a checkpoint was made with."""

import platform

import torch

from gen.version import __version__


def versions() -> dict[str, str]:
    """Returns the versions of gen, torch and Python."""
    return {"gen": __version__, "torch": str(torch.__version__), "python": platform.python_version()}
