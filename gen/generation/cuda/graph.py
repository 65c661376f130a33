"""A function of fixed tensors that runs many times: on CUDA it is captured as a graph and replayed.

A token of an LSTM of one layer takes 23 operations in fp16, 38 with all filters. To launch one costs the host a few
microseconds, more than a small one costs a GPU; a CUDA graph launches all at once. The rules are those of torch's notes
on CUDA semantics: the function reads and writes the same memory every time and waits for nothing on the host; it has
run before on the side stream that captures, so that cuBLAS has its handle and its workspace there; the next replay
overwrites the result.

Replaying needs CUDA; elsewhere the function is called. The results are the same: a graph holds the same kernels.
"""

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import torch

NUM_WARM_UP_RUNS = 3  # torch's own number; and a capture pays when there are more runs than these

Result = TypeVar("Result")
_ONE_AT_A_TIME = threading.Lock()  # torch: within a process only one capture may be underway


def replayed(function: Callable[[], Result], device: torch.device) -> Callable[[], Result]:
    """Returns a function with the same results that replays a graph where the device has graphs.

    Args:
        function: writes to no tensor but those that it creates.
        device: of all its tensors.

    A result is valid until the next call.
    """
    return Captured(function, device) if device.type == "cuda" else function


class Captured(Generic[Result]):
    """A function of CUDA tensors: its first calls run its operations one by one, later calls replay a graph."""

    # A failed capture leaves torch's allocator in an undefined state (CUDAGraph::reset says so), and would fail again
    # on an old driver. So after one failure this process captures no more and runs all operations one by one.
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
        """True once calls replay a captured graph."""
        return self._graph is not None

    def __call__(self) -> Result:
        """Runs the function after the work of the current stream; the result may be used on the current stream."""
        if self._graph is None and self._num_runs >= NUM_WARM_UP_RUNS and Captured.can_capture:
            self._capture()
        if self._graph is None or self._result is None:
            self._num_runs += 1
            return self._run_aside()
        self._graph.replay()
        return self._result

    def _run_aside(self) -> Result:
        """Runs the function on the stream that will capture; the streams wait for each other."""
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
            # The outer stream context restores the stream even if the inner one fails when it exits. Other threads may
            # use CUDA meanwhile: with "thread_local" they neither make the capture fail nor fail because of it.
            recording = torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local")
            with _ONE_AT_A_TIME, torch.cuda.stream(self._stream), recording:
                result = self._function()
        except RuntimeError:
            Captured.can_capture = False
        else:
            self._graph, self._result = graph, result
