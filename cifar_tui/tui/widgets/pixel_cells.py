"""Pixels as styled cells, two pixels a cell, made some thousand at a time.

A page of thumbs is five thousand cells of which no two are alike. So a style is given its escape codes when
it is made, which are else looked up colour by colour as it is written; and the nearest colours of a terminal
that has only 256 or 16 of them are found for a whole picture at a time.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from rich.color import Color, ColorType
from rich.color_triplet import ColorTriplet
from rich.segment import Segment
from rich.style import Style

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

Colours = Literal["truecolour", "256", "16", "none"]
_SYSTEMS: dict[str | None, Colours] = {"256": "256", "standard": "16", "windows": "16"}
# Colours 0 to 15 of xterm, which most terminals resemble.
_SIXTEEN = (
    (0, 0, 0), (205, 0, 0), (0, 205, 0), (205, 205, 0), (0, 0, 238), (205, 0, 205), (0, 205, 205),
    (229, 229, 229), (127, 127, 127), (255, 0, 0), (0, 255, 0), (255, 255, 0), (92, 92, 255), (255, 0, 255),
    (0, 255, 255), (255, 255, 255),
)  # fmt: skip


def colours_of(app: Any) -> Colours:
    """How many colours the screen of an app can show; "none" where the user wants none."""
    return "none" if app.no_color else _SYSTEMS.get(app.console.color_system, "truecolour")


def picture_strips(image: Pixels, colours: Colours) -> list[list[Segment]]:
    """The rows of a picture as segments.

    Args:
        image: (H, W, 3) uint8.
        colours: of the screen; "none": signs by brightness.

    Returns:
        ceil(H / 2) rows, each W cells wide. The colours of the segments are those of the picture, whatever
        the terminal is sent.
    """
    import numpy as np

    from cifar_tui import pictures

    if colours == "none":
        return [[Segment(line, Style.null())] for line in pictures.half_blocks(image, colours="ascii")]
    height, width, _ = image.shape
    if height % 2:
        image = np.concatenate([image, image[-1:]])
    wide = image.astype(np.int64)
    packed = (wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]).tolist()
    if colours == "truecolour":
        sent = [[f"2;{red};{green};{blue}" for red, green, blue in row] for row in image.tolist()]
    else:
        flat = image.reshape(-1, 3)
        numbers = pictures.nearest_256(flat) if colours == "256" else _nearest_16(flat)
        sent = [[f"5;{number}" for number in row] for row in numbers.reshape(-1, width).tolist()]
    return [_row(packed[y], packed[y + 1], sent[y], sent[y + 1]) for y in range(0, len(packed), 2)]


def _row(upper: list[int], lower: list[int], front: list[str], back: list[str]) -> list[Segment]:
    segments: list[Segment] = []
    before, length, style = (-1, -1), 0, Style.null()
    for above, below, first, second in zip(upper, lower, front, back, strict=True):
        if (above, below) == before:
            length += 1
            continue
        if length:
            segments.append(Segment("▀" * length, style))
        before, length = (above, below), 1
        style = Style.from_color(_colour(above), _colour(below))
        style._ansi = f"38;{first};48;{second}"
    segments.append(Segment("▀" * length, style))
    return segments


def _colour(packed: int) -> Color:
    # Several times as quick as `Color.from_rgb`, which formats a name that nobody reads.
    triplet = ColorTriplet(packed >> 16, packed >> 8 & 255, packed & 255)
    return Color("pixel", ColorType.TRUECOLOR, None, triplet)


@cache
def _palette() -> NDArray[np.int64]:
    import numpy as np

    return np.array(_SIXTEEN, dtype=np.int64)


def _nearest_16(pixels: Pixels) -> NDArray[np.int64]:
    """The nearest of `_SIXTEEN` to each pixel (N, 3), by squared distance: int64 (N,)."""
    import numpy as np

    found: NDArray[np.int64] = (
        ((pixels.astype(np.int64)[:, None] - _palette()) ** 2).sum(axis=2).argmin(axis=1)
    )
    return found
