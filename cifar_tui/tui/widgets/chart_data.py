"""What a chart draws, from a run's curves: pure functions of numbers, for any thread. No Textual.

The loss of training batches includes the L2 penalty, that of evaluations does not. Before both stand in one
chart the penalty is taken off the batch loss, as it was at each evaluation and straight in between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from cifar_tui import charts
from cifar_tui.runs.series import BATCH, Curve, SeriesBuilder

if TYPE_CHECKING:
    from cifar_tui.tui.live import LiveRun, Mark

Kind = Literal["loss", "accuracy", "rate", "learning_rate"]
Floats = NDArray[np.float64]

TITLES: Mapping[Kind, str] = {
    "loss": "Loss",
    "accuracy": "Accuracy",
    "rate": "Steps per second",
    "learning_rate": "Learning rate",
}
UNITS: Mapping[Kind, charts.Unit] = {
    "loss": "loss",
    "accuracy": "fraction",
    "rate": "count",
    "learning_rate": "loss",
}
PARTNERS: Mapping[Kind, Kind] = {"loss": "rate", "accuracy": "learning_rate"}
SMOOTHING = (0.0, 0.6, 0.8, 0.9, 0.95, 0.98)
_BATCH_METRICS: Mapping[Kind, tuple[str | None, str]] = {  # the raw curve, and the smooth one
    "loss": ("loss", "moving_loss"),
    "accuracy": (None, "moving_accuracy"),
    "rate": (None, "steps_per_second"),
    "learning_rate": (None, "learning_rate"),
}
_EMPTY = Curve(np.empty(0, np.int64), np.empty(0, np.float64))


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

    raw: Curve = _EMPTY
    smooth: Curve = _EMPTY
    splits: Mapping[str, Curve] = field(default_factory=dict)
    rate: Curve = _EMPTY
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


@dataclass(frozen=True, eq=False)
class Plan:
    """A chart ready to draw.

    Attributes:
        spec: what `charts.draw` gets, one row higher than there is room, as its legend goes into the border.
        scale: the x axis as it will be drawn; None without points or where there is no room for axes.
        axis: from steps to the x axis.
        signs: column of the plot, kind and text of what happened there.
        values: label, role and exact curve of each line, for the cursor.
    """

    spec: charts.ChartSpec
    scale: Any
    axis: Axis
    signs: Sequence[tuple[int, str, str]]
    values: Sequence[tuple[str, str, Curve]]


class Axis:
    """From steps to the x axis and back."""

    def __init__(self, x_axis: str, track: Track) -> None:
        self.per_epoch = track.steps_per_epoch
        self.kind = "step" if x_axis == "epoch" and self.per_epoch <= 0 else x_axis
        self.label = self.kind
        self._steps, self._times = np.zeros(1), np.zeros(1)
        if self.kind == "time":
            self._steps, seconds = _clock(track)
            longest = float(seconds[-1]) if seconds.size else 0.0
            self.label, unit = ("s", 1) if longest < 300 else ("min", 60) if longest < 18_000 else ("h", 3600)
            self._times = seconds / unit

    def place(self, steps: Floats | NDArray[np.int64]) -> Floats:
        """Steps on the axis."""
        if self.kind == "epoch":
            return np.asarray(steps, np.float64) / self.per_epoch
        if self.kind == "time":
            return np.interp(steps, self._steps, self._times)
        return np.asarray(steps, np.float64)

    def steps(self, places: Floats) -> Floats:
        """Places on the axis as steps, with fractions."""
        if self.kind == "epoch":
            return np.asarray(places, np.float64) * self.per_epoch
        if self.kind == "time":
            return np.interp(places, self._times, self._steps)
        return np.asarray(places, np.float64)


def _clock(track: Track) -> tuple[Floats, Floats]:
    """Seconds in training by step: the rate summed up, scaled so that its end is the time that was measured."""
    steps, rate = track.rate.step.astype(np.float64), track.rate.value
    good = np.isfinite(rate) & (rate > 0)
    steps, rate = steps[good], rate[good]
    if not steps.size:
        return np.zeros(1), np.zeros(1)
    steps = np.concatenate([[0.0], steps])
    seconds = np.concatenate([[0.0], np.cumsum(np.diff(steps) / rate)])
    if track.seconds > 0 and seconds[-1] > 0:
        seconds *= track.seconds / seconds[-1]
    return steps, seconds


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
    raw = series.curve(BATCH, raw_name) if raw_name else _EMPTY
    smooth = series.curve(BATCH, smooth_name)
    splits: dict[str, Curve] = {}
    if kind in {"loss", "accuracy"}:
        splits = {name: series.curve(name, kind) for name in ("train", "validation", "test")}
    if kind == "loss" and l2:
        penalty = series.curve("train", "penalty")
        if not len(penalty):
            penalty = series.curve("test", "penalty")
        raw, smooth = (_without(penalty, curve) for curve in (raw, smooth))
    rate = series.curve(BATCH, "steps_per_second") if options.x_axis == "time" else _EMPTY
    return Track(raw, smooth, splits, rate, seconds, steps_per_epoch)


def _without(penalty: Curve, curve: Curve) -> Curve:
    """A batch loss without the penalty; empty where the penalty is not known."""
    known = np.isfinite(penalty.value)
    if not known.any():
        return _EMPTY
    return Curve(curve.step, curve.value - np.interp(curve.step, penalty.step[known], penalty.value[known]))


def snapshot(
    live: LiveRun, kind: Kind, options: ChartOptions, others: Sequence[Other] = ()
) -> Snapshot:
    """What a chart shows of a run now."""
    config = live.config or {}
    l2 = bool(config.get("l2_reg"))
    track = track_of(live.series, kind, options, live.seconds, live.steps_per_epoch, l2)
    known = [
        (other.label, other.role, track_of(other.series, kind, options, other.seconds, other.steps_per_epoch, l2))
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


# ---- planning, in any thread ----


def plan(snap: Snapshot, options: ChartOptions, width: int, height: int, **look: Any) -> Plan:
    """A chart of at most two points a column, and the newest point of each line.

    Args:
        snap: what to show.
        options: how.
        width, height: cells there are.
        look: further fields of `ChartSpec`: marker, colour, palette, dark.
    """
    axis = Axis(options.x_axis, snap.track)
    plot = max(2, width - charts_left() - charts_right())
    sources = _sources(snap)
    span = _span([(axis if own else _axis_of(track, axis), curve) for *_, own, track, curve in sources],
                 axis, snap.target, options.log_x)
    lines: list[charts.Line] = []
    values: list[tuple[str, str, Curve]] = []
    for label, role, smooth, own, track, curve in sources:
        its_axis = axis if own else _axis_of(track, axis)
        thin = _thinned(curve, its_axis, span, plot, options, smooth)
        if len(thin):
            lines.append(charts.Line(label, its_axis.place(thin.step), thin.value, role))
            if role != "batch":
                values.append((label, role, curve))
    if snap.reference is not None and span is not None and lines:
        label, value = snap.reference
        lines.append(charts.Line(label, np.array(span), np.full(2, value), "ghost"))
    end = span[1] if span is not None else None
    spec = charts.ChartSpec(
        "", lines, width, height + 1, log_x=options.log_x, unit=UNITS[snap.kind], x_label=axis.label,
        x_end=end, marks=_best_mark(snap, axis), **look,
    )  # fmt: skip
    scale = _scale(lines, span, plot, options.log_x) if width >= 20 and height >= 4 else None
    return Plan(spec, scale, axis, _signs(snap.marks, axis, scale, plot), values)


def charts_left() -> int:
    """Cells left of the plot."""
    from cifar_tui.charts.frame import LEFT

    return LEFT


def charts_right() -> int:
    """Cells right of the plot."""
    from cifar_tui.charts.frame import RIGHT

    return RIGHT


_Source = tuple[str, str, bool, bool, Track, Curve]  # label, role, smoothed, of this run, its track, curve


def _sources(snap: Snapshot) -> list[_Source]:
    track = snap.track
    found: list[_Source] = []
    for label, role, other in snap.others:
        curve = other.splits.get("test", _EMPTY) if other.splits else other.smooth
        found.append((label, role, False, False, other, curve))
    if snap.kind in {"rate", "learning_rate"}:
        label = "steps/s" if snap.kind == "rate" else "learning rate"
        return [*found, (label, "accent", snap.kind == "rate", True, track, track.smooth)]
    if len(track.smooth):
        if len(track.raw):
            found.append(("batch", "batch", False, True, track, track.raw))
        found.append(("train", "train", True, True, track, track.smooth))
    else:
        found.append(("train", "train", False, True, track, track.splits.get("train", _EMPTY)))
    for split in ("validation", "test"):
        found.append((split, split, False, True, track, track.splits.get(split, _EMPTY)))
    return [source for source in found if len(source[-1])]


def _axis_of(track: Track, main: Axis) -> Axis:
    """The axis of another run in the units of the main one."""
    axis = Axis(main.kind, track if track.steps_per_epoch else replace(track, steps_per_epoch=main.per_epoch))
    if main.kind == "time" and axis.label != main.label:
        factor = {"s": 1.0, "min": 60.0, "h": 3600.0}
        axis._times = axis._times * (factor[axis.label] / factor[main.label])
    return axis


def _span(
    curves: Sequence[tuple[Axis, Curve]], axis: Axis, target: int, log_x: bool
) -> tuple[float, float] | None:
    """The ends of the x axis, or None without a point to place."""
    lows, highs = [], []
    for its_axis, curve in curves:
        steps = curve.step[int(np.searchsorted(curve.step, 1)) :] if log_x else curve.step
        if len(steps):
            ends = its_axis.place(steps[[0, -1]])
            lows.append(float(ends[0]))
            highs.append(float(ends[1]))
    if not lows:
        return None
    high = max(highs)
    if axis.kind != "time" and target > 0:
        high = max(high, float(axis.place(np.array([float(target)]))[0]))
    low = min(lows)
    if log_x and low <= 0:
        low = high / 1e6 if high > 0 else 1.0
    return low, high


def _thinned(
    curve: Curve, axis: Axis, span: tuple[float, float] | None, columns: int, options: ChartOptions, smooth: bool
) -> Curve:
    if span is None or not len(curve):
        return _EMPTY
    if options.log_x:
        first = int(np.searchsorted(curve.step, 1))
        curve = Curve(curve.step[first:], curve.value[first:])
        if not len(curve):
            return curve
    low, high = span
    places = np.geomspace(low, max(high, low), columns + 1) if options.log_x else np.linspace(low, high, columns + 1)
    starts = _starts(curve, axis.steps(places[1:-1]))
    if smooth and options.smoothing > 0:
        return _smoothed(curve, starts, options.smoothing)
    return thin(curve, starts)


def _starts(curve: Curve, edges: Floats) -> NDArray[np.int64]:
    """The first index of each column that has points."""
    found = np.searchsorted(curve.step, np.ceil(edges), side="left")
    starts = np.unique(np.concatenate([[0], found]))
    return starts[starts < len(curve)].astype(np.int64)


def thin(curve: Curve, starts: NDArray[np.int64]) -> Curve:
    """The least and the greatest value of each column, and the newest point, in order.

    A column without a finite value keeps one NaN, so that the line shows a gap there.
    """
    step, value = curve.step, np.where(np.isfinite(curve.value), curve.value, np.nan)
    lows, highs = np.fmin.reduceat(value, starts), np.fmax.reduceat(value, starts)
    chosen = {len(step) - 1}
    stops = [*starts[1:].tolist(), len(step)]
    for start, stop, low, high in zip(starts.tolist(), stops, lows.tolist(), highs.tolist(), strict=True):
        if low != low:  # noqa: PLR0124 - NaN
            chosen.add(start)
            continue
        part = value[start:stop]
        chosen.add(start + int((part == low).argmax()))
        chosen.add(start + int((part == high).argmax()))
    picked = np.array(sorted(chosen), np.int64)
    return Curve(step[picked], value[picked])


def _smoothed(curve: Curve, starts: NDArray[np.int64], weight: float) -> Curve:
    """The mean of each column, exponentially averaged over columns; the newest point stays as recorded."""
    good = np.isfinite(curve.value)
    counts = np.add.reduceat(good.astype(np.int64), starts)
    sums = np.add.reduceat(np.where(good, curve.value, 0.0), starts)
    sizes = np.diff(starts, append=len(curve))
    middle = curve.step[starts + (sizes - 1) // 2]
    average, total = 0.0, 0.0
    values = []
    for count, amount in zip(counts.tolist(), sums.tolist(), strict=True):
        if not count:
            values.append(np.nan)
            continue
        average = weight * average + (1 - weight) * (amount / count)
        total = weight * total + (1 - weight)
        values.append(average / total)
    step, value = middle.astype(np.int64), np.array(values)
    last = curve.step[-1:]
    if step[-1] < last[0]:
        return Curve(np.concatenate([step, last]), np.concatenate([value, curve.value[-1:]]))
    value[-1] = curve.value[-1]
    return Curve(step, value)


def _scale(lines: Sequence[charts.Line], span: tuple[float, float] | None, columns: int, log_x: bool) -> Any:
    """The x axis that `charts.draw` will choose for these lines."""
    if span is None or not lines:
        return None
    from cifar_tui.charts.scales import x_scale
    from cifar_tui.charts.series import clean

    parts = [part for line in lines for found in [clean(line, log_x)] for part in (found.x, found.bad_x)]
    places = np.concatenate([*parts, [span[1]]])
    return x_scale(float(places.min()), float(places.max()), columns, log_x)


def _best_mark(snap: Snapshot, axis: Axis) -> Sequence[charts.Mark]:
    if snap.best is None:
        return ()
    split, step, _ = snap.best
    curve = snap.track.splits.get(split, _EMPTY)
    index = int(np.searchsorted(curve.step, step))
    if index >= len(curve) or curve.step[index] != step or not np.isfinite(curve.value[index]):
        return ()
    value = float(curve.value[index])
    text = f"{100 * value:.1f}%" if snap.kind == "accuracy" else f"{value:.3f}"
    place = float(axis.place(np.array([float(step)]))[0])
    return (charts.Mark(place, value, f"best {text} at {step:,}", split),)


def _signs(marks: Sequence[Mark], axis: Axis, scale: Any, columns: int) -> list[tuple[int, str, str]]:
    """One sign a column; a change of the learning rate or a divergence before a checkpoint."""
    if scale is None:
        return []
    found: dict[int, tuple[int, str, str]] = {}
    ranks = {"checkpoint": 0, "best": 1, "resume": 2, "learning_rate": 3, "diverged": 4}
    for mark in marks[-2000:]:
        if scale.log and mark.step <= 0:
            continue
        column = round(float(scale.cells(axis.place(np.array([float(mark.step)])))[0]))
        known = found.get(column)
        if 0 <= column < columns and (known is None or ranks.get(mark.kind, 0) >= ranks.get(known[1], 0)):
            found[column] = (column, mark.kind, mark.text)
    return list(found.values())


def value_at(curve: Curve, step: float) -> tuple[int, float]:
    """The point of a curve nearest to a step: its step and value. The curve has a point."""
    index = int(np.searchsorted(curve.step, step))
    if index >= len(curve) or (
        index > 0 and step - int(curve.step[index - 1]) <= int(curve.step[index]) - step
    ):
        index -= 1
    return int(curve.step[index]), float(curve.value[index])
