"""The device and the threads of a model."""

from collections.abc import Iterator

import pytest
import torch

from gen.kernels.stepping import has_step_kernel
from gen.models.device import FEW_ROWS, MANY_ROWS, limit_threads, sampling_device


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """Three threads before a test, and as many as there were after it."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("num_rows", "expected"), [(1, 1), (FEW_ROWS - 1, 1), (FEW_ROWS, 3)])
def test_few_rows_are_sampled_on_one_thread_of_torch(
    num_rows: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gen.models.device.has_step_kernel", lambda: False)
    limit_threads(num_rows)
    assert torch.get_num_threads() == expected


@pytest.mark.skipif(not has_step_kernel(), reason="no C compiler, or no kernels for this processor")
def test_the_kernels_choose_their_threads_themselves() -> None:
    limit_threads(1)
    assert torch.get_num_threads() == 3


@pytest.mark.parametrize(("num_rows", "expected"), [(1, "cpu"), (MANY_ROWS - 1, "cpu"), (MANY_ROWS, "auto")])
def test_few_rows_are_sampled_on_the_host_of_a_gpu(
    num_rows: int, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gen.models.device.has_step_kernel", lambda: True)
    assert sampling_device(num_rows) == expected


def test_a_precision_that_only_one_device_has_decides_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gen.models.device.has_step_kernel", lambda: True)
    assert sampling_device(MANY_ROWS, "int8") == "cpu"
    assert sampling_device(1, "fp16") == "auto"
    assert [sampling_device(num_rows, "fp32") for num_rows in (1, MANY_ROWS)] == ["cpu", "auto"]


def test_without_kernels_a_gpu_samples_a_single_row_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gen.models.device.has_step_kernel", lambda: False)
    assert sampling_device(1) == "auto"
