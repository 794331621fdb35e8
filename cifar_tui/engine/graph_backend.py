"""Capturing work once and launching it many times: the interface, CUDA graphs, and no capture at all.

Most tests run what is above it with a stand-in that records every operation; those of `test_cuda_here` run it
on a GPU where there is one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch

Work = Callable[[], None]


class GraphBackend(Protocol):
    """Captures functions whose work is on tensors alone.

    A captured function runs with the numbers and the memory addresses that it had when it was captured:
    what is to change from launch to launch must lie in tensors that stay where they are. It must not read a
    tensor on the host.
    """

    def warm_up(self, work: Work, times: int) -> None:
        """Run `work` so often, where it will be captured, so that libraries make their plans; then wait."""
        ...

    def capture(self, work: Work) -> Work:
        """A function that does again what `work` does.

        Raises:
            RuntimeError: it cannot be captured.
        """
        ...

    def wait(self) -> None:
        """Return once all launched work is done."""
        ...


class CudaGraphs:
    """CUDA graphs of one device, captured by hand; all of them share one pool of memory.

    Sharing is safe since no graph leaves anything in the pool that another launch reads. The capture mode is
    "thread_local": in the default mode an allocation by any other thread would end the capture.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        with torch.cuda.device(device):
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
            self._pool = torch.cuda.graph_pool_handle()

    def warm_up(self, work: Work, times: int) -> None:
        """On the stream of the captures, as autograd remembers the stream of a parameter's first use."""
        with torch.cuda.device(self._device):
            present = torch.cuda.current_stream(self._device)
            self._stream.wait_stream(present)
            with torch.cuda.stream(self._stream):
                for _ in range(times):
                    work()
            present.wait_stream(self._stream)
            torch.cuda.synchronize(self._device)

    def capture(self, work: Work) -> Work:
        """Capture without running; nothing in `work` may read from the device."""
        with torch.cuda.device(self._device):
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(
                graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
            ):
                work()
        return graph.replay

    def wait(self) -> None:
        """Wait for the device."""
        torch.cuda.synchronize(self._device)


class Uncaptured:
    """No capture: a launch runs the function again, operation by operation."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def warm_up(self, work: Work, times: int) -> None:
        """Run it so often."""
        for _ in range(times):
            work()
        self.wait()

    def capture(self, work: Work) -> Work:
        """The function itself."""
        return work

    def wait(self) -> None:
        """Wait for the device, where it works on its own."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
