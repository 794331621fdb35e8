"""Charts of one row: a sparkline and a bar."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

_SPARKS = "▁▂▃▄▅▆▇█"
_ASCII_SPARKS = "_.-=+*%#"
_EIGHTHS = " ▏▎▍▌▋▊▉"


def sparkline(values: ArrayLike, width: int, ascii: bool = False) -> str:
    """A series as one row of bars from its lowest to its highest value.

    Args:
        values: (N,) numbers, oldest first. With more than `width`, each cell shows the mean of its share;
            with fewer, the row is filled up with spaces at the right.
        width: cells; 0 or less gives an empty string.
        ascii: use ASCII characters only.

    Returns:
        Exactly `width` cells. A share without any finite value is a space; a constant series is level.
    """
    if width <= 0:
        return ""
    series = np.asarray(values, dtype=np.float64).ravel()
    series = np.where(np.abs(series) < 1e300, series, np.nan)
    if series.size > width:
        edges = np.linspace(0, series.size, width + 1).astype(np.int64)
        good = np.isfinite(series)
        counts = np.add.reduceat(good.astype(np.int64), edges[:-1])
        sums = np.add.reduceat(np.where(good, series, 0.0), edges[:-1])
        series = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    finite = series[np.isfinite(series)]
    if finite.size == 0:
        return " " * width
    low, high = float(finite.min()), float(finite.max())
    signs = _ASCII_SPARKS if ascii else _SPARKS
    top = len(signs) - 1
    cells = []
    for value in series.tolist():
        if math.isnan(value):
            cells.append(" ")
        elif high == low:
            cells.append(signs[top // 2])
        else:
            cells.append(signs[round((value - low) / (high - low) * top)])
    return "".join(cells).ljust(width)


def bar(fraction: float, width: int, ascii: bool = False) -> str:
    """A progress bar of exactly `width` cells, in steps of an eighth of a cell.

    It is full only at 1.0 and shows something from the first progress on. Values outside [0, 1] are
    clipped; NaN is an empty bar.
    """
    if width <= 0:
        return ""
    share = 0.0 if math.isnan(fraction) else min(max(fraction, 0.0), 1.0)
    parts = 1 if ascii else 8
    filled = int(share * width * parts)
    if 0 < share < 1:
        filled = min(max(filled, 1), width * parts - 1)
    full, rest = divmod(filled, parts)
    if ascii:
        return "#" * full + "-" * (width - full)
    return "█" * full + (_EIGHTHS[rest] + " " * (width - full - 1) if full < width else "")
