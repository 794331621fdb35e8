"""What the views of pictures in rows share: a cursor that walks, thumbs that are kept, clicks."""

from __future__ import annotations

import time
from collections.abc import Hashable
from functools import lru_cache
from typing import TYPE_CHECKING

from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.events import Click, Resize
from textual.timer import Timer

from cifar_tui.tui.widgets.cached_lines import CachedLines
from cifar_tui.tui.widgets.picture_views import THUMB_HEIGHT, thumb
from cifar_tui.tui.widgets.pixel_cells import colours_of, picture_strips

if TYPE_CHECKING:
    from cifar_tui.datasets.split import Split

PITCH_Y = THUMB_HEIGHT + 1
_CACHE = 192  # thumbs; whole lines are kept too
_AHEAD_AFTER, _AHEAD_PAUSE, _AHEAD_WORK = 0.03, 0.01, 0.004  # seconds


def movements(prefix: str) -> list[BindingType]:
    """The keys that move the cursor, with ids such as ``<prefix>.left``, and enter to zoom."""
    keys = [
        ("left", "step(-1)", "Left", "left"),
        ("right", "step(1)", "Right", "right"),
        ("up", "line(-1)", "Up", "up"),
        ("down", "line(1)", "Down", "down"),
        ("pageup", "page(-1)", "Page up", "page_up"),
        ("pagedown", "page(1)", "Page down", "page_down"),
        ("home", "jump(0)", "First", "first"),
        ("end", "jump(-1)", "Last", "last"),
    ]
    zoom = Binding(
        "enter", "zoom", "Zoom", id=f"{prefix}.zoom", tooltip="Show every pixel, as large as it fits"
    )
    moves = [Binding(key, action, name, id=f"{prefix}.{id}", show=False) for key, action, name, id in keys]
    return [*moves, zoom]


class PictureCards(CachedLines):
    """Pictures in rows with a cursor on one of them."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._split: Split | None = None
        self._cursor = 0
        self._strips = lru_cache(maxsize=_CACHE)(self._thumb_rows)
        self._forth = True  # the way the cursor went last
        self._ahead: Timer | None = None

    # ---- what each view says ----

    @property
    def count(self) -> int:
        """How many pictures are shown."""
        raise NotImplementedError

    @property
    def columns(self) -> int:
        """Pictures in a row."""
        raise NotImplementedError

    @property
    def pitch_x(self) -> int:
        """Columns of the terminal from one picture to the next."""
        raise NotImplementedError

    def picture_at(self, place: int) -> int:
        """Place in the split of a shown picture."""
        raise NotImplementedError

    def tell_moved(self) -> None:
        """Post which picture is under the cursor."""
        raise NotImplementedError

    def action_zoom(self) -> None:
        """Ask for a closer look."""
        raise NotImplementedError

    def _lay_out(self) -> None:
        raise NotImplementedError

    def _reveal(self) -> None:
        raise NotImplementedError

    # ---- the cursor ----

    @property
    def cursor(self) -> int:
        """Place of the cursor among the shown pictures."""
        return self._cursor

    @property
    def _inner_width(self) -> int:
        return max(1, self.scrollable_content_region.width)

    def begin_at(self, cursor: int) -> None:
        """Other pictures: forget the old ones, and put the cursor on a place."""
        self._strips.cache_clear()
        self.forget_lines()
        self._cursor = 0
        self._lay_out()
        self.move_to(cursor)

    def move_to(self, cursor: int) -> None:
        """Put the cursor on a place among the shown pictures, and scroll there."""
        before, self._cursor = self._cursor, max(0, min(cursor, self.count - 1))
        self._forth = self._cursor >= before
        self._look_ahead(_AHEAD_AFTER)
        self._reveal()
        self.refresh()
        self.tell_moved()

    def on_resize(self, _event: Resize) -> None:
        """Another number of columns."""
        self._lay_out()
        if self.count:
            self._reveal()

    # ---- drawing ----

    def _thumb_rows(self, index: int) -> list[list[Segment]]:
        assert self._split is not None
        return picture_strips(thumb(self._split.images[index]), colours_of(self.app))

    def _look_ahead(self, seconds: float) -> None:
        if self._ahead is not None:
            self._ahead.stop()
        self._ahead = self.set_timer(seconds, self._make_ahead) if self.is_running else None

    def _make_ahead(self) -> None:
        """Make thumbs of the next page while nothing else happens: a jump there then paints at once."""
        self._ahead = None
        page = self.columns * max(1, -(-self.size.height // PITCH_Y))
        top = self.scroll_offset.y // PITCH_Y * self.columns
        first = top + page if self._forth else top - page
        end = time.perf_counter() + _AHEAD_WORK
        for place in range(max(0, first), min(first + page + self.columns, self.count)):
            self._strips(self.picture_at(place))
            if time.perf_counter() > end:
                if place < first + page + self.columns - 1:
                    self._look_ahead(_AHEAD_PAUSE)
                return

    def line_key(self, y: int) -> Hashable:
        """The cursor, where it is in this line."""
        line = (y + self.scroll_offset.y) // PITCH_Y
        here = self._cursor if self._cursor // self.columns == line else -1
        return here, here >= 0 and self.has_focus

    # ---- keys and mouse ----

    def on_click(self, event: Click) -> None:
        """A click moves the cursor, a second one zooms."""
        spot = event.get_content_offset(self)
        if spot is None:
            return
        column = min(spot.x // self.pitch_x, self.columns - 1)
        place = (spot.y + self.scroll_offset.y) // PITCH_Y * self.columns + column
        if place < self.count:
            self.move_to(place)
            if event.chain > 1:
                self.action_zoom()

    def action_step(self, by: int) -> None:
        """One picture on or back."""
        self.move_to(self._cursor + by)

    def action_line(self, by: int) -> None:
        """One row up or down."""
        if 0 <= self._cursor + by * self.columns < self.count:
            self.move_to(self._cursor + by * self.columns)

    def action_page(self, by: int) -> None:
        """One screen up or down."""
        self.move_to(self._cursor + by * self.columns * max(1, self.size.height // PITCH_Y))

    def action_jump(self, place: int) -> None:
        """To the first or, with -1, the last picture."""
        self.move_to(self.count - 1 if place < 0 else place)
