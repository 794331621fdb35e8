"""Axes: from values to cells, with round ticks that stand exactly on a row or column."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from cifar_tui.charts.numbers import short_count, tick_label
from cifar_tui.charts.spec import Unit

Floats = NDArray[np.float64]
_LADDER = (1.0, 2.0, 2.5, 5.0)
_EDGE = 0.4  # a row reaches this far around its middle; the rest is the gap to the next dot


@dataclass(frozen=True)
class Scale:
    """A linear map from values, or from their decimal logarithms, to cells.

    Attributes:
        start: what lies in the middle of cell 0.
        per_cell: what one cell more adds, above 0.
        log: whether both are decimal logarithms.
        ticks: (cell, label), rising.
    """

    start: float
    per_cell: float
    log: bool
    ticks: tuple[tuple[int, str], ...]

    def cells(self, values: Floats) -> Floats:
        """Cell coordinates of values; 0.0 is the middle of cell 0."""
        taken = np.log10(values) if self.log else values
        result: Floats = (taken - self.start) / self.per_cell
        return result


def _steps(near: float) -> Iterator[float]:
    """Round numbers from well below `near` to well above it, rising."""
    exponent = math.floor(math.log10(near))
    for power in range(exponent - 2, exponent + 3):
        for digit in _LADDER:
            yield digit * 10.0**power


# ---- y ----


def y_scale(low: float, high: float, rows: int, unit: Unit, log: bool) -> Scale:
    """The vertical axis for values in [low, high] on `rows` rows (2 or more); a constant is centred.

    Where no round label fits the label column, the axis has no ticks.
    """
    return _log_y(low, high, rows, unit) if log else _linear_y(low, high, rows, unit)


def _linear_y(low: float, high: float, rows: int, unit: Unit) -> Scale:
    if max(abs(low), abs(high)) < 1e-30:
        low = high = 0.0
    least = max(abs(low), abs(high)) * 1e-3
    if unit == "fraction":
        least = max(least, 0.02)  # two points: less is noise and must not fill the chart
    middle: float | None = None
    if high - low < least or high == low:
        middle = (low + high) / 2
        spread = least if unit == "fraction" else (abs(middle) * 0.2 or 1.0)
        if unit != "fraction" and high > low:
            spread = least
        low, high = middle - spread / 2, middle + spread / 2
        if middle == 0 or (unit == "fraction" and 0 < middle < 0.01):
            low, middle = 0.0, None  # an axis below zero would promise values that cannot be
        elif unit == "fraction" and 0.99 < middle <= 1:
            high, middle = 1.0, None
    best: tuple[float, Scale] | None = None
    for step in _steps((high - low) / rows):
        for rows_a_tick in range(1 if rows < 6 else 2, 4 if rows < 6 else 7):
            if best is not None and step / rows_a_tick >= best[0]:
                continue  # no choice costs less than that
            placed = _place(low, high, rows, step=step, rows_a_tick=rows_a_tick, unit=unit, middle=middle)
            if placed is not None and (best is None or placed[0] < best[0]):
                best = placed
    if best is None:
        return Scale(low, (high - low) / (rows - 1), False, ())
    return best[1]


def _place(
    low: float, high: float, rows: int, *, step: float, rows_a_tick: int, unit: Unit, middle: float | None
) -> tuple[float, Scale] | None:
    """One choice of tick distance, with its cost (lower is better), or None when it does not fit."""
    per_row = step / rows_a_tick
    first = math.floor(low / per_row + _EDGE + 1e-9)
    last = math.ceil(high / per_row - _EDGE - 1e-9)
    spare = rows - 1 - (last - first)
    if spare < 0:
        return None
    even = first // rows_a_tick * rows_a_tick  # a tick on the lowest row
    bottom = first - spare // 2 if middle is not None or first - even > spare else even
    if middle is not None:
        bottom = round(middle / per_row) - (rows - 1) // 2
    if low >= 0:
        bottom = max(bottom, 0)
    if unit == "fraction" and high <= 1:
        bottom = max(0, min(bottom, math.floor(1 / per_row + 1e-9) - rows + 1)) if low >= 0 else bottom
    ticks = []
    for row in range(rows):
        if (bottom + row) % rows_a_tick == 0:
            label = tick_label((bottom + row) // rows_a_tick * step, step, unit)
            if label is None:
                return None
            ticks.append((row, label))
    if len(ticks) < 2 or len({label for _, label in ticks}) < len(ticks):
        return None
    crowded = max(0, 3 - rows_a_tick) * 0.2 + max(0, len(ticks) - 6) * 0.1
    sparse = 0.25 if len(ticks) < 3 <= rows // 2 else 0.0
    uneven = 0.15 if bottom % rows_a_tick else 0.0
    odd = 0.05 if f"{step:e}".startswith("2.5") else 0.0
    return per_row * (1 + crowded + sparse + uneven + odd), Scale(
        bottom * per_row, per_row, False, tuple(ticks)
    )


def _one_two_five(low: float, high: float) -> list[float]:
    """All of 1, 2 and 5 times a power of ten, from just below `low` to just above `high`."""
    first = math.floor(math.log10(low)) - 1
    last = math.ceil(math.log10(high)) + 1
    numbers = [float(f"{digit}e{power}") for power in range(first, last + 1) for digit in (1, 2, 5)]
    start = max(index for index, number in enumerate(numbers) if number <= low * (1 + 1e-9))
    stop = min(index for index, number in enumerate(numbers) if number >= high * (1 - 1e-9))
    if start == stop:
        start, stop = max(start - 1, 0), stop + 1
    return numbers[start : stop + 1]


def _log_y(low: float, high: float, rows: int, unit: Unit) -> Scale:
    numbers = _one_two_five(low, high)
    start = math.log10(numbers[0])
    per_cell = (math.log10(numbers[-1]) - start) / (rows - 1)
    tens = [number for number in numbers if f"{number:e}".startswith("1.")]
    spread = round(math.log10(numbers[-1] / numbers[0]) * 2 / max(rows - 1, 1)) + 1
    for choice, least in ((numbers, 2), (tens, 1), (tens[::spread], 1), (numbers[:: len(numbers) - 1], 1)):
        ticks = []
        for number in choice:
            label = tick_label(number, 10.0 ** math.floor(math.log10(number) + 1e-9), unit)
            if label is not None:
                ticks.append((round((math.log10(number) - start) / per_cell), label))
        gaps = [after[0] - before[0] for before, after in pairwise(ticks)]
        if len(ticks) >= 2 and min(gaps) >= least:
            return Scale(start, per_cell, True, tuple(ticks))
    return Scale(start, per_cell, True, ())


# ---- x ----


def x_scale(low: float, high: float, columns: int, log: bool) -> Scale:
    """The horizontal axis for values in [low, high] on `columns` columns (2 or more).

    A linear axis starts at 0 when the first value lies in the first third. Its ends are not rounded, so the
    newest point is always at the right edge.
    """
    if log:
        low, high = (low / 2, high * 2) if low == high else (low, high)
        start, stop = math.log10(low), math.log10(high)
    else:
        if 0 < low < 0.3 * high or (0 < low == high):
            low = 0.0
        least = max(abs(low), abs(high)) * 1e-9
        start, stop = low, high if high - low > max(least, 1e-30) else low + max(least, 1.0)
    scale = Scale(start, (stop - start) / (columns - 1), log, ())
    return Scale(scale.start, scale.per_cell, log, _x_ticks(scale, low, stop, columns))


def _x_ticks(scale: Scale, low: float, stop: float, columns: int) -> tuple[tuple[int, str], ...]:
    room = 9 if columns < 60 else 12 if columns < 120 else 20
    if not scale.log:
        step = next(step for step in _steps((stop - low) / columns) if step / scale.per_cell >= room)
        return _on_columns(scale, _multiples(low, stop, step), columns)
    high = 10.0**stop
    numbers = [n for n in _one_two_five(low, high) if low * (1 - 1e-9) <= n <= high * (1 + 1e-9)]
    tens = [n for n in numbers if f"{n:e}".startswith("1.")]
    every = max(1, math.ceil(7 * scale.per_cell))
    for choice in (numbers, tens, tens[::every]):
        ticks = _on_columns(scale, choice, columns)
        if len(ticks) >= 2 and min(b[0] - a[0] for a, b in pairwise(ticks)) >= 6:
            return ticks
    step = next(step for step in _steps((high - low) / columns) if step * columns / (high - low) >= room)
    return _on_columns(scale, _multiples(low, high, step), columns)


def _multiples(low: float, high: float, step: float) -> list[float]:
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [number * step for number in range(first, min(last, first + 200) + 1)]


def _on_columns(scale: Scale, numbers: list[float], columns: int) -> tuple[tuple[int, str], ...]:
    ticks = []
    for number in numbers:
        if scale.log and number <= 0:
            continue
        column = round(float(scale.cells(np.asarray(number, dtype=np.float64))))
        if 0 <= column < columns:
            ticks.append((column, short_count(number)))
    return tuple(ticks)
