"""Adam with decoupled weight decay.

Method: Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization", arXiv:1711.05101. The defaults
are GoMLX's (weight decay 0.004, epsilon 1e-7).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from cifar_tui.config import RunConfig

RANK = 1
OPTIONS = frozenset({"beta1", "beta2", "epsilon", "weight_decay"})
DEFAULTS: dict[str, Any] = {"weight_decay": 0.004, "epsilon": 1e-7}


def build(parameters: Iterable[torch.Tensor], config: RunConfig) -> torch.optim.Optimizer:
    """The optimizer over `parameters`, as one fused kernel a step."""
    import torch

    return torch.optim.AdamW(
        parameters,
        lr=config.learning_rate,
        betas=(config.beta1, config.beta2),
        eps=config.epsilon,
        weight_decay=config.weight_decay,
        fused=True,
    )
