"""Lines of pictures that are painted again without being made again."""

from __future__ import annotations

import gc
from collections import OrderedDict
from collections.abc import Hashable

from textual.events import Hide, Show
from textual.filter import ANSIToTruecolor
from textual.geometry import Region
from textual.scroll_view import ScrollView
from textual.strip import Strip

from cifar_tui.tui.theme import colours_now

_LINES = 160
_RARELY = 1_000_000


class _Collector:
    """Full garbage collections wait while pictures are in sight.

    A screen of pictures is a quarter of a million small objects without cycles; a full collection that walks
    over them stops the screen for 0.1 to 0.4 s. Young objects are collected as ever.
    """

    def __init__(self) -> None:
        self._views: set[int] = set()
        self._usual = 0

    def hold(self, view: int) -> None:
        """A view came into sight."""
        first, second, third = gc.get_threshold()
        if not self._views:
            self._usual = third
        self._views.add(view)
        gc.set_threshold(first, second, _RARELY)

    def release(self, view: int) -> None:
        """A view went out of sight."""
        self._views.discard(view)
        if not self._views and self._usual:
            gc.set_threshold(*gc.get_threshold()[:2], self._usual)
            self._usual = 0


COLLECTOR = _Collector()


class CachedLines(ScrollView):
    """A view without border, padding and scrollbars that keeps its newest lines as strips.

    A strip remembers how it was cropped, filtered and written, and a line of pictures has some hundred
    colours that no other line has: keeping strips makes scrolling several times as quick. For the same reason
    the filter that resolves the sixteen colours of a terminal is left out: every colour here is 24-bit.
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._kept: OrderedDict[Hashable, Strip] = OrderedDict()

    def forget_lines(self) -> None:
        """Other pictures: make every line again."""
        self._kept.clear()

    def line_key(self, y: int) -> Hashable:
        """Everything that a line of the content depends on, but for the pictures."""
        raise NotImplementedError

    def on_show(self, _event: Show) -> None:
        """In sight."""
        COLLECTOR.hold(id(self))

    def on_hide(self, _event: Hide) -> None:
        """Out of sight."""
        COLLECTOR.release(id(self))

    def on_unmount(self) -> None:
        """Gone."""
        COLLECTOR.release(id(self))

    def render_lines(self, crop: Region) -> list[Strip]:
        """The lines in sight."""
        background = self.background_colors[1]
        filters = [found for found in self.get_line_filters() if not isinstance(found, ANSIToTruecolor)]
        strips, colours = [], colours_now(self.app)
        for y in crop.line_range:
            key = (y + self.scroll_offset.y, self.size.width, colours, self.line_key(y))
            strip = self._kept.get(key)
            if strip is None:
                strip = self._kept[key] = self.render_line(y)
                if len(self._kept) > _LINES:
                    self._kept.popitem(last=False)
            for found in filters:
                strip = strip.apply_filter(found, background)
            strips.append(strip)
        if crop.column_span != (0, self.size.width):
            strips = [strip.crop(*crop.column_span) for strip in strips]
        return strips
