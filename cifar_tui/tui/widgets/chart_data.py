"""What a chart shows of a run, copied at one moment so that another thread may draw it. No Textual.

The loss of training batches includes the L2 penalty, that of evaluations does not. Before both stand in one
chart the penalty is taken off the batch loss, as it was at each evaluation and between them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from cifar_tui.runs.series import BATCH, Curve, SeriesBuilder
from cifar_tui.tui.widgets.chart_options import ChartOptions, Kind

if TYPE_CHECKING:
    from cifar_tui.tui.live import LiveRun, Mark

_BATCH_METRICS: Mapping[Kind, tuple[str | None, str]] = {  # the raw curve, and the smooth one
    "loss": ("loss", "moving_loss"),
    "accuracy": (None, "moving_accuracy"),
    "rate": (None, "steps_per_second"),
    "learning_rate": (None, "learning_rate"),
}
EMPTY = Curve(np.empty(0, np.int64), np.empty(0, np.float64))


@dataclass(frozen=True, eq=False)
class Track:
    """The curves of one run that a chart needs, copied so that another thread may read them.

    Attributes:
        raw: batch values; empty where only averages are recorded.
        smooth: the moving average of them.
        splits: evaluations by split.
        rate: steps per second, for the axis in time; empty on other axes.
        seconds: time spent in steps.
        steps_per_epoch: 0 where it is not known.
    """

    raw: Curve = EMPTY
    smooth: Curve = EMPTY
    splits: Mapping[str, Curve] = field(default_factory=dict)
    rate: Curve = EMPTY
    seconds: float = 0.0
    steps_per_epoch: int = 0


@dataclass(frozen=True, eq=False)
class Other:
    """Another run behind or over the chart: `role` is "ghost" or "other:<n>"."""

    label: str
    role: str
    series: SeriesBuilder
    seconds: float
    steps_per_epoch: int


@dataclass(frozen=True, eq=False)
class Snapshot:
    """All that a chart of one kind shows, at one moment.

    Attributes:
        kind: what is drawn.
        track: the run in the panes.
        others: label, role and curves of other runs.
        reference: label and final value that were published for this recipe, or None.
        marks: what happened at which step.
        best: split, step and accuracy of the best evaluation, or None.
        target: step at which the run is done; 0 where it is not known.
    """

    kind: Kind
    track: Track
    others: Sequence[tuple[str, str, Track]] = ()
    reference: tuple[str, float] | None = None
    marks: Sequence[Mark] = ()
    best: tuple[str, int, float] | None = None
    target: int = 0


# ---- taking a snapshot, in the thread that owns the run ----


def track_of(
    series: SeriesBuilder, kind: Kind, options: ChartOptions, seconds: float, steps_per_epoch: int, l2: bool
) -> Track:
    """Copies of the curves that a chart of this kind needs.

    Args:
        series: the run's curves.
        kind: what is drawn.
        options: the x axis decides whether the rate is needed.
        seconds: time spent in steps.
        steps_per_epoch: 0 where it is not known.
        l2: the batch loss includes a penalty.
    """
    raw_name, smooth_name = _BATCH_METRICS[kind]
    raw = series.curve(BATCH, raw_name) if raw_name else EMPTY
    smooth = series.curve(BATCH, smooth_name)
    splits: dict[str, Curve] = {}
    if kind in {"loss", "accuracy"}:
        splits = {name: series.curve(name, kind) for name in ("train", "validation", "test")}
    if kind == "loss" and l2:
        penalty = series.curve("train", "penalty")
        if not len(penalty):
            penalty = series.curve("test", "penalty")
        raw, smooth = (_without(penalty, curve) for curve in (raw, smooth))
    rate = series.curve(BATCH, "steps_per_second") if options.x_axis == "time" else EMPTY
    return Track(raw, smooth, splits, rate, seconds, steps_per_epoch)


def _without(penalty: Curve, curve: Curve) -> Curve:
    """A batch loss without the penalty; empty where the penalty is not known.

    A penalty decays about exponentially, so its logarithm is taken as straight between two evaluations,
    before the first and after the last one.
    """
    known = np.isfinite(penalty.value) & (penalty.value > 0)
    if not known.any():
        return EMPTY
    steps, logs = penalty.step[known].astype(np.float64), np.log(penalty.value[known])
    found = np.interp(curve.step, steps, logs)
    if len(steps) > 1:
        slopes = np.minimum(0.0, np.diff(logs) / np.diff(steps))
        found += slopes[0] * np.minimum(0.0, curve.step - steps[0])
        found += slopes[-1] * np.maximum(0.0, curve.step - steps[-1])
    return Curve(curve.step, curve.value - np.exp(found))


def snapshot(live: LiveRun, kind: Kind, options: ChartOptions, others: Sequence[Other] = ()) -> Snapshot:
    """What a chart shows of a run now."""
    config = live.config or {}
    l2 = bool(config.get("l2_reg"))
    track = track_of(live.series, kind, options, live.seconds, live.steps_per_epoch, l2)
    known = [
        (
            other.label,
            other.role,
            track_of(other.series, kind, options, other.seconds, other.steps_per_epoch, l2),
        )
        for other in others
        if other.role != "ghost" or kind in {"loss", "accuracy"}
    ]
    best = None
    if live.best is not None and kind in {"loss", "accuracy"}:
        best = (live.best.split, live.best.step, live.best.accuracy)
    return Snapshot(kind, track, known, reference(config, kind), tuple(live.marks), best, live.target)


def reference(config: Mapping[str, Any], kind: Kind) -> tuple[str, float] | None:
    """What the original notebook published for this model and dataset: a label and the final test value."""
    if kind not in {"loss", "accuracy"} or not config:
        return None
    from cifar_tui import catalog

    for name in catalog.names("presets"):
        module = catalog.get("presets", name)
        known = getattr(module, "REFERENCE", None)
        values: Mapping[str, Any] = module.VALUES
        same = all(config.get(key) == values.get(key) for key in ("model", "dataset"))
        if known is not None and same and config.get("labels", "fine") == "fine":
            value = known.get("test", {}).get(kind)
            if isinstance(value, int | float):
                penalised = kind == "loss" and values.get("l2_reg")
                return ("notebook, with penalty" if penalised else "notebook", float(value))
    return None
