"""Series drawn as text: line charts on plotext, sparklines and bars. plotext is loaded by the first chart."""

from cifar_tui.charts.colours import PALETTES, RGB, ROLE_COLOURS, Palette, role_colour
from cifar_tui.charts.frame import draw, draw_columns
from cifar_tui.charts.small import bar, sparkline
from cifar_tui.charts.spec import ChartSpec, Line, Mark, Marker, Unit

__all__ = [
    "PALETTES",
    "RGB",
    "ROLE_COLOURS",
    "ChartSpec",
    "Line",
    "Mark",
    "Marker",
    "Palette",
    "Unit",
    "bar",
    "draw",
    "draw_columns",
    "role_colour",
    "sparkline",
]
