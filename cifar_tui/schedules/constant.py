"""The same learning rate throughout, after the warm-up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cifar_tui.schedules import warm_up

if TYPE_CHECKING:
    from cifar_tui.config import RunConfig

RANK = 1
OPTIONS: frozenset[str] = frozenset()


def learning_rate(step: int, total: int, config: RunConfig) -> float:  # noqa: ARG001 - one form for all
    """The rate of step `step` (0 is the first) of `total`."""
    return config.learning_rate * warm_up(step, config.warmup_steps)
