"""A function of fixed tensors that is run again and again: on CUDA it becomes a graph, and is replayed.

A token of an LSTM of one layer is 33 operations, 57 with all filters, and each costs the host a few microseconds to
launch, more than a small one costs a GPU. A CUDA graph launches them all at once. Its rules are those of torch's notes
on CUDA semantics: the function reads and writes the same memory every time and asks nothing of the host; it has been
run before on the side stream that captures, so that cuBLAS has its handle and its workspace; what a replay returns is
overwritten by the next.

Replaying needs CUDA; elsewhere the function is simply called. The results are the same: a graph holds the very kernels.
"""

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import torch

NUM_WARM_UP_RUNS = 3  # torch's own number; and a capture pays when there are more runs than these

Result = TypeVar("Result")
_ONE_AT_A_TIME = threading.Lock()  # torch: within a process only one capture may be underway


def replayed(function: Callable[[], Result], device: torch.device) -> Callable[[], Result]:
    """Returns what does as the function does, sooner where the device has graphs.

    Args:
        function: writes to no tensor that lives on after it, but for those that it returns anew every time.
        device: of all its tensors.

    A result holds until the next call.
    """
    return Captured(function, device) if device.type == "cuda" else function


class Captured(Generic[Result]):
    """Runs a function of CUDA tensors, at first as it stands, then as a graph."""

    # A capture that fails leaves torch's allocator as it happens to be (CUDAGraph::reset says so), and would fail again
    # on an old driver: then there are no more captures in this process, and all runs as it stands.
    can_capture = True

    def __init__(self, function: Callable[[], Result], device: torch.device) -> None:
        self._function = function
        cuda: Any = torch.cuda  # whose Stream has no types
        self._stream: torch.cuda.Stream = cuda.Stream(device)
        self._num_runs = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._result: Result | None = None

    @property
    def is_graph(self) -> bool:
        """Whether runs are replays by now."""
        return self._graph is not None

    def __call__(self) -> Result:
        """Runs the function on the current stream's inputs, for use on the current stream."""
        if self._graph is None and self._num_runs >= NUM_WARM_UP_RUNS and Captured.can_capture:
            self._capture()
        if self._graph is None or self._result is None:
            self._num_runs += 1
            return self._run_aside()
        self._graph.replay()
        return self._result

    def _run_aside(self) -> Result:
        """Runs it on the stream that will capture. Each waits for the other, so no memory is taken back too soon."""
        current = torch.cuda.current_stream(self._stream.device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            result = self._function()
        current.wait_stream(self._stream)
        return result

    def _capture(self) -> None:
        """Records the function without running it; on a RuntimeError (driver, memory) there is no graph."""
        try:
            graph = torch.cuda.CUDAGraph()
            # The outer stream context sets the stream back even where the inner one fails on its way out. Other threads
            # may go on using CUDA: "thread_local" neither fails for what they do nor makes them fail.
            recording = torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local")
            with _ONE_AT_A_TIME, torch.cuda.stream(self._stream), recording:
                result = self._function()
        except RuntimeError:
            Captured.can_capture = False
        else:
            self._graph, self._result = graph, result
