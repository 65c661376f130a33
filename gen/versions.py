"""The versions that a checkpoint was made with."""

import platform
from importlib import metadata


def versions() -> dict[str, str]:
    """Returns the versions of gen, torch and Python."""
    return {"gen": metadata.version("gen-rnn"), "torch": metadata.version("torch"), "python": platform.python_version()}
