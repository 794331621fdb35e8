"""Half a cosine from the learning rate down to its minimum, after the warm-up.

Method: Loshchilov and Hutter 2017, "SGDR: Stochastic Gradient Descent with Warm Restarts", arXiv:1608.03983,
without restarts.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cifar_tui.schedules import warm_up

if TYPE_CHECKING:
    from cifar_tui.config import RunConfig

RANK = 2
OPTIONS = frozenset({"min_learning_rate"})


def learning_rate(step: int, total: int, config: RunConfig) -> float:
    """The rate of step `step` (0 is the first) of `total`; the last step has the minimum."""
    high, low, warm = config.learning_rate, config.min_learning_rate, config.warmup_steps
    if step < warm:
        return high * warm_up(step, warm)
    share = min(1.0, (step - warm) / max(1, total - warm - 1))
    return low + (high - low) * 0.5 * (1.0 + math.cos(math.pi * share))
