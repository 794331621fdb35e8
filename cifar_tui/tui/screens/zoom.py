"""One picture as large as it fits, with what is known of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.content import Content
from textual.events import Resize
from textual.widgets import Static

from cifar_tui.tui import graphics
from cifar_tui.tui.screens.modal import Modal
from cifar_tui.tui.widgets.picture_views import PictureZoom

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class ZoomScreen(Modal[None]):
    """A picture; any of esc, enter and a click closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q", "dismiss", "Close", id="zoom.close"),
    ]

    def __init__(self, image: NDArray[np.uint8], title: str, lines: Content) -> None:
        super().__init__()
        self._image, self._title, self._lines = image, title, lines

    def compose(self) -> ComposeResult:
        """Picture over text."""
        with Vertical(id="zoom") as box:
            box.border_title = Content(self._title)
            box.border_subtitle = "esc closes"
            yield Container(PictureZoom(), id="zoom-picture")
            yield Static(self._lines, id="zoom-text")

    def on_mount(self) -> None:
        """Draw."""
        self.query_one(PictureZoom).show(self._image)

    def on_resize(self, event: Resize) -> None:
        """The greatest whole scale at which the picture and its text fit."""
        lines = self._lines.plain.count("\n") + 1
        beside = event.size.height < 16 + lines + 2 and event.size.width >= 32 * 2 + 6
        self.set_class(beside, "-beside")
        high = event.size.height - 2 - (0 if beside else lines)
        scale = max(1, min((event.size.width - (38 if beside else 4)) // 32, high // 16, 4))
        columns, rows = 32 * scale, min(16 * scale, max(8, high))
        place = self.query_one("#zoom-picture")
        place.styles.width, place.styles.height = columns, rows
        if graphics.available():
            self._show_pixels(columns, rows)

    @work(exclusive=True)
    async def _show_pixels(self, columns: int, rows: int) -> None:
        """The same with the terminal's own pixels."""
        place = self.query_one("#zoom-picture")
        await place.remove_children()
        await place.mount(graphics.picture(self._image, columns, rows))

    def on_click(self) -> None:
        """A click closes."""
        self.dismiss()
