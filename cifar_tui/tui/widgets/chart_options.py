"""What charts are called and how they can be drawn. Standard library only, so that the app paints early."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

Kind = Literal["loss", "accuracy", "rate", "learning_rate"]

TITLES: Mapping[Kind, str] = {
    "loss": "Loss",
    "accuracy": "Accuracy",
    "rate": "Steps per second",
    "learning_rate": "Learning rate",
}
UNITS: Mapping[Kind, Literal["loss", "fraction", "count"]] = {
    "loss": "loss",
    "accuracy": "fraction",
    "rate": "count",
    "learning_rate": "loss",
}
PARTNERS: Mapping[Kind, Kind] = {"loss": "rate", "accuracy": "learning_rate"}
MARKERS = ("auto", "braille", "block", "ascii")
SMOOTHING = (0.0, 0.6, 0.8, 0.9, 0.95, 0.98)


@dataclass(frozen=True)
class ChartOptions:
    """How all charts are drawn.

    Attributes:
        log_x: logarithmic x axis.
        x_axis: "step", "epoch" or "time" (time spent in training steps).
        smoothing: weight of the column before in the smoothed curve, in [0, 1); 0 draws it as recorded.
        marker: "auto", "braille", "block" or "ascii".
        pair: "main" (loss and accuracy) or "rates" (steps per second and learning rate).
    """

    log_x: bool = False
    x_axis: str = "step"
    smoothing: float = 0.6
    marker: str = "auto"
    pair: str = "main"

    def smoother(self, up: bool) -> ChartOptions:
        """The next level of smoothing."""
        levels = [level for level in SMOOTHING if (level > self.smoothing if up else level < self.smoothing)]
        if not levels:
            return self
        return replace(self, smoothing=levels[0] if up else levels[-1])
