"""When a function becomes a graph, and what happens where it cannot; torch's CUDA is played by a stand-in.

That a real graph gives the same tokens is tested with the writer, on a machine that has CUDA.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import SimpleNamespace

import pytest
import torch

from gen.generation.cuda import graph as captured
from gen.generation.cuda.graph import NUM_WARM_UP_RUNS, Captured, replayed


class Cuda:
    """Streams that are one, and graphs that note their calls; `error` is raised at the end of a capture."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error
        self.events: list[str] = []
        self.CUDAGraph = lambda: SimpleNamespace(replay=lambda: self.events.append("replay"))

    def Stream(self, device: torch.device) -> SimpleNamespace:  # noqa: N802 - torch's name
        return SimpleNamespace(device=device, wait_stream=lambda _: self.events.append("wait"))

    def current_stream(self, device: torch.device) -> SimpleNamespace:
        return self.Stream(device)

    def stream(self, _: object) -> AbstractContextManager[None]:
        return nullcontext()

    @contextmanager
    def graph(self, _: object, **__: object) -> Iterator[None]:
        self.events.append("capture")
        yield
        if self.error is not None:
            raise self.error


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception | None], Cuda]:
    def stand_in(error: Exception | None) -> Cuda:
        cuda = Cuda(error)
        monkeypatch.setattr(captured, "torch", SimpleNamespace(cuda=cuda))
        monkeypatch.setattr(Captured, "can_capture", True)
        return cuda

    return stand_in


def counting(cuda: Cuda) -> Callable[[], int]:
    def run() -> int:
        cuda.events.append("run")
        return cuda.events.count("run")

    return run


def test_off_cuda_a_function_stays_as_it_is() -> None:
    run = counting(Cuda(None))
    assert replayed(run, torch.device("cpu")) is run


def test_a_function_is_captured_after_its_warm_up_and_then_replayed(
    play: Callable[[Exception | None], Cuda],
) -> None:
    cuda = play(None)
    run = replayed(counting(cuda), torch.device("cuda"))
    warm_up = ["wait", "run", "wait"] * NUM_WARM_UP_RUNS
    results = [run() for _ in range(NUM_WARM_UP_RUNS + 3)]
    assert cuda.events == [*warm_up, "capture", "run", "replay", "replay", "replay"]
    assert results[NUM_WARM_UP_RUNS:] == [NUM_WARM_UP_RUNS + 1] * 3  # what the captured run returned


@pytest.mark.parametrize("error", [RuntimeError("driver"), torch.OutOfMemoryError("memory")])
def test_where_a_capture_fails_all_goes_on_without_and_none_is_tried_again(
    error: Exception, play: Callable[[Exception | None], Cuda]
) -> None:
    cuda = play(error)
    run = replayed(counting(cuda), torch.device("cuda"))
    for _ in range(NUM_WARM_UP_RUNS + 3):
        run()
    other = replayed(counting(cuda), torch.device("cuda"))
    for _ in range(NUM_WARM_UP_RUNS + 3):
        other()
    assert cuda.events.count("capture") == 1
    assert "replay" not in cuda.events
    assert cuda.events.count("run") == 2 * (NUM_WARM_UP_RUNS + 3) + 1  # the captured one ran nothing on the device


def test_other_errors_of_the_function_are_not_hidden(play: Callable[[Exception | None], Cuda]) -> None:
    run = replayed(counting(play(KeyError("a bug"))), torch.device("cuda"))
    for _ in range(NUM_WARM_UP_RUNS):
        run()
    with pytest.raises(KeyError):
        run()
