"""Which step engine a training runs on: the one asked for, or the fastest that can do it.

Left to itself a training on CUDA runs captured steps, compiled ones where it is long enough to wait for the
compiler, else eager ones; a training on a CPU runs native steps, else fused, else eager ones. An engine that
fails hands over to the next, see `ladder`. On CUDA nothing of this was measured: no device was at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from cifar_tui.config import RunConfig
from cifar_tui.engine import fused, graph, native, native_build
from cifar_tui.engine.augmented import Augmentation
from cifar_tui.engine.batches import DeviceSplit, TrainingOrder
from cifar_tui.engine.compiled import CompiledForward
from cifar_tui.engine.graph import GraphStep, Parts
from cifar_tui.engine.graph_backend import CudaGraphs, GraphBackend, Uncaptured
from cifar_tui.engine.graph_scores import GraphScores
from cifar_tui.engine.ladder import Ladder, Rung, Tell, first_that_builds
from cifar_tui.engine.noise import Noise, has_dropout, is_keyed
from cifar_tui.engine.snapshot import Snapshot
from cifar_tui.engine.step import EagerStep, StepEngine
from cifar_tui.errors import UsageError

# An estimate: compiling saves about 0.1 ms a step on a large GPU and takes about half a minute.
STEPS_WORTH_COMPILING = 300_000
AT_ONCE = frozenset({"eager", "fused", "native"})  # they compile nothing at their first step
_LADDERS = {
    "eager": ("eager",),
    "fused": ("fused",),
    "native": ("native", "fused"),
    "compiled": ("compiled", "eager"),
    "graph": ("graph", "eager"),
    "graph+compiled": ("graph+compiled", "graph", "eager"),
}


def why_not(name: str, config: RunConfig, device: torch.device) -> str | None:
    """Why an engine cannot run a config on a device, in words; None where it can."""
    if name == "fused":
        return fused.why_not(config, device)
    if name == "native":
        return native.why_not(config, device)
    if name in {"graph", "graph+compiled"} and device.type != "cuda":
        return f"it is for CUDA devices, not for {device.type}"
    if name == "compiled" and device.type not in {"cuda", "cpu"}:
        return f"it is for CUDA devices and the CPU, not for {device.type}"
    return None


def ladder_of(config: RunConfig, device: torch.device, steps: int) -> tuple[str, ...]:
    """The engines to try for a training of so many steps, best first.

    Raises:
        UsageError: an engine asked for by name that cannot do it; the reason is given.
    """
    if config.engine != "auto":
        reason = why_not(config.engine, config, device)
        if reason is not None:
            raise UsageError(
                f"engine {config.engine} cannot run this: {reason}", hint="--engine auto", id="E-ENGINE"
            )
        return _LADDERS[config.engine]
    if device.type == "cuda":
        return _LADDERS["graph+compiled" if steps >= STEPS_WORTH_COMPILING else "graph"]
    able = {
        "native": native.why_not(config, device) is None and native_build.can_compile(),
        "fused": fused.why_not(config, device) is None,
        "eager": True,
    }
    return tuple(name for name, can in able.items() if can)


def choose(
    config: RunConfig,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    split: DeviceSplit,
    order: TrainingOrder,
    learning_rate: Callable[[int], float],
    *,
    steps: int | None = None,
    tell: Tell | None = None,
    announce: Callable[[str], None] = lambda _name: None,
    backend: GraphBackend | None = None,
) -> tuple[StepEngine, str | None]:
    """The engine for a config, and a sentence about it where there is something to say.

    Args:
        config: what to train.
        module: the model, on its device.
        optimizer: over its parameters.
        split: pictures to train on.
        order: which pictures each step takes.
        learning_rate: of a step.
        steps: how many there will be; None for those of the config.
        tell: told of each fall to another engine, now or later, in the thread that trains; without it the
            falls of now are part of the sentence that is returned.
        announce: told the name of an engine that takes its time to prepare.
        backend: captures; None for CUDA graphs. With one every device counts as one that can be captured.

    Raises:
        UsageError: an engine asked for by name that cannot do it; the reason is given.
    """
    device = split.images.device
    rate = learning_rate if device.type == "cpu" else lambda step: float(np.float32(learning_rate(step)))
    parts = Parts(
        module,
        optimizer,
        split,
        order,
        rate,
        config.batch_size,
        config.l2_reg,
        config.seed,
        Augmentation.of(config),
    )
    place = torch.device("cuda") if backend is not None else device
    names = ladder_of(config, place, config.steps if steps is None else steps)
    if device.type == "cuda":
        _settle()
    falls: list[str] = []

    def keep(text: str, _name: str) -> None:
        falls.append(text)

    say = tell or keep
    builder = Builder(config, parts, say, backend)
    rungs = [Rung(name, builder.maker(name)) for name in names]
    if names[0] not in AT_ONCE or (names[0] == "native" and not native_build.is_built()):
        announce(names[0])
    if any(name not in AT_ONCE for name in names):
        engine: StepEngine = Ladder(rungs, module, optimizer, say)
    elif len(rungs) > 1:
        engine, _below = first_that_builds(rungs, Snapshot(module, optimizer), say)
    else:
        engine = rungs[0].build()
    sentences = [*falls, *_remarks(config, engine, place)]
    return engine, "; ".join(sentences) or None


class Builder:
    """Makes engines by name.

    Args:
        config: what to train.
        parts: what every engine works with.
        tell: told of what failed.
        backend: captures; None for CUDA graphs.
    """

    def __init__(
        self,
        config: RunConfig,
        parts: Parts,
        tell: Tell,
        backend: GraphBackend | None = None,
    ) -> None:
        self._config = config
        self._parts = parts
        self._tell = tell
        self._backend = backend

    def maker(self, name: str) -> Callable[[], StepEngine]:
        """What makes the engine of this name."""
        makers: dict[str, Callable[[], StepEngine]] = {
            "eager": self._eager,
            "fused": self._fused,
            "native": self._native,
            "compiled": self._compiled,
            "graph": self._graph,
            "graph+compiled": lambda: self._graph(CompiledForward(), "graph+compiled"),
        }
        return makers[name]

    def _eager(self) -> StepEngine:
        parts = self._parts
        noise = None
        on_cuda = parts.split.images.device.type == "cuda"
        if has_dropout(parts.module) and (on_cuda or is_keyed(parts.module)):
            noise = Noise(parts.module, parts.batch_size, parts.seed)
        return EagerStep(
            parts.module,
            parts.optimizer,
            parts.split,
            parts.order,
            batch_size=parts.batch_size,
            learning_rate=parts.learning_rate,
            l2_reg=parts.l2_reg,
            seed=parts.seed,
            noise=noise,
            augmentation=parts.augmentation,
        )

    def _fused(self) -> StepEngine:
        parts = self._parts
        return fused.FusedStep(
            self._config, parts.module, parts.optimizer, parts.split, parts.order, parts.learning_rate
        )

    def _native(self) -> StepEngine:
        parts = self._parts
        return native.NativeStep(
            self._config, parts.module, parts.optimizer, parts.split, parts.order, parts.learning_rate
        )

    def _compiled(self) -> StepEngine:
        uncaptured = Uncaptured(self._parts.split.images.device)
        return GraphStep(self._parts, uncaptured, name="compiled", forward=CompiledForward())

    def _graph(self, forward: Any = graph.forward, name: str = "graph") -> StepEngine:
        backend = self._backend or CudaGraphs(self._parts.split.images.device)
        scores = GraphScores(backend, lambda text: self._tell(text, name))
        return GraphStep(self._parts, backend, name=name, forward=forward, scores=scores)


def _settle() -> None:
    """One choice of kernels, the same in the next process: a resume is to give the same bits."""
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True


def _remarks(config: RunConfig, engine: StepEngine, device: torch.device) -> list[str]:
    """What is worth knowing of an engine that runs as it should."""
    if isinstance(engine, fused.FusedStep) and not engine.is_compiled:
        return ["TorchScript is not at hand: the fused steps run as plain Python"]
    if engine.name == "compiled" and device.type == "cpu":
        return ["compiled steps take about half a minute to prepare on a CPU; --engine auto is faster there"]
    can_be_native = native.why_not(config, device) is None
    if config.engine == "auto" and can_be_native and not native_build.can_compile():
        return ["without a C compiler the fused steps run; native ones are about twice as fast"]
    if config.engine == "auto" and engine.name == "eager" and device.type == "cpu":
        reason = fused.why_not(config, device)
        return [f"engine eager runs: the fused one cannot ({reason})"] if reason else []
    return []
