"""The step engine for `fnn` on a CPU whose machine has a C compiler: whole steps in C, see `native_code`.

Weights lie as (inputs, outputs) in flat memory with rows of whole cache lines; the parameters of the module
and the state of the optimizer are views of it. A chunk of steps is one call without the interpreter's lock.
The bits do not depend on the number of threads.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import torch
from torch import Tensor, nn

from cifar_tui.config import RunConfig
from cifar_tui.engine import native_build
from cifar_tui.engine.augmented import Augmentation
from cifar_tui.engine.batches import DeviceSplit, TrainingOrder
from cifar_tui.engine.chunks import pictures_of, run_by_epoch
from cifar_tui.engine.flat import adopt_state
from cifar_tui.engine.step import ChunkResult
from cifar_tui.models._modules import FeatureLayerNorm

OPTIMIZERS = ("adamw", "adam")
NORMS = ("layer", "none")
PARTS = ("feed", "forward", "backward", "optimizer")  # weights get their gradients in the last one
PANEL = 16  # floats of a cache line
_INTEGER, _POINTER, _DOUBLE = ctypes.c_int64, ctypes.c_void_p, ctypes.c_double


def why_not(config: RunConfig, device: torch.device) -> str | None:
    """Why a config cannot run on this engine, in words; None where it can."""
    if device.type != "cpu":
        return f"it is for the CPU, not for {device.type}"
    if config.model != "fnn":
        return f"it is for fnn, not for model {config.model}"
    if config.optimizer not in OPTIMIZERS:
        return f"it has no {config.optimizer}, only {' and '.join(OPTIMIZERS)}"
    if config.norm not in NORMS:
        return f"it has no {config.norm} norm, only {' and '.join(NORMS)}"
    if config.dropout:
        return "it has no dropout"
    return None


class Work(ctypes.Structure):
    """What the C code is given; the same as `Work` of steps.c."""

    _fields_ = (
        *((name, _INTEGER) for name in ("batch", "inputs", "width", "classes", "layers", "normed")),
        *((name, _INTEGER) for name in ("stride", "class_stride", "input_stride")),
        ("weights", _POINTER),
        ("biases", _POINTER),
        ("gains", _INTEGER),
        ("offsets", _INTEGER),
        *((name, _POINTER) for name in ("values", "means", "squares", "images", "labels")),
        ("threads", _INTEGER),
        ("decoupled", _INTEGER),
        *((name, _DOUBLE) for name in ("beta1", "beta2", "epsilon", "weight_decay", "l2_reg")),
    )


class NativeStep:
    """Runs the steps of `fnn` in C. The module and the optimizer keep views of its memory.

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
        self._steps = native_build.library().cifar_tui_steps
        self._steps.restype = ctypes.c_int
        self._module = module
        self._optimizer = optimizer
        self._order = order
        self._learning_rate = learning_rate
        self._augmentation = Augmentation.of(config)
        self._images = split.images
        self._labels = split.labels
        self._memory = Memory(module)
        self._work = self._memory.work
        self._work.batch = config.batch_size
        self._work.decoupled = config.optimizer == "adamw"
        self._work.beta1, self._work.beta2 = config.beta1, config.beta2
        self._work.epsilon, self._work.weight_decay = config.epsilon, config.weight_decay
        self._work.l2_reg = config.l2_reg
        self._seconds = (_DOUBLE * len(PARTS))()
        self.parts = dict.fromkeys(PARTS, 0.0)
        self.adopt()

    def adopt(self) -> None:
        """Take over the optimizer's state, which may have been loaded from a checkpoint."""
        self._memory.adopt(self._optimizer)

    def run(self, first: int, count: int) -> ChunkResult:
        """Run `count` steps in calls that do not cross an epoch."""
        self._module.train()
        ctypes.memset(self._seconds, 0, ctypes.sizeof(self._seconds))
        result = run_by_epoch(self._order, self._work.batch, first, count, self._call)
        self.parts = dict(zip(PARTS, self._seconds, strict=True))
        return result

    def _call(self, first: int, rows: Tensor, losses: Tensor, correct: Tensor) -> None:
        images, labels, rows = pictures_of(self._augmentation, self._images, self._labels, rows, first)
        rates = [self._learning_rate(step) for step in range(first, first + len(rows))]
        self._work.images, self._work.labels = images.data_ptr(), labels.data_ptr()
        self._work.threads = torch.get_num_threads()
        failed = self._steps(
            ctypes.byref(self._work),
            _POINTER(rows.data_ptr()),
            _INTEGER(len(rows)),
            (_DOUBLE * len(rates))(*rates),
            _INTEGER(self._memory.done),
            _POINTER(losses.data_ptr()),
            _POINTER(correct.data_ptr()),
            self._seconds,
        )
        if failed:
            raise MemoryError("no memory for the steps")
        self._memory.count(len(rows))
        for group in self._optimizer.param_groups:
            group["lr"] = rates[-1]


