"""What all tests share: a cache of their own, the shared corpora, and repeatable property tests."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

pytest_plugins = ("tests.browser",)

# Tiny matrices gain nothing from a second thread and lose much when tests run side by side. Inherited by the commands
# that tests start; torch reads it when it is first imported.
os.environ["OMP_NUM_THREADS"] = "1"

# A shell that runs something in the background has it ignore Ctrl-C, nohup has it ignore SIGHUP, and so would the
# commands that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

REPOSITORY = Path(__file__).parents[1]

# The machine may be busy, so no deadline; the same examples every time, so that a failure can be seen again.
settings.register_profile("gen", deadline=None, derandomize=True, database=None, max_examples=60)
settings.load_profile("gen")


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache for this session alone."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GEN_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The corpora beside the repository; a test that needs them is skipped where they are not."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the shared corpora, which are not at {folder}")
    return folder
