"""RMSProp: steps scaled by a running mean of the gradient's square.

Method: Tieleman and Hinton 2012, lecture 6.5 of "Neural Networks for Machine Learning"; `beta2` is the decay
of the mean of squares.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from cifar_tui.config import RunConfig

RANK = 5
OPTIONS = frozenset({"momentum", "beta2", "epsilon", "weight_decay"})
DEFAULTS: dict[str, Any] = {"beta2": 0.9, "epsilon": 1e-7}


def build(parameters: Iterable[torch.Tensor], config: RunConfig) -> torch.optim.Optimizer:
    """The optimizer over `parameters`."""
    import torch

    return torch.optim.RMSprop(
        parameters,
        lr=config.learning_rate,
        alpha=config.beta2,
        eps=config.epsilon,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
    )
