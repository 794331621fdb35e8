"""Series made fit to draw: what is not finite set apart, at most two points a column kept."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from cifar_tui.charts.spec import Line

Floats = NDArray[np.float64]
_TOO_LARGE = 1e30  # beyond this a loss says no more than infinity does, and the axis would show nothing else
_TOO_SMALL = 1e-30  # on a log axis this is as good as 0


@dataclass(frozen=True, eq=False)
class CleanSeries:
    """A line's points in order of x.

    Attributes:
        x: (N,) finite; above 0 on a log axis.
        y: (N,) finite; above 0 on a log axis.
        piece: (N,) int64; two points with different numbers have something not finite between them.
        bad_x: (M,) x of the values that are not finite.
        ends_badly: whether the last value of all is not finite.
        last: the last value as it was given, or None without any point.
    """

    x: Floats
    y: Floats
    piece: NDArray[np.int64]
    bad_x: Floats
    ends_badly: bool
    last: float | None


def clean(line: Line, log_x: bool = False, log_y: bool = False) -> CleanSeries:
    """Sort a line by x and set apart what cannot be drawn. Values beyond 1e30 count as not finite."""
    x, y = line.x, line.y
    placed = np.abs(x) < _TOO_LARGE
    if log_x:
        placed &= x > _TOO_SMALL
    if not placed.all():
        x, y = x[placed], y[placed]
    if x.size > 1 and bool((x[1:] < x[:-1]).any()):
        order = np.argsort(x, kind="stable")
        x, y = x[order], y[order]
    good = np.abs(y) < _TOO_LARGE  # False for NaN too
    piece = np.cumsum(~good)
    drawn = good & (y > _TOO_SMALL) if log_y else good
    return CleanSeries(
        x=x[drawn],
        y=y[drawn],
        piece=piece[drawn].astype(np.int64),
        bad_x=x[~good],
        ends_badly=bool(x.size and not good[-1]),
        last=float(y[-1]) if y.size else None,
    )


def keep_extremes(columns: NDArray[np.int64], y: Floats) -> NDArray[np.int64]:
    """Indices of the lowest and the highest point of each column, in their order.

    Args:
        columns: (N,) the column of each point, never falling.
        y: (N,) finite.

    Returns:
        At most two indices a column, rising.
    """
    if y.size == 0:
        return np.zeros(0, dtype=np.int64)
    first = np.empty(y.size, dtype=bool)
    first[0] = True
    np.not_equal(columns[1:], columns[:-1], out=first[1:])
    starts = np.flatnonzero(first)
    group = np.cumsum(first) - 1
    kept = []
    for reduce in (np.minimum.reduceat, np.maximum.reduceat):
        hits = np.flatnonzero(y == reduce(y, starts)[group])
        _, where = np.unique(group[hits], return_index=True)
        kept.append(hits[where])
    return np.union1d(kept[0], kept[1]).astype(np.int64)


def pieces(columns: NDArray[np.int64], piece: NDArray[np.int64]) -> list[slice]:
    """Runs of kept points to join by a line: cut where a gap lies between two columns."""
    if columns.size == 0:
        return []
    cuts = np.flatnonzero((np.diff(piece) != 0) & (np.diff(columns) != 0)) + 1
    edges = [0, *cuts.tolist(), columns.size]
    return [slice(start, stop) for start, stop in pairwise(edges)]
