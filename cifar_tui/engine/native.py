"""The step engine for a CPU whose machine has a C compiler: whole steps in C, see `native_code`.

Weights lie as (inputs, outputs) in flat memory with rows of whole cache lines; the parameters of the module
and the state of the optimizer are views of it. A chunk of steps is one call without the interpreter's lock.
The bits do not depend on the number of threads.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from cifar_tui.config import RunConfig
from cifar_tui.engine import native_build
from cifar_tui.engine.augmented import Augmentation
from cifar_tui.engine.batches import DeviceSplit, TrainingOrder
from cifar_tui.engine.chunks import pictures_of, run_by_epoch
from cifar_tui.engine.native_cnn import CnnMemory
from cifar_tui.engine.native_fnn import FnnMemory
from cifar_tui.engine.native_memory import DOUBLE, INTEGER, PANEL, POINTER, Memory, Rule
from cifar_tui.engine.noise import draw_mask
from cifar_tui.engine.step import ChunkResult, set_training
from cifar_tui.seeds import step_seed

MEMORIES: dict[str, Callable[[nn.Module], Memory]] = {"fnn": FnnMemory, "cnn": CnnMemory}
OPTIMIZERS = ("adamw", "adam")
NORMS = ("layer", "none")
PARTS = ("feed", "forward", "backward", "optimizer")  # weights get their gradients in the last one
NOISE_NUMBERS = 1 << 24  # of dropout that are drawn at a time


def why_not(config: RunConfig, device: torch.device) -> str | None:
    """Why a config cannot run on this engine, in words; None where it can."""
    if device.type != "cpu":
        return f"it is for the CPU, not for {device.type}"
    if config.model not in MEMORIES:
        return f"it is for {' and '.join(MEMORIES)}, not for model {config.model}"
    if config.optimizer not in OPTIMIZERS:
        return f"it has no {config.optimizer}, only {' and '.join(OPTIMIZERS)}"
    if config.model == "fnn" and config.norm not in NORMS:
        return f"it has no {config.norm} norm for fnn, only {' and '.join(NORMS)}"
    if config.model == "fnn" and config.dropout:
        return "it has no dropout for fnn"
    return None


class NativeStep:
    """Runs the steps of `fnn` and `cnn` in C. The module and the optimizer keep views of its memory.

    Args:
        config: what `why_not` has nothing against.
        module: the model; its parameters are moved into flat memory.
        optimizer: Adam or AdamW over them; its state is moved too.
        split: pictures to train on.
        order: which pictures each step takes.
        learning_rate: of a step.

    Attributes:
        parts: seconds of each of `PARTS` in the last `run`.

    Raises:
        NoNativeError: the steps cannot be compiled here.
    """

    name = "native"

    def __init__(
        self,
        config: RunConfig,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        split: DeviceSplit,
        order: TrainingOrder,
        learning_rate: Callable[[int], float],
    ) -> None:
        self._memory = MEMORIES[config.model](module)
        self._steps = native_build.library()[self._memory.function]
        self._steps.restype = ctypes.c_int
        self._room_of = native_build.library()[f"{self._memory.function}_room"]
        self._room_of.restype = ctypes.c_size_t
        self._room, self._room_threads = torch.empty(0), 0
        self._broken = False
        self._module = module
        self._optimizer = optimizer
        self._order = order
        self._learning_rate = learning_rate
        self._augmentation = Augmentation.of(config)
        self._images = split.images
        self._labels = split.labels
        self._masks = Masks(config)
        self._work = self._memory.work
        self._work.batch = config.batch_size
        self._work.rule = Rule.of(config)
        self._seconds = (DOUBLE * len(PARTS))()
        self.parts = dict.fromkeys(PARTS, 0.0)
        self.adopt()

    def adopt(self) -> None:
        """Take over the optimizer's state, which may have been loaded from a checkpoint."""
        self._memory.adopt(self._optimizer)
        self._room_threads = 0  # what steps left there may not be finite

    def run(self, first: int, count: int) -> ChunkResult:
        """Run `count` steps in calls that do not cross an epoch."""
        set_training(self._module)
        ctypes.memset(self._seconds, 0, ctypes.sizeof(self._seconds))
        result = run_by_epoch(self._order, self._work.batch, first, count, self._call)
        self.parts = dict(zip(PARTS, self._seconds, strict=True))
        return replace(result, finite=not self._broken)

    def _call(self, first: int, rows: Tensor, losses: Tensor, correct: Tensor) -> None:
        images, labels, rows = pictures_of(self._augmentation, self._images, self._labels, rows, first)
        self._work.images, self._work.labels = images.data_ptr(), labels.data_ptr()
        self._make_room(torch.get_num_threads())
        for start in range(0, len(rows), self._masks.steps):
            part = slice(start, start + self._masks.steps)
            self._run(first + start, rows[part], losses[part], correct[part])

    def _run(self, first: int, rows: Tensor, losses: Tensor, correct: Tensor) -> None:
        rates = [self._learning_rate(step) for step in range(first, first + len(rows))]
        if self._masks.numbers:
            self._work.noise = self._masks.draw(first, len(rows)).data_ptr()
        self._broken = bool(
            self._steps(
                ctypes.byref(self._work),
                POINTER(self._room.data_ptr()),
                POINTER(rows.data_ptr()),
                INTEGER(len(rows)),
                (DOUBLE * len(rates))(*rates),
                INTEGER(self._memory.done),
                POINTER(losses.data_ptr()),
                POINTER(correct.data_ptr()),
                self._seconds,
            )
        )
        self._memory.count(len(rows))
        for group in self._optimizer.param_groups:
            group["lr"] = rates[-1]

    def _make_room(self, threads: int) -> None:
        """Memory for steps by so many threads, zeros at first; the steps keep it, as it is large."""
        if threads != self._room_threads:
            self._work.threads = threads
            self._room = torch.zeros(self._room_of(ctypes.byref(self._work)), dtype=torch.uint8)
            self._room_threads = threads


class Masks:
    """What the dropout of some steps multiplies with, as the layers themselves would draw it.

    Attributes:
        numbers: of a step; 0 where nothing is dropped.
        steps: most that are drawn at a time.
    """

    def __init__(self, config: RunConfig) -> None:
        self._seed, self._share = config.seed, config.dropout
        self._layers = config.hidden_layers - 1 if config.dropout else 0
        self._of_layer = config.batch_size * config.num_nodes
        self.numbers = self._layers * self._of_layer
        self.steps = max(1, NOISE_NUMBERS // max(1, self.numbers))
        self._buffer = torch.empty(0)

    def draw(self, first: int, count: int) -> Tensor:
        """float32 (count * numbers + PANEL,), which the next call writes over."""
        size = count * self.numbers
        if len(self._buffer) < size + PANEL:
            self._buffer = torch.zeros(size + PANEL)
        for step, of_step in enumerate(self._buffer[:size].view(count, self._layers, self._of_layer)):
            torch.manual_seed(step_seed(self._seed, first + step))
            for mask in of_step:
                draw_mask(mask, self._share)
        return self._buffer
