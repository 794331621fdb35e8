"""The step engine for the models on a CPU: hand-written steps over flat memory.

Parameters lie in flat tensors, and so do gradients and Adam's moments, so that the optimizer is one kernel
call. Where TorchScript is at hand a chunk of steps is one call without the interpreter's lock, which other
threads (a screen) then have to themselves; else the same functions run as plain Python.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from cifar_tui.config import RunConfig
from cifar_tui.engine import fused_steps
from cifar_tui.engine.augmented import Augmentation
from cifar_tui.engine.batches import DeviceSplit, TrainingOrder
from cifar_tui.engine.chunks import pictures_of, run_by_epoch
from cifar_tui.engine.conv_stack import Front
from cifar_tui.engine.dense_stack import HAS_ONEDNN, Shape, Stack
from cifar_tui.engine.flat import FlatMemory
from cifar_tui.engine.fused_steps import Network
from cifar_tui.engine.step import ChunkResult, penalised, set_training
from cifar_tui.memory import keep_freed_memory
from cifar_tui.models._modules import FeatureLayerNorm, ImageLayerNorm
from cifar_tui.seeds import step_seed

Choose = Callable[[Tensor], Tensor]
MODELS = ("fnn", "cnn")
OPTIMIZERS = ("adamw", "adam")
_NORMS = {
    FeatureLayerNorm: "layer",
    ImageLayerNorm: "layer",
    nn.BatchNorm1d: "batch",
    nn.BatchNorm2d: "batch",
}


def why_not(config: RunConfig, device: torch.device) -> str | None:
    """Why a config cannot run on this engine, in words; None where it can."""
    if device.type != "cpu":
        return f"it is for the CPU, not for {device.type}"
    if config.model not in MODELS:
        return f"it is for {' and '.join(MODELS)}, not for model {config.model}"
    if config.optimizer not in OPTIMIZERS:
        return f"it has no {config.optimizer}, only {' and '.join(OPTIMIZERS)}"
    return None


@cache
def compiled_steps() -> tuple[Callable[..., None], bool]:
    """The steps function, and whether it runs without the interpreter."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TorchScript announces its retirement
            return torch.jit.script(fused_steps.steps), True
    except Exception:  # noqa: BLE001 - whatever it cannot compile, plain Python can run
        return fused_steps.steps, False


@cache
def prefers_onednn() -> bool:
    """Whether wide matrix products are faster by oneDNN than by MKL.

    MKL reached about half of oneDNN's rate on a Zen 5 with 512-bit vectors: 158 against 322 GFLOP/s on two
    threads for 50x3072 by 3072x128. Small products (50x128 by 128x128) are faster by MKL all the same.
    """
    if not HAS_ONEDNN or torch.backends.cpu.get_cpu_capability() != "AVX512":
        return False
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
            return any(line.startswith("vendor_id") and "AuthenticAMD" in line for line in file)
    except OSError:
        return False


class FusedStep:
    """Runs the steps of `fnn` and `cnn` over flat memory. The module and the optimizer keep views of it.

    Args:
        config: what `why_not` has nothing against.
        module: the model; its parameters are moved into flat memory.
        optimizer: Adam or AdamW over them; its state is moved too.
        split: pictures to train on.
        order: which pictures each step takes.
        learning_rate: of a step.
    """

    def __init__(
        self,
        config: RunConfig,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        split: DeviceSplit,
        order: TrainingOrder,
        learning_rate: Callable[[int], float],
    ) -> None:
        keep_freed_memory()
        self._module = module
        self._optimizer = optimizer
        self._order = order
        self._learning_rate = learning_rate
        self._seed = config.seed
        self._batch_size = config.batch_size
        self._augmentation = Augmentation.of(config)
        self._images = split.images
        self._labels = split.labels
        self._steps, self.is_compiled = compiled_steps()
        self.name = "fused" if self.is_compiled else "fused (plain)"  # they differ in the last bits
        self._memory = _flat_memory(module)
        dense = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
        self._rule = fused_steps.Rule(
            config.optimizer == "adamw",
            config.beta1,
            config.beta2,
            config.weight_decay,
            config.epsilon,
            config.l2_reg,
            self._memory.penalised,
            dense[-1].out_features,
        )
        self._shape = Shape(
            config.model == "cnn",
            _norm_kind(_norms(module, (FeatureLayerNorm, nn.BatchNorm1d))),
            config.dropout,
            prefers_onednn(),
        )
        self._network = _network(module, lambda parameter: parameter.data)
        self._grads = _network(module, lambda parameter: self._memory.gradients[parameter])
        kinds = (nn.BatchNorm1d, nn.BatchNorm2d)
        self._counted = [layer for layer in module.modules() if isinstance(layer, kinds)]
        self.adopt()

    def adopt(self) -> None:
        """Take over the optimizer's state, which may have been loaded from a checkpoint."""
        self._memory.adopt(self._optimizer)

    def run(self, first: int, count: int) -> ChunkResult:
        """Run `count` steps in calls that do not cross an epoch."""
        set_training(self._module)
        result = run_by_epoch(self._order, self._batch_size, first, count, self._call)
        self._memory.counted()
        for layer in self._counted:
            assert layer.num_batches_tracked is not None
            layer.num_batches_tracked.add_(count)
        return result

    def _call(self, first: int, rows: Tensor, losses: Tensor, correct: Tensor) -> None:
        numbers = range(first, first + len(rows))
        images, labels, rows = pictures_of(self._augmentation, self._images, self._labels, rows, first)
        rates = [self._learning_rate(step) for step in numbers]
        self._steps(
            images,
            labels,
            rows,
            self._network,
            self._grads,
            self._memory.moments,
            self._rule,
            self._shape,
            rates,
            [step_seed(self._seed, step) for step in numbers],
            losses,
            correct,
        )
        for group in self._optimizer.param_groups:
            group["lr"] = rates[-1]


