"""A stand-in for CUDA graphs: it records every operation of a capture, and replays the record.

As in a CUDA graph the operations come back with the numbers and the memory that they had when they were
captured: a Python number is frozen, a tensor is read anew. Reading a tensor on the host ends a capture.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

FORBIDDEN = ("aten::_local_scalar_dense", "aten::item", "aten::is_nonzero", "aten::nonzero")


class Recorder(TorchDispatchMode):
    """Runs operations and remembers them with the memory of their results."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[Any, tuple[Any, ...], dict[str, Any], list[Any]]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = func._schema.name
        if name in FORBIDDEN:
            raise RuntimeError(f"operation not permitted when stream is capturing: {name}")
        out = func(*args, **(kwargs or {}))
        if func.namespace != "profiler":
            self.operations.append((func, args, kwargs or {}, tree_flatten(out)[0]))
        return out

    @torch.no_grad()
    def replay(self) -> None:
        for func, args, kwargs, places in self.operations:
            out = func(*args, **kwargs)
            for place, new in zip(places, tree_flatten(out)[0], strict=True):
                if isinstance(new, Tensor) and new.data_ptr() != place.data_ptr():
                    place.copy_(new)


class RecordedGraphs:
    """A `GraphBackend` for any device.

    Attributes:
        log: what was asked of it: "warm up", "capture N" and "launch N", N being the number of a capture.
        fail: numbers of captures (0 is the first) that fail.
        failing: launches fail while it is set.
    """

    def __init__(self, fail: tuple[int, ...] = ()) -> None:
        self.log: list[str] = []
        self.fail = fail
        self.failing = False
        self.captures = 0

    def warm_up(self, work: Callable[[], None], times: int) -> None:
        self.log.append("warm up")
        for _ in range(times):
            work()

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        number = self.captures
        self.captures += 1
        self.log.append(f"capture {number}")
        recorder = Recorder()
        with recorder:
            work()
        if number in self.fail:
            raise RuntimeError("CUDA error: operation failed due to a previous error during capture")

        def launch() -> None:
            if self.failing:
                raise RuntimeError("CUDA error: launch failed")
            self.log.append(f"launch {number}")
            recorder.replay()

        return launch

    def wait(self) -> None:
        pass
