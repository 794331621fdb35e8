"""From curves to a chart: axes, at most two points a column, signs. Pure functions, for any thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cifar_tui import charts
from cifar_tui.charts.frame import LEFT, RIGHT
from cifar_tui.charts.scales import Scale, x_scale
from cifar_tui.charts.series import clean
from cifar_tui.runs.series import Curve
from cifar_tui.tui.widgets.chart_data import EMPTY, Snapshot, Track
from cifar_tui.tui.widgets.chart_options import UNITS, ChartOptions

if TYPE_CHECKING:
    from cifar_tui.tui.live import Mark

Floats = NDArray[np.float64]
HARD_SPACE = "\u00a0"  # keeps the rules of the grid out of a text


@dataclass(frozen=True, eq=False)
class Plan:
    """A chart ready to draw.

    Attributes:
        spec: what `charts.draw` gets; in colour one row higher than there is room, as its legend goes into
            the border. Without colour lines differ by their sign, so the legend stays with them.
        scale: the x axis as it will be drawn; None without points or where there is no room for axes.
        axis: from steps to the x axis.
        signs: column of the plot, kind and text of what happened there.
        values: label, role and exact curve of each line, for the cursor.
        bad: what is not finite and where it began; empty when all is well.
    """

    spec: charts.ChartSpec
    scale: Scale | None
    axis: Axis
    signs: Sequence[tuple[int, str, str]]
    values: Sequence[tuple[str, str, Curve]]
    bad: str = ""


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
    """Seconds in training by step: the rate summed up, scaled to end at the time that was measured."""
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


def plan(snap: Snapshot, options: ChartOptions, width: int, height: int, **look: Any) -> Plan:
    """A chart of at most two points a column, and the newest point of each line.

    Args:
        snap: what to show.
        options: how.
        width: cells across.
        height: lines.
        look: further fields of `ChartSpec`: marker, colour, palette, dark.
    """
    axis = Axis(options.x_axis, snap.track)
    plot = max(2, width - LEFT - RIGHT)
    sources = _sources(snap)
    placed = [(axis if own else _axis_of(track, axis), curve) for *_, own, track, curve in sources]
    span = _span(placed, axis, snap.target, options.log_x)
    lines: list[charts.Line] = []
    values: list[tuple[str, str, Curve]] = []
    for (label, role, smooth, *_), (its_axis, curve) in zip(sources, placed, strict=True):
        thin = _thinned(curve, its_axis, span, plot, options, smooth)
        if len(thin):
            valued = role != "batch"  # the raw band jumps with every batch, and its last value says nothing
            lines.append(charts.Line(label, its_axis.place(thin.step), thin.value, role, valued))
            if valued:
                values.append((label, role, curve))
    if snap.reference is not None and span is not None and lines:
        label, value = snap.reference
        lines.append(charts.Line(label, np.array(span), np.full(2, value), "ghost"))
    end = span[1] if span is not None else None
    has_axes = width >= 20 and height >= 4
    spec = charts.ChartSpec(
        "",
        lines,
        width,
        height + (has_axes and look.get("colour", True)),
        log_x=options.log_x,
        unit=UNITS[snap.kind],
        x_label=axis.label,
        x_end=end,
        marks=_best_mark(snap, axis),
        **look,
    )
    scale = _scale(lines, span, plot, options.log_x) if has_axes else None
    return Plan(spec, scale, axis, _signs(snap.marks, axis, scale, plot), values, _bad(values))


_Source = tuple[str, str, bool, bool, Track, Curve]  # label, role, smoothed, of this run, its track, curve


def _sources(snap: Snapshot) -> list[_Source]:
    track = snap.track
    found: list[_Source] = []
    for label, role, other in snap.others:
        curve = other.splits.get("test", EMPTY) if other.splits else other.smooth
        found.append((label, role, False, False, other, curve))
    if snap.kind in {"rate", "learning_rate"}:
        label = "steps/s" if snap.kind == "rate" else "learning rate"
        return [*found, (label, "accent", snap.kind == "rate", True, track, track.smooth)]
    if len(track.smooth):
        if len(track.raw):
            found.append(("batch", "batch", False, True, track, track.raw))
        found.append(("train", "train", True, True, track, track.smooth))
    else:
        found.append(("train", "train", False, True, track, track.splits.get("train", EMPTY)))
    found += [
        (split, split, False, True, track, track.splits.get(split, EMPTY)) for split in ("validation", "test")
    ]
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
    curve: Curve,
    axis: Axis,
    span: tuple[float, float] | None,
    columns: int,
    options: ChartOptions,
    smooth: bool,
) -> Curve:
    if span is None or not len(curve):
        return EMPTY
    if options.log_x:
        first = int(np.searchsorted(curve.step, 1))
        curve = Curve(curve.step[first:], curve.value[first:])
        if not len(curve):
            return curve
    low, high = span
    places = (
        np.geomspace(low, max(high, low), columns + 1)
        if options.log_x
        else np.linspace(low, high, columns + 1)
    )
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
    good = np.abs(curve.value) < 1e290  # a column of larger ones has no sum; the raw band shows them
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


def _bad(values: Sequence[tuple[str, str, Curve]]) -> str:
    steps = [curve.step[~np.isfinite(curve.value)] for _, _, curve in values]
    first = min((int(part[0]) for part in steps if len(part)), default=None)
    return "" if first is None else f"! not finite from {first:,}"


def _scale(
    lines: Sequence[charts.Line], span: tuple[float, float] | None, columns: int, log_x: bool
) -> Scale | None:
    """The x axis that `charts.draw` will choose for these lines."""
    if span is None or not lines or (log_x and span[1] <= 0):
        return None
    parts = [part for line in lines for found in [clean(line, log_x)] for part in (found.x, found.bad_x)]
    places = np.concatenate([*parts, [span[1]]])
    return x_scale(float(places.min()), float(places.max()), columns, log_x)


def _best_mark(snap: Snapshot, axis: Axis) -> Sequence[charts.Mark]:
    if snap.best is None:
        return ()
    split, step, _ = snap.best
    curve = snap.track.splits.get(split, EMPTY)
    index = int(np.searchsorted(curve.step, step))
    if index >= len(curve) or curve.step[index] != step or not np.isfinite(curve.value[index]):
        return ()
    value = float(curve.value[index])
    text = f"{100 * value:.1f}%" if snap.kind == "accuracy" else f"{value:.3f}"
    place = float(axis.place(np.array([float(step)]))[0])
    return (charts.Mark(place, value, f"best {text} at {step:,}".replace(" ", HARD_SPACE), split),)


def _signs(
    marks: Sequence[Mark], axis: Axis, scale: Scale | None, columns: int
) -> list[tuple[int, str, str]]:
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


def column_of(plan: Plan, step: float) -> int | None:
    """The column of the plot at a step; None without an axis or where the step has no place on it."""
    if plan.scale is None:
        return None
    place = plan.axis.place(np.array([step]))
    if plan.scale.log and place[0] <= 0:
        return 0
    return round(float(plan.scale.cells(place)[0]))


def step_of(plan: Plan, column: int) -> float | None:
    """The step in the middle of a column of the plot; None without an axis."""
    if plan.scale is None:
        return None
    place = plan.scale.start + column * plan.scale.per_cell
    return float(plan.axis.steps(np.array([10.0**place if plan.scale.log else place]))[0])
