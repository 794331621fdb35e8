"""How fast a recipe would train here: a few of its steps on random pictures, with the engine it would get.

Measures one thing only, the rate of training steps; evaluations and checkpoints are not counted. The module
loads no torch: the functions import it, as a session does.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cifar_tui import catalog
from cifar_tui.config import RunConfig
from cifar_tui.errors import UsageError
from cifar_tui.models._layers import total_flops
from cifar_tui.session.prepare import check_memory

if TYPE_CHECKING:
    import torch

    from cifar_tui.datasets.split import Split
    from cifar_tui.engine.step import StepEngine

PROBE_SECONDS = 0.3  # of timed steps
CHUNK_SECONDS = 0.04  # of one call of the engine, as in training
BATCHES = 8  # in the random data; an epoch of the probe
WARM_UP_CALLS = 3  # the first ones compile, choose kernels and grow memory pools
WARM_UP_SECONDS = 2.0
LARGEST_STEP = 4e11  # FLOPs; on two cores about ten seconds
FEW_STEPS = 1000  # a training as short as this is never worth compiling for


@dataclass(frozen=True)
class Probe:
    """What a probe found.

    Attributes:
        steps_per_second: at the thread count that a training would take.
        seconds: how long the probe took in all, building the model included.
        device: where, such as "cpu" or "cuda:0".
        engine: name of the step engine that was chosen.
        threads: CPU threads of the engine.
    """

    steps_per_second: float
    seconds: float
    device: str
    engine: str
    threads: int


class _Cancelled(Exception):  # noqa: N818 - never leaves this module
    pass


def is_ready() -> bool:
    """Whether torch is loaded, so that a probe begins at once."""
    torch = sys.modules.get("torch")
    return torch is not None and hasattr(torch, "nn")


def measure(
    config: RunConfig,
    *,
    seconds: float = PROBE_SECONDS,
    cancelled: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.perf_counter,
) -> Probe | None:
    """Time the steps of a config; None where it was cancelled. Loads torch where that was not done yet.

    Nothing is kept: the model is built, stepped and dropped. At least one step is timed however long it is.
    Where the config leaves the number of threads open, several are tried, as a training does.

    Args:
        config: what would be trained.
        seconds: how long to time steps.
        cancelled: asked between calls of the engine.
        clock: monotonic seconds.

    Raises:
        UsageError: it needs more memory than there is, one step is too large for a short probe, or its engine
            is compiled first.
        UnavailableError: its device is not here.
    """
    from cifar_tui.datasets.spec import get_spec

    began = clock()
    classes = len(get_spec(config.dataset).class_names(config.labels))
    _refuse_long_ones(config, classes)
    check_memory(config, classes)

    from cifar_tui.engine import device as devices
    from cifar_tui.engine import threads

    if cancelled():
        return None
    device = devices.select(config.device, config.threads)
    engine = _engine(config, classes, device.torch_device)
    done = 0

    def run(count: int) -> float:
        nonlocal done
        if cancelled():
            raise _Cancelled
        since = clock()
        engine.run(done, count)
        done += count
        return max(clock() - since, 1e-9)

    is_open = device.kind == "cpu" and config.threads == 0
    counts = threads.counts_up_to(device.threads) if is_open else (device.threads,)
    try:
        while done < WARM_UP_CALLS and (done < 2 or clock() - began < WARM_UP_SECONDS):
            run(1)
        rates = _rates(counts, run, seconds)
    except _Cancelled:
        return None
    count = threads.pick(rates, threads.SCREEN_MARGIN)
    return Probe(rates[count], clock() - began, str(device.torch_device), engine.name, count)


def _rates(counts: Sequence[int], run: Callable[[int], float], seconds: float) -> dict[int, float]:
    """Steps a second by thread count, of the median chunk; `seconds` for each count, the largest first."""
    rates: dict[int, float] = {}
    for count in sorted(counts, reverse=True):
        if len(counts) > 1:
            _set_threads(count)
        step = run(1)  # makes threads
        if rates and step > 2 / max(rates.values()) and step > CHUNK_SECONDS:
            break  # so few threads are slow, and fewer will be slower
        number = max(1, int(CHUNK_SECONDS / step))
        if number > 1:
            step = run(number) / number  # compiled code is made for a length of call
        chunks, spent = list[float](), 0.0
        while spent < seconds:
            number = max(1, int(CHUNK_SECONDS / step))
            took = run(number)
            spent, step = spent + took, took / number
            chunks.append(1.0 / step)
        rates[count] = statistics.median(chunks)
    return rates


def _refuse_long_ones(config: RunConfig, classes: int) -> None:
    hint = "the first steps of a training tell the time too"
    if "compiled" in config.engine:
        raise UsageError(
            f"engine {config.engine} compiles for longer than a probe takes", hint=hint, id="E-PROBE-LARGE"
        )
    layers = catalog.get("models", config.model).layers(config, classes)
    flops = 3.0 * config.batch_size * total_flops(layers)  # forward, and twice that backward
    if flops > LARGEST_STEP:
        raise UsageError(
            f"one step takes about {flops:.0e} FLOPs, too many for a short probe",
            hint=hint,
            id="E-PROBE-LARGE",
        )


def _engine(config: RunConfig, classes: int, place: torch.device) -> StepEngine:
    """The engine that a training would get, on random pictures."""
    from cifar_tui.engine.batches import DeviceSplit, TrainingOrder
    from cifar_tui.engine.build import build_module
    from cifar_tui.engine.engines import choose

    config = config.model_copy(update={"steps": min(config.steps, FEW_STEPS)})
    split = DeviceSplit(_random_pictures(config.batch_size, classes), place)
    module = build_module(config, classes, place)
    optimizer = catalog.get("optimizers", config.optimizer).build(module.parameters(), config)
    order = TrainingOrder(len(split), config.batch_size, config.seed, place)
    rate = config.learning_rate
    engine, _note = choose(config, module, optimizer, split, order, lambda _step: rate)
    return engine


def _set_threads(count: int) -> None:
    import torch

    torch.set_num_threads(count)


def _random_pictures(batch: int, classes: int) -> Split:
    """Enough of them for `BATCHES` batches."""
    import numpy as np

    from cifar_tui.datasets.split import Split

    random = np.random.default_rng(0)
    count = batch * BATCHES
    images = random.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    labels = random.integers(0, classes, count, dtype=np.int64)
    return Split("probe", images, labels, tuple(str(index) for index in range(classes)))
