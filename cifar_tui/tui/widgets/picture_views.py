"""Pictures as cells: thumbs in a row with their names, and one picture as large as it fits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from cifar_tui.charts.cells import cell_width, clip, plain
from cifar_tui.tui.widgets.pixel_cells import colours_of, picture_strips

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

THUMB_WIDTH, THUMB_HEIGHT = 16, 8
"""Cells of a 32 x 32 picture at half size."""


class Picture(NamedTuple):
    """A picture to show.

    Attributes:
        image: (H, W, 3) uint8.
        caption: outside text; made safe when it is shown.
    """

    image: Pixels
    caption: str


def thumb(image: Pixels) -> Pixels:
    """A picture of (H, W, 3) at half its size: the mean of each 2 x 2 pixels."""
    from cifar_tui import pictures

    small: Pixels = pictures.halved(image[None])[0]
    return small


def short_name(name: str) -> str:
    """The name of a class for narrow places, made safe."""
    return plain({"airplane": "plane", "automobile": "auto"}.get(name, name))


def padded(text: str, width: int, right: bool = False) -> str:
    """Outside text made safe, and cut or filled to exactly `width` cells."""
    shown = clip(plain(text), width)
    fill = " " * (width - cell_width(shown))
    return fill + shown if right else shown + fill


def colour(widget: Widget, name: str) -> str:
    """A colour of the theme, such as ``accent``, as ``#rrggbb``; "default" where the theme lacks it."""
    found = widget.app.theme_variables.get(name, "")
    return found if found.startswith("#") and len(found) == 7 else "default"


class PictureRow(Widget):
    """As many thumbs side by side as fit, each with its name below: 16 x 9 cells."""

    DEFAULT_CSS = "PictureRow { height: 9; width: 1fr; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._pictures: list[Picture] = []
        self._rows: list[list[list[Segment]]] = []

    def show(self, found: Sequence[Picture]) -> None:
        """Show these pictures; the ones that do not fit are left out."""
        self._pictures = list(found)
        self._rows = []
        self.refresh()

    @property
    def fitting(self) -> int:
        """How many pictures the present width takes, at least 1."""
        return max(1, (self.size.width + 2) // (THUMB_WIDTH + 2))

    def render_line(self, y: int) -> Strip:
        """One row of cells."""
        width = self.size.width
        shown = self._pictures[: self.fitting]
        if not shown or y > THUMB_HEIGHT or width < 1:
            return Strip.blank(width, self.rich_style)
        while len(self._rows) < len(shown):
            image = thumb(shown[len(self._rows)].image)
            self._rows.append(picture_strips(image, colours_of(self.app)))
        gap = 2
        if len(shown) > 1:
            gap = max(1, min(6, (width - len(shown) * THUMB_WIDTH) // (len(shown) - 1)))
        base = self.rich_style
        segments: list[Segment] = []
        for number, picture in enumerate(shown):
            if number:
                segments.append(Segment(" " * gap, base))
            if y < THUMB_HEIGHT:
                segments += self._rows[number][y]
            else:
                muted = base + Style(color=colour(self, "muted"))
                segments.append(Segment(padded(picture.caption, THUMB_WIDTH), muted))
        return Strip(segments).adjust_cell_length(width, base)


class PictureZoom(Widget):
    """One picture, every pixel shown, at the greatest whole scale that fits."""

    DEFAULT_CSS = "PictureZoom { width: 32; height: 16; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._image: Pixels | None = None
        self._rows: list[list[Segment]] = []

    def show(self, image: Pixels | None) -> None:
        """Show a picture of (H, W, 3), or nothing."""
        self._image = image
        self._rows = []
        self.refresh()

    def on_resize(self) -> None:
        """The scale may be another."""
        self._rows = []

    def render_line(self, y: int) -> Strip:
        """One row of cells."""
        base = self.rich_style
        image = self._image
        width, height = self.size
        if image is None or width < 1:
            return Strip.blank(width, base)
        if not self._rows:
            scale = max(1, min(width // image.shape[1], height * 2 // image.shape[0]))
            if width < image.shape[1] or height * 2 < image.shape[0]:
                image = thumb(image)
            large = image.repeat(scale, axis=0).repeat(scale, axis=1)
            self._rows = picture_strips(large, colours_of(self.app))
        if y >= len(self._rows):
            return Strip.blank(width, base)
        return Strip(self._rows[y]).adjust_cell_length(width, base)
