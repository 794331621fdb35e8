"""The one place that talks to plotext: points in cell coordinates -> characters and whose they are."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_LOCK = threading.Lock()  # plotext keeps one figure for the whole process
_SGR = re.compile(r"\x1b\[([0-9;]*)m")
_DOTS = {"braille": (2, 4), "hd": (2, 2)}  # dots a cell, across and up; any other marker fills the cell


@dataclass(frozen=True, eq=False)
class Stroke:
    """Points of one line.

    Attributes:
        owner: number of the line, 0 to 65,535.
        columns: (N,) float64, 0.0 is the middle of the leftmost cell.
        rows: (N,) float64, 0.0 is the middle of the lowest cell.
        marker: ``braille``, ``hd`` or one character.
        joined: whether neighbours are joined by a line.
    """

    owner: int
    columns: NDArray[np.float64]
    rows: NDArray[np.float64]
    marker: str
    joined: bool = True


def paint(width: int, height: int, strokes: Sequence[Stroke]) -> list[list[tuple[str, int]]]:
    """Draw strokes, later ones over earlier ones.

    Args:
        width: cells across, at least 2.
        height: cells up, at least 2.
        strokes: finite coordinates; those outside are moved to the edge.

    Returns:
        `height` rows from the top, each of `width` pairs (character, owner); owner is -1 for an empty cell.
    """
    empty = [[(" ", -1)] * width for _ in range(height)]
    if not strokes:
        return empty
    with _LOCK:
        text = _build(width, height, strokes)
    rows = text.split("\n")[:height]
    return [_cells(row, width) for row in rows] + empty[len(rows) :]


def _build(width: int, height: int, strokes: Sequence[Stroke]) -> str:
    import plotext as plt

    plt.clear_figure()
    plt.limit_size(False, False)
    plt.plot_size(width, height)
    plt.theme("clear")
    plt.frame(False)
    plt.xaxes(False, False)
    plt.yaxes(False, False)
    plt.xfrequency(0)
    plt.yfrequency(0)
    plt.xlim(0, 1)
    plt.ylim(0, 1)
    for stroke in strokes:
        across, up = _DOTS.get(stroke.marker, (1, 1))
        # plotext puts 0 on the first dot and 1 on the last
        x = np.clip((across * stroke.columns + (across - 1) / 2) / (across * width - 1), 0, 1).tolist()
        y = np.clip((up * stroke.rows + (up - 1) / 2) / (up * height - 1), 0, 1).tolist()
        draw = plt.plot if stroke.joined else plt.scatter
        draw(x, y, marker=stroke.marker, color=(1, stroke.owner // 256, stroke.owner % 256))
    return str(plt.build())


def _cells(line: str, width: int) -> list[tuple[str, int]]:
    cells: list[tuple[str, int]] = []
    owner = -1
    for index, part in enumerate(_SGR.split(line)):
        if index % 2 == 0:
            cells.extend((char, owner) if char != " " else (" ", -1) for char in part)
        elif part.startswith("38;2;1;"):
            high, low = part.split(";")[3:5]
            owner = int(high) * 256 + int(low)
        else:
            owner = -1
    return (cells + [(" ", -1)] * width)[:width]
