"""Adamax: Adam with the largest recent gradient in place of its square.

Method: Kingma and Ba 2015, section 7.1 of arXiv:1412.6980. Epsilon 1e-7 is GoMLX's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from cifar_tui.config import RunConfig

RANK = 3
OPTIONS = frozenset({"beta1", "beta2", "epsilon", "weight_decay"})
DEFAULTS: dict[str, Any] = {"epsilon": 1e-7}


def build(parameters: Iterable[torch.Tensor], config: RunConfig) -> torch.optim.Optimizer:
    """The optimizer over `parameters`."""
    import torch

    return torch.optim.Adamax(
        parameters,
        lr=config.learning_rate,
        betas=(config.beta1, config.beta2),
        eps=config.epsilon,
        weight_decay=config.weight_decay,
    )
