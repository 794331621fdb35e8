"""Which step engine a training runs on: the one asked for, or the fastest that can do it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from cifar_tui.config import RunConfig
from cifar_tui.engine import fused
from cifar_tui.engine.batches import DeviceSplit, TrainingOrder
from cifar_tui.engine.step import EagerStep, StepEngine
from cifar_tui.errors import UsageError


def choose(
    config: RunConfig,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    split: DeviceSplit,
    order: TrainingOrder,
    learning_rate: Callable[[int], float],
) -> tuple[StepEngine, str | None]:
    """The engine for a config, and a sentence where it is not all it could be.

    Raises:
        UsageError: an engine asked for by name that cannot do it; the reason is given.
    """
    reason = fused.why_not(config, split.images.device)
    if config.engine == "fused" and reason is not None:
        raise UsageError(f"engine fused cannot run this: {reason}", hint="--engine auto", id="E-ENGINE")
    if config.engine in {"auto", "fused"} and reason is None:
        engine = fused.FusedStep(config, module, optimizer, split, order, learning_rate)
        said = (
            None if engine.is_compiled else "TorchScript is not at hand: the fused steps run as plain Python"
        )
        return engine, said
    eager = EagerStep(
        module,
        optimizer,
        split,
        order,
        batch_size=config.batch_size,
        learning_rate=learning_rate,
        l2_reg=config.l2_reg,
        seed=config.seed,
    )
    return eager, None
