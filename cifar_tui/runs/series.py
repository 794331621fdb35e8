"""Curves of a training, from events: whole or growing, thinned for a chart, or in the notebook's format."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cifar_tui.events import Evaluation, Event, Progress, RunStarted

BATCH = "train-batch"
_BATCH_METRICS = (
    "loss",
    "moving_loss",
    "moving_accuracy",
    "mean_loss",
    "mean_accuracy",
    "learning_rate",
    "steps_per_second",
)
_SPLIT_METRICS = ("loss", "accuracy", "top5", "penalty")

# Name, short name and type of the points of the original notebook; %s is the split.
_POINT_NAMES = {
    (BATCH, "loss"): ("Train: batch loss", "loss", "loss"),
    (BATCH, "moving_loss"): ("Train: moving average loss", "~loss", "loss"),
    (BATCH, "moving_accuracy"): ("Train: moving average accuracy", "~acc", "accuracy"),
}
_SPLIT_POINT_NAMES = {
    "loss": ("Mean Loss on %s", "#loss", "loss"),
    "accuracy": ("Mean Accuracy on %s", "#acc", "accuracy"),
}


@dataclass(frozen=True)
class Curve:
    """Values by step.

    Attributes:
        step: int64 of shape (n,), strictly ascending.
        value: float64 of shape (n,); NaN where the value was not finite.
    """

    step: NDArray[np.int64]
    value: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.step)


class SeriesBuilder:
    """Grows the curves of a run event by event, at constant cost each. Not thread-safe.

    `run_started` at step s drops the points of later steps, as the training goes on from there; so does a
    point of an earlier step than the last one. Of two points at one step the newer stays, but a value that is
    not known never replaces one that is.
    """

    def __init__(self) -> None:
        self._series: dict[tuple[str, str], _Series] = {}

    def add(self, event: Event) -> None:
        """Take in the next event."""
        if isinstance(event, Progress):
            for metric in _BATCH_METRICS:
                self._append(BATCH, metric, event.step, getattr(event, metric))
        elif isinstance(event, Evaluation):
            for metric in _SPLIT_METRICS:
                self._append(event.split, metric, event.step, getattr(event, metric))
        elif isinstance(event, RunStarted):
            for series in self._series.values():
                series.rewind(event.step)

    def curve(self, split: str, metric: str) -> Curve:
        """A copy of a curve; empty where there is none.

        Args:
            split: "train-batch" for the training steps, else "train", "test" or "validation".
            metric: "loss", "moving_loss", "moving_accuracy", "mean_loss", "mean_accuracy", "learning_rate" or
                "steps_per_second" of the steps; "loss", "accuracy", "top5" or "penalty" of a split.
        """
        series = self._series.get((split, metric))
        if series is None:
            return Curve(np.empty(0, np.int64), np.empty(0, np.float64))
        return series.curve()

    def curves(self) -> dict[tuple[str, str], Curve]:
        """Copies of all curves that have points, by (split, metric)."""
        return {key: series.curve() for key, series in self._series.items() if series.count}

    def _append(self, split: str, metric: str, step: int, value: float | None) -> None:
        series = self._series.get((split, metric))
        if series is None:
            series = self._series[split, metric] = _Series()
        series.append(step, np.nan if value is None else float(value))


class _Series:
    """Two growing arrays."""

    def __init__(self) -> None:
        self.count = 0
        self._step = np.empty(64, np.int64)
        self._value = np.empty(64, np.float64)

    def append(self, step: int, value: float) -> None:
        if self.count and step <= self._step[self.count - 1]:
            known = self._at(step)
            self.rewind(step - 1)
            if known is not None and not np.isfinite(value):
                value = known
        if self.count == len(self._step):
            self._step = np.concatenate([self._step, np.empty_like(self._step)])
            self._value = np.concatenate([self._value, np.empty_like(self._value)])
        self._step[self.count] = step
        self._value[self.count] = value
        self.count += 1

    def rewind(self, step: int) -> None:
        self.count = int(np.searchsorted(self._step[: self.count], step, side="right"))

    def curve(self) -> Curve:
        return Curve(self._step[: self.count].copy(), self._value[: self.count].copy())

    def _at(self, step: int) -> float | None:
        index = int(np.searchsorted(self._step[: self.count], step))
        if index < self.count and self._step[index] == step and np.isfinite(self._value[index]):
            return float(self._value[index])
        return None


def curves(events: Iterable[Event]) -> dict[tuple[str, str], Curve]:
    """The curves of a run by (split, metric); see `SeriesBuilder` for the keys and what a rewind does."""
    builder = SeriesBuilder()
    for event in events:
        builder.add(event)
    return builder.curves()


def decimate(curve: Curve, columns: int, log_x: bool = False) -> Curve:
    """At most two points a column of a chart: the least and the greatest value in it, in order of step.

    Args:
        curve: the curve.
        columns: width of the chart in columns, at least 1.
        log_x: columns are of equal width in log(step); points at step 0 are left out, as that has no place.

    Returns:
        Points of `curve`. A column without a finite value keeps one NaN, so that a line shows a gap there.
    """
    step, value = curve.step, np.where(np.isfinite(curve.value), curve.value, np.nan)
    if log_x:
        step, value = step[step > 0], value[step > 0]
    if not len(step):
        return Curve(step, value)
    place = np.log(step) if log_x else step.astype(np.float64)
    width = place[-1] - place[0]
    columns = max(1, columns)
    scaled = (place - place[0]) * (columns / width) if width > 0 else np.zeros(len(step))
    column = np.minimum(scaled.astype(np.int64), columns - 1)
    starts = np.flatnonzero(np.diff(column, prepend=column[0] - 1))
    sizes = np.diff(starts, append=len(step))
    index = np.arange(len(step))
    picked = [starts[np.isnan(np.fmin.reduceat(value, starts))]]
    for reduce in (np.fmin, np.fmax):
        extreme = np.repeat(reduce.reduceat(value, starts), sizes)
        first = np.minimum.reduceat(np.where(value == extreme, index, len(step)), starts)
        picked.append(first[first < len(step)])
    chosen = np.unique(np.concatenate(picked))
    return Curve(step[chosen], value[chosen])


def training_plot_points(events: Iterable[Event]) -> list[dict[str, Any]]:
    """The points of ``training_plot_points.json``, the file in which GoMLX keeps the plots of a training.

    Returns:
        Objects with `MetricName`, `Short`, `MetricType`, `Step` (float) and `Value`, in order of step. Short
        names are those of the notebook's progress bar and report: "loss", "~loss" and "~acc" of the training
        steps, "#loss" and "#acc" of evaluations. Values that are not finite are left out.
    """
    points = []
    for (split, metric), curve in curves(events).items():
        batch = split == BATCH
        names = _POINT_NAMES.get((split, metric)) if batch else _SPLIT_POINT_NAMES.get(metric)
        if names is None:
            continue
        name, short, kind = names
        name = name.replace("%s", split.capitalize())
        for step, value in zip(curve.step.tolist(), curve.value.tolist(), strict=True):
            if np.isfinite(value):
                fields = {"MetricName": name, "Short": short, "MetricType": kind}
                points.append({**fields, "Step": float(step), "Value": value})
    points.sort(key=lambda point: point["Step"])
    return points
