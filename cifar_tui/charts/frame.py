"""A whole chart: title and legend, plot, axes, last values; every line exactly as wide as asked."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from cifar_tui.charts import labels, series
from cifar_tui.charts.canvas import Stroke, paint
from cifar_tui.charts.cells import CellGrid, Style, cell_width, clip, plain
from cifar_tui.charts.colours import role_colour
from cifar_tui.charts.numbers import TICK_WIDTH, VALUE_WIDTH, value_label
from cifar_tui.charts.scales import Scale, x_scale, y_scale
from cifar_tui.charts.series import CleanSeries
from cifar_tui.charts.spec import ChartSpec, Line

LEFT = TICK_WIDTH + 1  # tick labels and the axis
RIGHT = VALUE_WIDTH + 1  # a space and the last values
TOP, BOTTOM = 1, 2  # legend; axis and its labels
_SMALLEST = (20, 5)
_BEHIND = ("ghost", "batch")
_CELL_SIGNS = "+xo#%=&~"
_ROLES = ("train", "test", "validation", "batch")  # the same sign in every chart


@dataclass(frozen=True, eq=False)
class Drawn:
    """A line with its points in cell coordinates of the plot; rows count from the bottom."""

    line: Line
    points: CleanSeries
    columns: NDArray[np.float64]
    rows: NDArray[np.float64]


def draw(spec: ChartSpec) -> str:
    """The chart as text.

    Returns:
        Exactly `spec.height` lines, each exactly `spec.width` cells wide, joined by newlines, with no newline
        at the end. Below 20 by 5 cells the last values on one line; an empty string without any room.
    """
    if spec.width <= 0 or spec.height <= 0:
        return ""
    cleaned = [(line, series.clean(line, spec.log_x, spec.log_y)) for line in spec.lines]
    grid = CellGrid(spec.width, spec.height)
    if spec.width < _SMALLEST[0] or spec.height < _SMALLEST[1]:
        _draw_tiny(grid, spec, cleaned)
        return grid.text(spec.colour)
    width, height = spec.width - LEFT - RIGHT, spec.height - TOP - BOTTOM
    x_axis, y_axis = _axes(spec, [points for _, points in cleaned], width, height)
    drawn = [_on_cells(line, points, x_axis, y_axis) for line, points in cleaned]
    _draw_axes(grid, spec, x_axis, y_axis)
    signs = _signs(spec)
    _draw_lines(grid, spec, drawn, signs)
    _draw_bad(grid, spec, cleaned, x_axis)
    _draw_legend(grid, spec, cleaned, signs)
    if all(item.columns.size == 0 for item in drawn):
        note = "no points yet" if all(points.bad_x.size == 0 for _, points in cleaned) else "no finite values"
        grid.put(TOP + height // 2, LEFT + (width - len(note)) // 2, note, style(spec, "muted"))
    else:
        _draw_last_values(grid, spec, drawn)  # before the texts of marks, which can stand elsewhere
        labels.draw_marks(grid, spec, x_axis, y_axis)
    if y_axis is not None:
        _draw_rules(grid, spec, y_axis)
    return grid.text(spec.colour)


def draw_columns(specs: Sequence[ChartSpec], gap: int = 2) -> str:
    """Charts side by side, `gap` cells apart; lower ones are filled up with empty lines."""
    columns = [draw(spec).split("\n") for spec in specs if spec.width > 0 and spec.height > 0]
    widths = [spec.width for spec in specs if spec.width > 0 and spec.height > 0]
    rows = zip_longest(*columns)
    return "\n".join(
        (" " * max(gap, 0)).join(
            cell if cell is not None else " " * width for cell, width in zip(row, widths, strict=True)
        )
        for row in rows
    )


def style(spec: ChartSpec, role: str, bold: bool = False) -> Style:
    """The style of a role in this chart."""
    return Style(role_colour(role, spec.palette, spec.dark), bold)


# ---- axes ----


def _axes(
    spec: ChartSpec, points: Sequence[CleanSeries], width: int, height: int
) -> tuple[Scale | None, Scale | None]:
    xs = np.concatenate([part for item in points for part in (item.x, item.bad_x)] or [np.zeros(0)])
    ys = np.concatenate([item.y for item in points] or [np.zeros(0)])
    end = spec.x_end if spec.x_end is not None and abs(spec.x_end) < 1e30 else None
    if end is not None and (end > 0 or not spec.log_x):
        xs = np.append(xs, [end] if xs.size or spec.log_x else [0.0, end])
    x_axis = x_scale(float(xs.min()), float(xs.max()), width, spec.log_x) if xs.size else None
    y_axis = y_scale(float(ys.min()), float(ys.max()), height, spec.unit, spec.log_y) if ys.size else None
    return x_axis, y_axis


def _on_cells(line: Line, points: CleanSeries, x_axis: Scale | None, y_axis: Scale | None) -> Drawn:
    if x_axis is None or y_axis is None or points.x.size == 0:
        return Drawn(line, points, np.zeros(0), np.zeros(0))
    columns = x_axis.cells(points.x)
    kept = series.keep_extremes(np.rint(columns).astype(np.int64), points.y)
    thin = CleanSeries(
        points.x[kept], points.y[kept], points.piece[kept], points.bad_x, points.ends_badly, points.last
    )
    return Drawn(line, thin, columns[kept], y_axis.cells(thin.y))


def _draw_axes(grid: CellGrid, spec: ChartSpec, x_axis: Scale | None, y_axis: Scale | None) -> None:
    upright, level, corner, tick_y, tick_x = "|-++'" if spec.marker == "ascii" else "│─└┤┴"
    axis, muted = style(spec, "axis"), style(spec, "muted")
    floor = grid.height - BOTTOM
    for row in range(TOP, floor):
        grid.put(row, LEFT - 1, upright, axis)
    grid.put(floor, LEFT - 1, corner + level * (grid.width - LEFT - RIGHT), axis)
    for row, label in y_axis.ticks if y_axis else ():
        grid.put(floor - 1 - row, 0, label.rjust(TICK_WIDTH), muted)
        grid.put(floor - 1 - row, LEFT - 1, tick_y, axis)
    taken = 0
    for column, label in x_axis.ticks if x_axis else ():
        grid.put(floor, LEFT + column, "+" if spec.marker == "ascii" else tick_x, axis)
        start = min(max(LEFT + column - (len(label) - 1) // 2, taken), grid.width - len(label))
        if start <= LEFT + column < start + len(label):
            taken = grid.put(floor + 1, start, label, muted) + 1
    name = clip(plain(spec.x_label), RIGHT - 1)
    start = grid.width - cell_width(name)
    if grid.blank(floor + 1, start - 1, grid.width):
        grid.put(floor + 1, start, name, muted)


def _draw_rules(grid: CellGrid, spec: ChartSpec, y_axis: Scale) -> None:
    """A faint rule across the plot at each tick, only where nothing else stands."""
    if not spec.colour or spec.marker == "ascii":
        return  # without colour a rule reads as data
    rule = style(spec, "grid")
    for tick, _ in y_axis.ticks:
        row = grid.height - BOTTOM - 1 - tick
        grid.fill(row, LEFT, grid.width - RIGHT, "╌", rule)


# ---- data ----


def _signs(spec: ChartSpec) -> dict[int, str]:
    """The plotext marker of each line, by its `id`: without colour each line needs its own sign."""
    ascii_only = spec.marker == "ascii"
    signs = {id(line): "." if ascii_only else "·" for line in spec.lines}
    front = [line for line in spec.lines if line.role != "ghost"]
    if spec.colour and not ascii_only:
        return signs | {id(line): spec.marker for line in front}
    places = ("*" if ascii_only else spec.marker, *_CELL_SIGNS)
    nth = {role: place for place, role in enumerate(_ROLES) if any(line.role == role for line in front)}
    free = itertools.cycle([place for place in range(len(places)) if place not in nth.values()])
    for line in front:
        place = nth.pop(line.role, None)  # a second line of a role has a sign of its own
        signs[id(line)] = places[next(free) if place is None else place]
    return signs


def _draw_lines(grid: CellGrid, spec: ChartSpec, drawn: Sequence[Drawn], signs: dict[int, str]) -> None:
    width, height = grid.width - LEFT - RIGHT, grid.height - TOP - BOTTOM
    strokes: list[Stroke] = []
    for owner, item in sorted(enumerate(drawn), key=lambda pair: _depth(pair[1].line.role)):
        sign = signs[id(item.line)]
        joined = item.line.role != "ghost"
        for part in series.pieces(np.rint(item.columns).astype(np.int64), item.points.piece):
            columns, rows = item.columns[part], item.rows[part]
            if not joined and columns.size > 1:
                spots = np.arange(np.ceil(columns[0]), columns[-1] + 0.5, 2)
                columns, rows = spots, np.interp(spots, columns, rows)
            strokes.append(Stroke(owner, columns, rows, sign, joined))
    inks = [style(spec, item.line.role) for item in drawn]
    for row, cells in enumerate(paint(width, height, strokes), start=TOP):
        for column, (char, owner) in enumerate(cells, start=LEFT):
            if owner >= 0:
                grid.put(row, column, char, inks[owner])
    for item, ink in zip(drawn, inks, strict=True):
        if item.columns.size == 1:  # one braille dot alone is easily missed
            row = grid.height - BOTTOM - 1 - round(float(item.rows[0]))
            dot = signs[id(item.line)] if spec.marker == "ascii" else "●"
            grid.put(row, LEFT + round(float(item.columns[0])), dot, ink)


def _depth(role: str) -> int:
    return _BEHIND.index(role) if role in _BEHIND else len(_BEHIND)


def _draw_bad(
    grid: CellGrid, spec: ChartSpec, cleaned: Sequence[tuple[Line, CleanSeries]], x_axis: Scale | None
) -> None:
    """A ``!`` on the axis under every column that has a value which is not finite."""
    if x_axis is None:
        return
    for _, points in cleaned:
        for column in np.unique(np.rint(x_axis.cells(points.bad_x))).astype(int).tolist():
            grid.put(grid.height - BOTTOM, LEFT + column, "!", style(spec, "bad", bold=True))


# ---- text around ----


def _draw_legend(
    grid: CellGrid, spec: ChartSpec, cleaned: Sequence[tuple[Line, CleanSeries]], signs: dict[int, str]
) -> None:
    note = labels.bad_note(points.bad_x for _, points in cleaned)
    title = plain(spec.title)
    column = 0
    if title:
        column = grid.put(0, 0, clip(title, grid.width), style(spec, "text", bold=True)) + 3
    end = grid.width - (cell_width(note) + 2 if note else 0)
    for line in sorted(spec.lines, key=lambda line: line.role == "ghost"):
        sign = signs[id(line)]
        sample = {"braille": "──", "hd": "──", "·": "··"}.get(sign, sign * 2)
        label = clip(plain(line.label), end - column - 3)
        if not label or cell_width(label) < min(cell_width(plain(line.label)), 3):
            break
        column = grid.put(0, column, sample, style(spec, line.role)) + 1
        column = grid.put(0, column, label, style(spec, "muted" if line.role == "ghost" else line.role)) + 2
    if note and end > column - 2:
        grid.put(0, end + 2, note, style(spec, "bad"))
    elif note:
        grid.put(0, grid.width - 1, "!", style(spec, "bad", bold=True))


def _draw_last_values(grid: CellGrid, spec: ChartSpec, drawn: Sequence[Drawn]) -> None:
    height = grid.height - TOP - BOTTOM
    shown = [item for item in drawn if item.columns.size and item.line.valued]
    shown = sorted(shown, key=lambda item: _depth(item.line.role), reverse=True)[:height]
    shown.sort(key=lambda item: float(item.rows[-1]))
    rows = labels.spread([round(float(item.rows[-1])) for item in shown], height)
    for item, row in zip(shown, rows, strict=True):
        ghost = item.line.role == "ghost"
        ink = style(spec, "bad" if item.points.ends_badly else item.line.role, bold=not ghost)
        text = value_label(item.points.last, spec.unit)
        line = grid.height - BOTTOM - 1 - row
        after = LEFT + round(float(item.columns[-1])) + 2
        inside = after + VALUE_WIDTH + 1 <= grid.width - RIGHT and grid.blank(
            line, after - 1, after + VALUE_WIDTH
        )
        grid.put(line, after if inside else grid.width - VALUE_WIDTH, text.rjust(0 if inside else 6), ink)


def _draw_tiny(grid: CellGrid, spec: ChartSpec, cleaned: Sequence[tuple[Line, CleanSeries]]) -> None:
    name = plain(spec.title) or {"loss": "loss", "fraction": "acc", "count": "count"}[spec.unit]
    with_values = [(line, points) for line, points in cleaned if line.valued and points.last is not None]
    values = [(line, value_label(points.last, spec.unit)) for line, points in with_values]
    room = sum(len(text) + 1 for _, text in values)
    name = clip(name, max(grid.width - room, 0)) if cell_width(name) + room > grid.width else name
    column = grid.put(0, 0, name, style(spec, "muted"))
    column += 1 if name else 0
    if not values and column + 13 <= grid.width:
        grid.put(0, column, "no points yet", style(spec, "muted"))
    for line, text in values:
        if column + len(text) > grid.width:
            break
        column = grid.put(0, column, text, style(spec, line.role, bold=True)) + 1
