"""Stochastic gradient descent, with momentum (Nesterov's or plain) where asked for.

Nesterov momentum as in Sutskever et al. 2013, "On the importance of initialization and momentum in deep
learning".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from cifar_tui.config import RunConfig

RANK = 4
OPTIONS = frozenset({"momentum", "nesterov", "weight_decay"})
DEFAULTS: dict[str, Any] = {}


def build(parameters: Iterable[torch.Tensor], config: RunConfig) -> torch.optim.Optimizer:
    """The optimizer over `parameters`, as one fused kernel a step."""
    import torch

    return torch.optim.SGD(
        parameters,
        lr=config.learning_rate,
        momentum=config.momentum,
        nesterov=config.nesterov,
        weight_decay=config.weight_decay,
        fused=True,
    )
