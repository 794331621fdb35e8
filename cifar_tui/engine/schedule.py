"""When to stop and when to evaluate, as functions of the step and the clock. Standard library only."""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable

from cifar_tui.config import RunConfig


def target_step(config: RunConfig, steps_per_epoch: int) -> int:
    """The step at which a run of this config is done."""
    return config.steps if config.epochs is None else math.ceil(config.epochs * steps_per_epoch)


class EvaluationPlan:
    """At which steps a training is evaluated under way.

    Exponential: the first at `evaluate_first`, then each gap is `evaluate_growth` times the last (GoMLX's
    `ExponentialCallback`). The plan of steps is a function of the config alone, so that a resumed run is
    evaluated where it would have been.
    """

    def __init__(self, config: RunConfig, steps_per_epoch: int, clock: Callable[[], float]) -> None:
        self._kind = config.evaluate
        self._every = config.evaluate_every or 0.0
        self._growth = config.evaluate_growth
        self._steps_per_epoch = steps_per_epoch
        self._clock = clock
        self._last_time = clock()
        self._gap = self._at = float(config.evaluate_first)
        self._exponential = [config.evaluate_first]

    def next_step(self, step: int) -> int | None:
        """The first step after `step` at which to evaluate, None where steps do not decide."""
        if self._kind == "steps":
            every = max(1, int(self._every))
            return (step // every + 1) * every
        if self._kind == "epochs":
            gap = self._every * self._steps_per_epoch
            return max(step + 1, math.ceil((math.floor(step / gap) + 1) * gap))
        if self._kind == "exponential":
            if self._growth == 1.0:
                return (step // self._exponential[0] + 1) * self._exponential[0]
            self._extend_beyond(step)
            return self._exponential[bisect.bisect_right(self._exponential, step)]
        return None

    def _extend_beyond(self, step: int) -> None:
        while self._exponential[-1] <= step:
            self._gap *= self._growth
            self._at += self._gap
            self._exponential.append(max(self._exponential[-1] + 1, round(self._at)))

    def count_between(self, step: int, target: int) -> int:
        """How many evaluations are planned after `step` and before `target`; at most 1000."""
        count, at = 0, self.next_step(step)
        while at is not None and at < target and count < 1000:
            count += 1
            at = self.next_step(at)
        return count

    def due_by_time(self) -> bool:
        """Whether the clock says to evaluate."""
        return self._kind == "seconds" and self._clock() - self._last_time >= self._every

    def evaluated(self) -> None:
        """An evaluation just ended."""
        self._last_time = self._clock()
