"""Tooltips that the mouse looks and clicks through."""

from __future__ import annotations

from typing import Any

from textual.errors import NoWidget
from textual.geometry import Region
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Tooltip


class BelowTooltips(Screen[Any]):
    """A screen whose tooltips take no clicks.

    Textual hides a tooltip when the mouse moves, but only at the next layout; a click that comes sooner would
    go to the tooltip and be lost.
    """

    def get_widget_at(self, x: int, y: int) -> tuple[Widget, Region]:
        """The topmost widget on a cell that is not a tooltip, with its region.

        Raises:
            NoWidget: there is none.
        """
        for widget, region in self.get_widgets_at(x, y):
            if not isinstance(widget, Tooltip):
                return widget, region
        raise NoWidget(f"no widget at column {x}, row {y}")
