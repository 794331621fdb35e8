"""Forward pass and loss as one compiled function, for the engines that want it.

`torch.compile` is called without CUDA graphs of its own: those belong to a thread, and steps are captured by
hand (see `graph`). The optimizer is left as it is, since adam, adamw and sgd are one fused kernel already.

On an H100 it takes a sixth to a third off a captured step, and 7 to 14 seconds to prepare. On a CPU it takes
about half a minute, so it is never chosen there where nobody asks for it.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from cifar_tui.engine import graph_body

_COMPILING = threading.Lock()  # the compiler is not made for several threads


class CompiledForward:
    """`graph_body.forward`, compiled at its first call in the thread of that call.

    Args:
        compile: in place of `torch.compile`, for tests.
    """

    def __init__(self, compile: Callable[..., Any] | None = None) -> None:
        self._compile = compile
        self._function: Callable[..., tuple[Tensor, Tensor]] | None = None

    def __call__(
        self, module: nn.Module, images: Tensor, labels: Tensor, numbers: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Loss, float32 (), and hits, int64 ().

        Raises:
            RuntimeError: it cannot be compiled.
        """
        if self._function is None:
            with _COMPILING, warnings.catch_warnings():
                warnings.simplefilter("ignore")  # advice for those who write the model
                function = self._prepared()
                found: tuple[Tensor, Tensor] = function(module, images, labels, numbers)
            self._function = function
            return found
        return self._function(module, images, labels, numbers)

    def _prepared(self) -> Callable[..., Any]:
        if self._compile is not None:
            made: Callable[..., Any] = self._compile(graph_body.forward)
            return made
        torch.compiler.reset()  # what earlier trainings left would count against a limit
        return torch.compile(graph_body.forward, dynamic=False, fullgraph=True, options=_options())


def _options() -> dict[str, Any]:
    from torch._inductor import config

    options: dict[str, Any] = {"triton.cudagraphs": False}
    if hasattr(config, "deterministic"):  # no choice of kernels by a stopwatch: a resume has the same bits
        options["deterministic"] = True
    return options
