"""The step engine for dense residual stacks on a CPU: hand-written steps over flat memory.

All parameters lie in one tensor, and so do the gradients and Adam's moments, so that the optimizer is one
kernel call. Where TorchScript is at hand a chunk of steps is one call without the interpreter's lock, which
other threads (a screen) then have to themselves; else the same functions run as plain Python.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cifar_tui.config import RunConfig
from cifar_tui.engine import dense_stack
from cifar_tui.engine.batches import DeviceSplit, TrainingOrder
from cifar_tui.engine.step import ChunkResult, step_seed
from cifar_tui.models._modules import FeatureLayerNorm

OPTIMIZERS = ("adamw", "adam")


def why_not(config: RunConfig, device: torch.device) -> str | None:
    """Why a config cannot run on this engine, in words; None where it can."""
    if device.type != "cpu":
        return f"it is for the CPU, not for {device.type}"
    if config.model != "fnn":
        return f"it is for dense stacks, and model {config.model} is none"
    if config.norm == "batch":
        return "it has no batch normalisation"
    if config.optimizer not in OPTIMIZERS:
        return f"it has no {config.optimizer}, only {' and '.join(OPTIMIZERS)}"
    return None


@cache
def compiled_steps() -> tuple[Callable[..., None], bool]:
    """The steps function, and whether it runs without the interpreter."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TorchScript announces its retirement
            return torch.jit.script(dense_stack.steps), True
    except Exception:  # noqa: BLE001 - whatever it cannot compile, plain Python can run
        return dense_stack.steps, False


class FusedStep:
    """Runs the steps of `fnn` over flat memory. The module and the optimizer keep views of it.

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
        self._module = module
        self._optimizer = optimizer
        self._order = order
        self._learning_rate = learning_rate
        self._seed = config.seed
        self._batch_size = config.batch_size
        self._images = split.images.reshape(len(split), -1)
        self._labels = split.labels
        self._rule = dense_stack.Rule(
            config.optimizer == "adamw",
            config.beta1,
            config.beta2,
            config.weight_decay,
            config.epsilon,
            config.dropout,
            config.l2_reg,
        )
        self._steps, self.is_compiled = compiled_steps()
        self.name = "fused" if self.is_compiled else "fused (plain)"  # they differ in the last bits
        parameters = list(module.parameters())
        size = sum(p.numel() for p in parameters)
        flat = [torch.zeros(size) for _ in range(4)]
        self._moments = dense_stack.Moments([flat[0]], [flat[1]], [flat[2]], [flat[3]], [], [torch.zeros(())])
        for parameter, view in zip(parameters, self._views(flat[0]), strict=True):
            view.copy_(parameter.data)
            parameter.data = view
        self._stack = self._layers(lambda parameter: parameter.data)
        places = dict(zip(parameters, self._views(flat[1]), strict=True))
        self._grads = self._layers(lambda parameter: places[parameter])
        self.adopt()

    def adopt(self) -> None:
        """Take over the optimizer's state, which may have been loaded from a checkpoint."""
        state = self._optimizer.state
        parameters = list(self._module.parameters())
        counter = self._moments.counters[0]
        counter.zero_()
        for key, flat in (("exp_avg", self._moments.means[0]), ("exp_avg_sq", self._moments.squares[0])):
            for parameter, view in zip(parameters, self._views(flat), strict=True):
                old = state[parameter].get(key)
                if old is None:
                    view.zero_()
                elif old.data_ptr() != view.data_ptr():
                    view.copy_(old)
                state[parameter][key] = view
        for parameter in parameters:
            old = state[parameter].get("step")
            if old is not None and old is not counter:
                counter.copy_(old)
            state[parameter]["step"] = counter

    def run(self, first: int, count: int) -> ChunkResult:
        """Run `count` steps in calls that do not cross an epoch."""
        self._module.train()
        losses = torch.empty(count)
        correct = torch.empty(count, dtype=torch.int64)
        durations = np.empty(count)
        done = 0
        while done < count:
            rows = self._order.rows(first + done, count - done)
            part = slice(done, done + len(rows))
            numbers = range(first + done, first + done + len(rows))
            began = time.perf_counter()
            rates = [self._learning_rate(step) for step in numbers]
            self._steps(
                self._images,
                self._labels,
                rows,
                self._stack,
                self._grads,
                self._moments,
                self._rule,
                rates,
                [step_seed(self._seed, step) for step in numbers],
                losses[part],
                correct[part],
            )
            durations[part] = (time.perf_counter() - began) / len(rows)
            done += len(rows)
            for group in self._optimizer.param_groups:
                group["lr"] = rates[-1]
        accuracies = correct.numpy() / self._batch_size
        return ChunkResult(losses.numpy().astype(np.float64), accuracies, durations)

    def _views(self, flat: Tensor) -> list[Tensor]:
        """Views into flat memory, shaped as the parameters."""
        views, start = [], 0
        for parameter in self._module.parameters():
            views.append(flat[start : start + parameter.numel()].view(parameter.shape))
            start += parameter.numel()
        return views

    def _layers(self, choose: Callable[[Any], Tensor]) -> dense_stack.Stack:
        dense = [layer for layer in self._module.modules() if isinstance(layer, nn.Linear)]
        norms = [layer for layer in self._module.modules() if isinstance(layer, FeatureLayerNorm)]
        return dense_stack.Stack(
            [choose(layer.weight) for layer in dense],
            [choose(layer.bias) for layer in dense],
            [choose(layer.gain) for layer in norms],
            [choose(layer.offset) for layer in norms],
        )
