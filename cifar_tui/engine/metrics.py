"""Running metrics of the training batches, and times of steps. Numpy only."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOVING_WEIGHT = 0.01


@dataclass
class RunningMetrics:
    """The notebook's metrics over training batches.

    The moving averages weigh the newest batch by 0.01, and by 1/n while fewer than 100 batches were seen, as
    GoMLX does. The means run since step 0. The loss includes the L2 penalty.
    """

    count: int = 0
    moving_loss: float = 0.0
    moving_accuracy: float = 0.0
    loss_sum: float = 0.0
    accuracy_sum: float = 0.0

    def add(self, losses: NDArray[np.float64], accuracies: NDArray[np.float64]) -> None:
        """Take in one chunk: batch losses and accuracies, both (steps,)."""
        for loss, accuracy in zip(losses.tolist(), accuracies.tolist(), strict=True):
            self.count += 1
            weight = max(MOVING_WEIGHT, 1.0 / self.count)
            self.moving_loss += weight * (loss - self.moving_loss)
            self.moving_accuracy += weight * (accuracy - self.moving_accuracy)
            self.loss_sum += loss
            self.accuracy_sum += accuracy

    @property
    def mean_loss(self) -> float | None:
        """Mean batch loss since step 0."""
        return self.loss_sum / self.count if self.count else None

    @property
    def mean_accuracy(self) -> float | None:
        """Mean batch accuracy since step 0."""
        return self.accuracy_sum / self.count if self.count else None

    def to_json(self) -> dict[str, Any]:
        """Its state, for a checkpoint. Floats keep all their bits in JSON."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> RunningMetrics:
        """The state that `to_json` gave."""
        return cls(**{name: values[name] for name in cls.__dataclass_fields__})


class StepTimes:
    """Durations of the newest 100,000 steps, and the recent rate.

    Attributes:
        newest_rate: steps a second of the newest chunk; 0 before the first.
    """

    KEEP = 100_000
    WINDOW_SECONDS = 3.0

    def __init__(self) -> None:
        self._durations = np.empty(self.KEEP)  # seconds; the newest of each place modulo its length
        self._recent: deque[tuple[int, float]] = deque()
        self._recent_steps = 0
        self._recent_seconds = 0.0
        self.steps = 0
        self.seconds = 0.0
        self.newest_rate = 0.0

    def add(self, durations: NDArray[np.float64], wall: float) -> None:
        """Take in one chunk: seconds of each step (steps,), and of the whole chunk."""
        count = len(durations)
        newest = durations[-self.KEEP :]
        places = np.arange(self.steps + count - len(newest), self.steps + count) % self.KEEP
        self._durations[places] = newest
        self._recent.append((count, wall))
        self._recent_steps += count
        self._recent_seconds += wall
        while len(self._recent) > 1 and self._recent_seconds - self._recent[0][1] > self.WINDOW_SECONDS:
            old_count, old_wall = self._recent.popleft()
            self._recent_steps -= old_count
            self._recent_seconds -= old_wall
        self.steps += count
        self.seconds += wall
        self.newest_rate = count / wall if wall > 0 else 0.0

    @property
    def rate(self) -> float:
        """Steps a second over the last seconds of training; 0 before the first step."""
        return self._recent_steps / self._recent_seconds if self._recent_seconds > 0 else 0.0

    @property
    def average_rate(self) -> float:
        """Steps a second over the whole loop; 0 before the first step."""
        return self.steps / self.seconds if self.seconds > 0 else 0.0

    def percentile_us(self, percent: float) -> float | None:
        """A percentile of the step times in microseconds; None before the first step."""
        if not self.steps:
            return None
        kept = self._durations[: self.steps]
        place = percent / 100 * (len(kept) - 1)
        low = int(place)
        high = min(low + 1, len(kept) - 1)
        # by hand: the first call of `numpy.percentile` imports for 15 ms, while a training waits for it
        below, above = np.partition(kept, (low, high))[[low, high]]
        return float(below + (place - low) * (above - below)) * 1e6
