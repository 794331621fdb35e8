"""The training step behind a seam: anything that runs steps `first` to `first + count` can be an engine.

`EagerStep` is the plain one, and the reference that others must equal.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from cifar_tui.engine.batches import DeviceSplit, TrainingOrder, as_float
from cifar_tui.models._modules import FeatureLayerNorm, ImageLayerNorm
from cifar_tui.seeds import step_seed

if TYPE_CHECKING:
    from cifar_tui.engine.augmented import Augmentation
    from cifar_tui.engine.noise import Noise


@dataclass(frozen=True)
class ChunkResult:
    """What a chunk of steps gave.

    Attributes:
        losses: float64 (count,), batch losses in nats, the L2 penalty included.
        accuracies: float64 (count,), batch accuracies.
        durations: float64 (count,), seconds of each step.
        finite: whether all parameters are finite after the chunk; None where the engine does not look.
    """

    losses: NDArray[np.float64]
    accuracies: NDArray[np.float64]
    durations: NDArray[np.float64]
    finite: bool | None = None


class StepEngine(Protocol):
    """Runs training steps. After `run` returns, weights and optimizer are those after its last step."""

    name: str

    def run(self, first: int, count: int) -> ChunkResult:
        """Run `count` steps, of which `first` is the number of the first (0 is the first of a run)."""
        ...

    def adopt(self) -> None:
        """Weights and optimizer were changed from outside, as a checkpoint was loaded."""
        ...


def set_training(module: nn.Module) -> None:
    """`module.train()` where it is not in that mode: to tell every layer again takes 0.6 ms of each chunk."""
    if not module.training:
        module.train()


def penalised(module: nn.Module) -> list[Tensor]:
    """The weights that the L2 penalty is on, as in GoMLX: kernels, and the gains of normalisations."""
    found: list[Tensor] = []
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.BatchNorm1d | nn.BatchNorm2d):
            found.append(layer.weight)
        elif isinstance(layer, FeatureLayerNorm | ImageLayerNorm):
            found.append(layer.gain)
    return found


class EagerStep:
    """One torch operation after the other: gather, forward, loss, backward, optimizer."""

    name = "eager"

    def __init__(
        self,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        split: DeviceSplit,
        order: TrainingOrder,
        *,
        batch_size: int,
        learning_rate: Callable[[int], float],
        l2_reg: float,
        seed: int,
        noise: Noise | None = None,
        augmentation: Augmentation | None = None,
    ) -> None:
        self._augmentation = augmentation
        self._noise = noise  # where dropout is not drawn by the layers themselves
        self._module = module
        self._optimizer = optimizer
        self._split = split
        self._order = order
        self._batch_size = batch_size
        self._learning_rate = learning_rate
        self._l2_reg = l2_reg
        self._seed = seed
        self._penalised = penalised(module)
        self._draws = any(isinstance(layer, nn.Dropout) for layer in module.modules())
        self._synchronous = split.images.device.type == "cpu"

    def run(self, first: int, count: int) -> ChunkResult:
        """Run `count` steps; reads results from the device once, at the end."""
        device = self._split.images.device
        losses = torch.empty(count, dtype=torch.float32, device=device)
        correct = torch.empty(count, dtype=torch.int64, device=device)
        marks = np.empty(count + 1)
        set_training(self._module)
        marks[0] = time.perf_counter()
        for index in range(count):
            self._one(first + index, losses, correct, index)
            marks[index + 1] = time.perf_counter()
        host_losses = losses.cpu().numpy().astype(np.float64)  # the one wait for the device
        accuracies = correct.cpu().numpy() / self._batch_size
        durations = np.diff(marks)
        if not self._synchronous:  # without a wait a step returns before it is done: only the whole is known
            durations = np.full(count, (time.perf_counter() - marks[0]) / count)
        return ChunkResult(host_losses, accuracies, durations)

    def adopt(self) -> None:
        """Nothing is kept between steps."""

    def _one(self, step: int, losses: Tensor, correct: Tensor, index: int) -> None:
        if self._noise is not None:
            self._noise.draw(self._noise.keys(step, 1))
        elif self._draws:
            torch.manual_seed(step_seed(self._seed, step))
        rate = self._learning_rate(step)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        images, labels = self._batch(step)
        logits = self._module(images)
        loss = functional.cross_entropy(logits, labels)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            if self._l2_reg:
                loss = loss.detach() + self._add_l2()
            losses[index] = loss
            correct[index] = (logits.argmax(1) == labels).sum()
        self._optimizer.step()

    def _batch(self, step: int) -> tuple[Tensor, Tensor]:
        rows = self._order.rows(step, 1)
        if self._augmentation is None:
            return self._split.take(rows[0])
        images = self._augmentation.pictures(self._split.images, rows, step)
        return as_float(images), self._split.labels.index_select(0, rows[0])

    def _add_l2(self) -> Tensor:
        """Add the gradient of ``l2_reg * sum(w ** 2)``, which is ``2 * l2_reg * w``, and return its value."""
        gradients = [weight.grad for weight in self._penalised if weight.grad is not None]
        torch._foreach_add_(gradients, self._penalised, alpha=2.0 * self._l2_reg)
        return l2_penalty(self._penalised, self._l2_reg)


def l2_penalty(weights: list[Tensor], l2_reg: float) -> Tensor:
    """``l2_reg * sum(w ** 2)`` over all weights, float32 ()."""
    norms = torch.stack(torch._foreach_norm(weights, 2.0))
    return l2_reg * norms.square().sum()