def _norms(module: nn.Module, kinds: tuple[type[nn.Module], ...]) -> list[nn.Module]:
    return [layer for layer in module.modules() if isinstance(layer, kinds)]


def _norm_kind(norms: list[nn.Module]) -> str:
    return _NORMS[type(norms[0])] if norms else "none"


def _flat_memory(module: nn.Module) -> FlatMemory:
    """Memory in which the gains of all layer norms lie side by side, and so do their offsets."""
    first: Tensor = next(layer for layer in module.modules() if isinstance(layer, nn.Linear)).weight
    norms = [layer for layer in module.modules() if isinstance(layer, FeatureLayerNorm)]
    gains: list[Tensor] = [norm.gain for norm in norms]
    offsets: list[Tensor] = [norm.offset for norm in norms]
    apart = {id(tensor) for tensor in (first, *gains, *offsets)}
    wanted = {id(weight) for weight in penalised(module)}
    rest: list[Tensor] = [parameter for parameter in module.parameters() if id(parameter) not in apart]
    return FlatMemory(
        first,
        [*(p for p in rest if id(p) in wanted), *gains],
        [*(p for p in rest if id(p) not in wanted), *offsets],
    )


def _network(module: nn.Module, choose: Choose) -> Network:
    """The tensors of a module, `choose` of each parameter, in the order in which a step works on them."""
    convs = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]
    dense = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    front_norms = _norms(module, (ImageLayerNorm, nn.BatchNorm2d))
    norms = _norms(module, (FeatureLayerNorm, nn.BatchNorm1d))
    blocks = [child for name, child in module.named_children() if name.startswith("block_")]
    front = Front(
        [choose(layer.weight) for layer in convs],
        [choose(layer.bias) for layer in convs if layer.bias is not None],
        *_norm_tensors(front_norms, choose),
        [hasattr(block, "pool") for block in blocks],
        _norm_kind(front_norms),
    )
    gains, offsets, means, variances = _norm_tensors(norms, choose)
    if _norm_kind(norms) == "layer":  # one number a layer, side by side
        gains, offsets = [_side_by_side(gains)], [_side_by_side(offsets)]
    stack = Stack(
        [choose(layer.weight) for layer in dense],
        [choose(layer.bias) for layer in dense],
        gains,
        offsets,
        means,
        variances,
    )
    return Network(front, stack)


def _norm_tensors(
    norms: list[nn.Module], choose: Choose
) -> tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]:
    """Gains, offsets, running means and running variances of norms of one kind."""
    if _norm_kind(norms) != "batch":
        layers = [n for n in norms if isinstance(n, FeatureLayerNorm | ImageLayerNorm)]
        return [choose(n.gain) for n in layers], [choose(n.offset) for n in layers], [], []
    batch = [n for n in norms if isinstance(n, nn.BatchNorm1d | nn.BatchNorm2d)]
    return (
        [choose(n.weight) for n in batch],
        [choose(n.bias) for n in batch],
        [n.running_mean for n in batch if n.running_mean is not None],
        [n.running_var for n in batch if n.running_var is not None],
    )


def _side_by_side(scalars: list[Tensor]) -> Tensor:
    """One view (n,) of n tensors (1,) that lie side by side in memory."""
    return scalars[0].as_strided((len(scalars),), (1,))
