"""What is timed: the step engines that can run a config here, and plain loops on the same pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from cifar_tui import catalog
from cifar_tui.bench import plain
from cifar_tui.bench.windows import Loop
from cifar_tui.config import OPTIONS, RunConfig
from cifar_tui.datasets.split import Split
from cifar_tui.engine.batches import DeviceSplit, TrainingOrder
from cifar_tui.engine.build import build_module
from cifar_tui.engine.engines import choose
from cifar_tui.errors import CifarTuiError, UsageError
from cifar_tui.text import did_you_mean, safe_text

PICTURES = 20_000
CLASSES = 10
PLAIN = {
    "loader-pil": ("plain loop, PIL DataLoader", plain.pil_batches),
    "loader-tensor": ("plain loop, tensor DataLoader", plain.tensor_batches),
    "index": ("plain loop, no DataLoader", plain.indexed_batches),
}
# It takes half a minute to compile and is slower than eager on a CPU, so it runs there only when asked for.
DEAR_ON_CPU = frozenset({"compiled"})


@dataclass(frozen=True)
class Subject:
    """Something to time.

    Attributes:
        name: of the engine, or a key of `PLAIN`.
        title: for people.
        kind: whose it is.
        loop: runs it.
        asked: the name that it is built by, see `subject`.
        note: what the engine says of itself, or None.
    """

    name: str
    title: str
    kind: Literal["engine", "plain"]
    loop: Loop
    asked: str
    note: str | None = None


class EngineLoop:
    """Runs a step engine as a training does."""

    def __init__(self, config: RunConfig, split: Split, place: torch.device) -> None:
        module = build_module(config, len(split.names), place)
        optimizer = catalog.get("optimizers", config.optimizer).build(module.parameters(), config)
        order = TrainingOrder(len(split), config.batch_size, config.seed, place)
        rate = config.learning_rate
        self.engine, self.note = choose(
            config, module, optimizer, DeviceSplit(split, place), order, lambda _step: rate
        )
        self.module = module
        self.loss = float("nan")
        self._step = 0

    @property
    def parts(self) -> dict[str, float] | None:
        """Seconds of each part of the last `run`, where the engine measures them itself."""
        return getattr(self.engine, "parts", None)

    def run(self, steps: int) -> NDArray[np.float64]:
        """Train so many steps; returns the seconds of each, float64 (steps,)."""
        result = self.engine.run(self._step, steps)
        self._step += steps
        self.loss = float(result.losses[-1])
        return result.durations


def random_split(count: int = PICTURES, seed: int = 0) -> Split:
    """Pictures of noise with labels, as large as CIFAR's: speed does not depend on what they show."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    names = tuple(f"class {index}" for index in range(CLASSES))
    return Split(name="train", images=images, labels=rng.integers(0, CLASSES, count), names=names)


def engine_names() -> list[str]:
    """Engines that can be asked for by name."""
    return [str(name) for name in OPTIONS["engine"].choices if name != "auto"]


def engine_subjects(
    config: RunConfig, split: Split, place: torch.device, asked: Sequence[str] = ()
) -> tuple[list[Subject], dict[str, str]]:
    """Each engine that can run a config, the one that ``auto`` takes first; and why the others cannot.

    Args:
        config: its field `engine` is not read.
        split: pictures to train on.
        place: device.
        asked: engines to try; all that there are when empty. "auto" is the one that a training takes.

    Raises:
        UsageError: a name that is no engine, or none of those asked for can run this.
    """
    known = engine_names()
    for name in asked:
        if name not in {*known, "auto"}:
            raise UsageError(
                f'engine is "{safe_text(name, 80)}"',
                hint=did_you_mean(name, ["auto", *known]),
                id="E-CONFIG-VALUE",
            )
    found: dict[str, Subject] = {}
    refused: dict[str, str] = {}
    for name in dict.fromkeys(asked or ["auto", *known]):
        if not asked and place.type == "cpu" and name in DEAR_ON_CPU:
            refused[name] = f"slow on a CPU, and long to compile: only with --engine {name}"
            continue
        try:
            loop = EngineLoop(config.model_copy(update={"engine": name}), split, place)
        except CifarTuiError as error:
            refused[name] = error.message.partition("cannot run this: ")[2] or error.message
            continue
        subject = Subject(loop.engine.name, f"engine {loop.engine.name}", "engine", loop, name, loop.note)
        found.setdefault(subject.name, subject)
    if not found:
        raise UsageError(f"no engine can run {config.model}: {'; '.join(refused.values())}", id="E-ENGINE")
    return list(found.values()), refused


def plain_subject(name: str, config: RunConfig, split: Split, place: torch.device) -> Subject:
    """A plain loop; `name` is a key of `PLAIN`."""
    title, batches = PLAIN[name]
    return Subject(name, title, "plain", plain.PlainLoop(config, split, place, batches), name)


def subject(name: str, config: RunConfig, split: Split, place: torch.device) -> Subject:
    """The plain loop or the engine of this name.

    Raises:
        UsageError: no such engine, or it cannot run this config.
    """
    if name in PLAIN:
        return plain_subject(name, config, split, place)
    return engine_subjects(config, split, place, [name])[0][0]