class Memory:
    """Parameters and Adam's moments of a module in three flat tensors, whose parts are views.

    Args:
        module: an `fnn`; its parameters are moved.

    Attributes:
        work: sizes and places, for the C code.
        done: steps of the optimizer so far.
    """

    def __init__(self, module: nn.Module) -> None:
        dense = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
        norms = [layer for layer in module.modules() if isinstance(layer, FeatureLayerNorm)]
        last, layers = dense[-1], len(dense) - 1
        self._size = 0
        self._views: list[tuple[Tensor, int, int]] = []  # parameter, place, and distance of rows
        strides = [_stride(layer.out_features) for layer in dense]
        weights = [
            self._add(layer.weight, stride, layer.in_features)
            for layer, stride in zip(dense, strides, strict=True)
        ]
        biases = [self._add(layer.bias, stride, 1) for layer, stride in zip(dense, strides, strict=True)]
        gains = [self._add(norm.gain, 1, 1) for norm in norms]
        self._size += -self._size % PANEL
        offsets = [self._add(norm.offset, 1, 1) for norm in norms]
        self._size += -self._size % PANEL
        self._flat = [torch.zeros(self._size) for _ in range(3)]
        self._counts = torch.zeros(len(self._views))
        with torch.no_grad():
            for parameter, view in self._of(self._flat[0]):
                view.copy_(parameter)
                parameter.data = view
        self._weights, self._biases = ((_INTEGER * len(dense))(*places) for places in (weights, biases))
        values, means, squares = (tensor.data_ptr() for tensor in self._flat)
        self.done = 0
        self.work = Work(
            inputs=dense[0].in_features,
            width=dense[0].out_features,
            classes=last.out_features,
            layers=layers,
            normed=bool(norms),
            stride=strides[0],
            class_stride=strides[-1],
            input_stride=_stride(dense[0].in_features),
            weights=ctypes.addressof(self._weights),
            biases=ctypes.addressof(self._biases),
            gains=gains[0] if gains else 0,
            offsets=offsets[0] if offsets else 0,
            values=values,
            means=means,
            squares=squares,
        )

    def adopt(self, optimizer: torch.optim.Optimizer) -> None:
        """Take over the state of an optimizer, which may have been loaded; it keeps views of ours."""
        adopt_state(optimizer, "exp_avg", self._of(self._flat[1]))
        adopt_state(optimizer, "exp_avg_sq", self._of(self._flat[2]))
        counted = (parameter for parameter, _place, _stride in self._views)
        adopt_state(optimizer, "step", zip(counted, self._counts, strict=True))
        self.done = int(self._counts[0])

    def count(self, steps: int) -> None:
        """Let every parameter know of more steps."""
        self.done += steps
        self._counts.fill_(self.done)

    def _add(self, parameter: Tensor, stride: int, rows: int) -> int:
        place = self._size
        self._views.append((parameter, place, stride))
        self._size += stride * rows
        return place

    def _of(self, flat: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Each parameter with its part of a flat tensor, of the same shape."""
        return [
            (parameter, flat.as_strided(parameter.shape, (1, stride)[: parameter.dim()], place))
            for parameter, place, stride in self._views
        ]


def _stride(width: int) -> int:
    """Floats from row to row: whole cache lines, an odd number, so that rows do not compete for a set."""
    lines = -(-width // PANEL)
    return PANEL * (lines + 1 - lines % 2)
