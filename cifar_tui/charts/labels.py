"""Where labels go: last values kept apart, marks with their text, the note on what is not finite."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from cifar_tui.charts.cells import CellGrid, Style, cell_width, plain
from cifar_tui.charts.colours import role_colour
from cifar_tui.charts.numbers import TICK_WIDTH, VALUE_WIDTH
from cifar_tui.charts.scales import Scale
from cifar_tui.charts.spec import ChartSpec

_LEFT, _TOP, _BOTTOM = TICK_WIDTH + 1, 1, 2


def spread(wanted: Sequence[int], height: int) -> list[int]:
    """Rows for labels so that no two share one, each as near as can be to where it wants to be.

    Args:
        wanted: rows, rising; no more than `height` of them.
        height: rows there are.
    """
    # groups of labels that touch: [first row, wanted rows]; a group stands around the mean of its wishes
    groups: list[tuple[int, list[int]]] = []
    for row in wanted:
        groups.append((min(max(row, 0), height - 1), [row]))
        while len(groups) > 1 and groups[-2][0] + len(groups[-2][1]) > groups[-1][0]:
            members = groups[-2][1] + groups[-1][1]
            first = round(sum(want - place for place, want in enumerate(members)) / len(members))
            groups[-2:] = [(min(max(first, 0), height - len(members)), members)]
    return [first + place for first, members in groups for place in range(len(members))]


def bad_note(bad_x: Iterable[NDArray[np.float64]]) -> str:
    """What is not finite and where it began: ``! not finite at 4,310``; empty when all is well."""
    found = [part for part in bad_x if part.size]
    if not found:
        return ""
    count = sum(part.size for part in found)
    first = min(float(part.min()) for part in found)
    where = f"{first:,.0f}" if first == round(first) and abs(first) < 1e12 else f"{first:.3g}"
    return f"! not finite at {where}" if count == 1 else f"! {count:,} not finite, from {where}"


def draw_marks(grid: CellGrid, spec: ChartSpec, x_axis: Scale | None, y_axis: Scale | None) -> None:
    """A diamond at each mark inside the plot, and its text in the nearest free cells, if there are any."""
    if x_axis is None or y_axis is None:
        return
    right, floor = grid.width - VALUE_WIDTH - 1, grid.height - _BOTTOM
    spots = []
    for mark in spec.marks:
        place = np.array([mark.x, mark.y], dtype=np.float64)
        on_log = [value for value, log in ((mark.x, spec.log_x), (mark.y, spec.log_y)) if log]
        if not (np.abs(place) < 1e30).all() or any(value <= 0 for value in on_log):
            continue
        column = _LEFT + round(float(x_axis.cells(place[0])))
        row = floor - 1 - round(float(y_axis.cells(place[1])))
        if _LEFT <= column < right and _TOP <= row < floor:
            ink = Style(role_colour(mark.role, spec.palette, spec.dark), bold=True)
            grid.put(row, column, "@" if spec.marker == "ascii" else "◆", ink)
            spots.append((row, column, plain(mark.text)))
    muted = Style(role_colour("muted", spec.palette, spec.dark))
    for row, column, text in spots:
        size = cell_width(text)
        for away in (-1, 1, -2, 2, -3, 3):
            for start in (column - size // 2, column + 2, column - size - 1):
                inside = start > _LEFT and start + size < right and _TOP <= row + away < floor
                if text and inside and grid.blank(row + away, start - 1, start + size + 1):
                    grid.put(row + away, start, text, muted)
                    text = ""  # noqa: PLW2901 - written, so the search ends
