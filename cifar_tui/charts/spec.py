"""What a chart shows: lines, marks, size and looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from cifar_tui.charts.colours import PALETTES, Palette, role_colour

Unit = Literal["loss", "fraction", "count"]
Marker = Literal["braille", "hd", "ascii"]


@dataclass(frozen=True, eq=False)
class Line:
    """One series.

    Attributes:
        label: its name in the legend; made safe to show.
        x: (N,) float64, such as steps; need not be sorted.
        y: (N,) float64; what is not finite makes a gap and a ``!`` under the axis.
        role: ``train``, ``test``, ``validation``, ``batch``, ``ghost`` or ``other:<n>``.
        valued: whether its last value stands beside it.

    Raises:
        ValueError: when x and y are not one-dimensional and equally long, or the role is not known.
    """

    label: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    role: str
    valued: bool = True

    def __post_init__(self) -> None:
        for name in ("x", "y"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.float64))
        if self.x.ndim != 1 or self.x.shape != self.y.shape:
            raise ValueError(f"line x has shape {self.x.shape} and y {self.y.shape}, expected the same (N,)")
        role_colour(self.role)


@dataclass(frozen=True)
class Mark:
    """One point to point out, such as the best evaluation: a diamond and, where there is room, a text."""

    x: float
    y: float
    text: str = ""
    role: str = "test"


@dataclass(frozen=True, eq=False)
class ChartSpec:
    """A chart and its size in cells.

    Attributes:
        title: written before the legend; may be empty.
        lines: drawn in this order, ghosts and batch lines first.
        width: cells a line.
        height: lines.
        log_x: logarithmic x axis; points with x <= 0 are dropped.
        log_y: logarithmic y axis; points with y <= 0 are dropped.
        unit: ``fraction`` shows percent, ``count`` shows 1k and 1M.
        x_label: the name of the x axis.
        marker: ``ascii`` uses ASCII characters only.
        colour: without it the text holds no escape sequence and lines differ by their sign.
        palette: ``default`` or ``colour-blind``.
        dark: whether the background is dark.
        x_end: the x axis reaches at least this far, so that the empty part shows what is left.
        marks: points to point out.
    """

    title: str
    lines: Sequence[Line]
    width: int
    height: int
    log_x: bool = False
    log_y: bool = False
    unit: Unit = "loss"
    x_label: str = "step"
    marker: Marker = "braille"
    colour: bool = True
    palette: Palette = "default"
    dark: bool = True
    x_end: float | None = None
    marks: Sequence[Mark] = ()

    def __post_init__(self) -> None:
        for name, valid in (("unit", get_args(Unit)), ("marker", get_args(Marker)), ("palette", PALETTES)):
            if getattr(self, name) not in valid:
                raise ValueError(
                    f"chart {name} is {getattr(self, name)!r}, expected one of {', '.join(valid)}"
                )
