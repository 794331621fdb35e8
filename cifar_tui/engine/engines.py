"""Which step engine a training runs on: the one asked for, or the fastest that can do it.

Left to itself a training runs native steps wherever there are some: in C on a CPU, as CUDA kernels on a
GPU. Else it runs captured steps on CUDA, compiled ones where it is long enough to wait for the compiler,
fused ones on a CPU, and eager ones where nothing else can. An engine that fails hands over to the next, see
`ladder`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import nn

from cifar_tui.config import RunConfig
from cifar_tui.engine import cuda_native, fused, native, native_build
from cifar_tui.engine.augmented import Augmentation
from cifar_tui.engine.batches import DeviceSplit, TrainingOrder
from cifar_tui.engine.compiled import CompiledForward
from cifar_tui.engine.graph import GraphStep
from cifar_tui.engine.graph_backend import CudaGraphs, GraphBackend, Uncaptured
from cifar_tui.engine.graph_body import AutogradBody, MakeBody, Parts
from cifar_tui.engine.graph_scores import GraphScores
from cifar_tui.engine.ladder import Ladder, Rung, Tell, first_that_builds
from cifar_tui.engine.noise import Noise, has_dropout, is_keyed
from cifar_tui.engine.snapshot import Snapshot
from cifar_tui.engine.step import EagerStep, StepEngine
from cifar_tui.errors import UsageError

# On an H100 compiling saved 0.15 ms of a captured step and took 7 to 14 s, on other machines longer.
STEPS_WORTH_COMPILING = 300_000
AT_ONCE = frozenset({"eager", "fused", "native"})  # they compile nothing at their first step on a CPU
_LADDERS = {
    "eager": ("eager",),
    "fused": ("fused",),
    "native": ("native", "fused"),
    "compiled": ("compiled", "eager"),
    "graph": ("graph", "eager"),
    "graph+compiled": ("graph+compiled", "graph", "eager"),
}
_NATIVE_ON_CUDA = ("native", "graph", "eager")


def why_not(name: str, config: RunConfig, device: torch.device) -> str | None:
    """Why an engine cannot run a config on a device, in words; None where it can."""
    if name == "fused":
        return fused.why_not(config, device)
    if name == "native":
        chosen = cuda_native.why_not if device.type == "cuda" else native.why_not
        return chosen(config, device)
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
        on_cuda = config.engine == "native" and device.type == "cuda"
        return _NATIVE_ON_CUDA if on_cuda else _LADDERS[config.engine]
    if device.type == "cuda" and cuda_native.why_not(config, device) is None:
        return _NATIVE_ON_CUDA
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
    builder = Builder(config, parts, say, place, backend)
    rungs = [Rung(name, builder.maker(name)) for name in names]
    is_built = place.type == "cpu" and (names[0] != "native" or native_build.is_built())
    if names[0] not in AT_ONCE or not is_built:
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
        place: the device that engines are chosen for.
        backend: captures; None for CUDA graphs.
    """

    def __init__(
        self,
        config: RunConfig,
        parts: Parts,
        tell: Tell,
        place: torch.device,
        backend: GraphBackend | None = None,
    ) -> None:
        self._config = config
        self._place = place
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
            "graph+compiled": self._graph_compiled,
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
        if self._place.type == "cuda":
            return self._graph("native", cuda_native.body_of(self._config), torch.float32)
        return native.NativeStep(
            self._config, parts.module, parts.optimizer, parts.split, parts.order, parts.learning_rate
        )

    def _compiled(self) -> StepEngine:
        uncaptured = Uncaptured(self._parts.split.images.device)
        body = partial(AutogradBody, forward=CompiledForward())
        return GraphStep(self._parts, uncaptured, name="compiled", make_body=body)

    def _graph_compiled(self) -> StepEngine:
        return self._graph("graph+compiled", partial(AutogradBody, forward=CompiledForward()))

    def _graph(
        self, name: str = "graph", body: MakeBody = AutogradBody, rates: torch.dtype | None = None
    ) -> StepEngine:
        backend = self._backend or CudaGraphs(self._parts.split.images.device)
        scores = GraphScores(backend, lambda text: self._tell(text, name))
        return GraphStep(self._parts, backend, name=name, make_body=body, rates=rates, scores=scores)


def _settle() -> None:
    """One choice of kernels, the same in the next process: a resume is to give the same bits.

    All engines compute in float32, as the banner says: by default convolutions would round to 10 bits.
    """
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def _remarks(config: RunConfig, engine: StepEngine, device: torch.device) -> list[str]:
    """What is worth knowing of an engine that runs as it should."""
    if isinstance(engine, fused.FusedStep) and not engine.is_compiled:
        return ["TorchScript is not at hand: the fused steps run as plain Python"]
    if engine.name == "compiled" and device.type == "cpu":
        return ["compiled steps take about half a minute to prepare on a CPU; --engine auto is faster there"]
    can_be_native = device.type == "cpu" and native.why_not(config, device) is None
    if config.engine == "auto" and can_be_native and not native_build.can_compile():
        return ["without a C compiler the fused steps run; native ones are about twice as fast"]
    if config.engine == "auto" and engine.name == "eager" and device.type == "cpu":
        reason = fused.why_not(config, device)
        return [f"engine eager runs: the fused one cannot ({reason})"] if reason else []
    return []
