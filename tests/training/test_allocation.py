"""What is freed stays with the process."""

import subprocess
import sys

import pytest

COUNT_PAGE_FAULTS = """
import resource
import sys

import torch

from gen.training.allocation import keep_freed_memory

if sys.argv[1] == "kept":
    keep_freed_memory()
for _ in range(3):
    [torch.ones(size) for size in (1 << 22, 100_000, 1 << 22, 100_000)]
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    [torch.ones(size) for size in (1 << 22, 100_000, 1 << 22, 100_000)]
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
PAGES = 20 * (32 << 20) // 4096  # of 20 times two tensors of 16 MiB


def num_page_faults(how: str) -> int:
    command = [sys.executable, "-c", COUNT_PAGE_FAULTS, how]
    return int(subprocess.run(command, capture_output=True, check=True).stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc")
def test_memory_that_was_freed_comes_back_without_page_faults() -> None:
    given_back = num_page_faults("given back")
    if given_back < PAGES // 2:
        pytest.skip("this system keeps it anyway")

    assert num_page_faults("kept") < given_back / 3
