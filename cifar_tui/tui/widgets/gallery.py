"""Pictures as cards: each with the classes that the model held most likely, as bars."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip

from cifar_tui.charts.cells import cell_width
from cifar_tui.tui.answer_data import Said, percent, said_of
from cifar_tui.tui.widgets.picture_cards import PITCH_Y, PictureCards, movements
from cifar_tui.tui.widgets.picture_views import (
    THUMB_HEIGHT,
    THUMB_WIDTH,
    colour,
    padded,
    short_name,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cifar_tui.datasets.split import Split
    from cifar_tui.session.evaluate import Answered

CARD_WIDTH = 40
_WIDEST_TEXT = 34
SIGNS = {"true": "✓ ", "said": "✕ ", "": "  "}


class Gallery(PictureCards, can_focus=True):
    """Cards in columns; the cursor has a bar at its left and an accent number."""

    BINDINGS: ClassVar[list[BindingType]] = movements("gallery")
    HELP_TEXT = (
        "Pictures with what the model said of them: the five most likely classes with their probabilities in "
        "percent. A tick marks the true class, a cross what was said instead. Arrows move, enter zooms; the "
        "number is the place of the picture in its split, counted from 0."
    )

    class Moved(Message):
        """The cursor is on another picture; `place` is in the evaluated split, or None without pictures."""

        def __init__(self, gallery: Gallery, place: int | None) -> None:
            super().__init__()
            self.gallery, self.place = gallery, place

        @property
        def control(self) -> Gallery:
            """The gallery."""
            return self.gallery

    class Zoomed(Message):
        """A closer look was asked for."""

        def __init__(self, place: int) -> None:
            super().__init__()
            self.place = place

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._answered: Answered | None = None
        self._places: NDArray[np.int64] | None = None
        self._names: tuple[str, ...] = ()
        self._name_width = 10

    # ---- content ----

    def show(
        self,
        split: Split | None,
        answered: Answered | None,
        places: NDArray[np.int64] | None,
        cursor: int = 0,
    ) -> None:
        """Show pictures of an evaluated split.

        Args:
            split: the split of the files that holds them; None for an empty gallery.
            answered: what was said.
            places: int64 (n,), places in the evaluated split, in the order to show.
            cursor: place in `places` to begin at.
        """
        self._split, self._answered, self._places = split, answered, places
        self._names = () if split is None else split.names
        longest = max((cell_width(short_name(name)) for name in self._names), default=0)
        self._name_width = max(5, min(10, longest))
        self.begin_at(cursor)

    @property
    def count(self) -> int:
        """How many pictures are shown."""
        whole = self._split is not None and self._answered is not None and self._places is not None
        return len(self._places) if whole and self._places is not None else 0

    @property
    def place(self) -> int | None:
        """Place in the evaluated split of the picture under the cursor."""
        return int(self._places[self._cursor]) if self.count and self._places is not None else None

    @property
    def columns(self) -> int:
        """Cards in a row."""
        return max(1, (self._inner_width + 4) // CARD_WIDTH)

    @property
    def in_sight(self) -> tuple[int, int]:
        """Numbers of the first and last card in sight, counted from 1."""
        first = self.scroll_offset.y // PITCH_Y * self.columns
        rows = max(1, (self.size.height + 1) // PITCH_Y)
        return min(first + 1, self.count), min(first + rows * self.columns, self.count)

    @property
    def pitch_x(self) -> int:
        """Columns of the terminal from one card to the next."""
        return max(1, self._inner_width // self.columns)

    def picture_at(self, place: int) -> int:
        """Place in the split of a shown picture."""
        assert self._answered is not None and self._places is not None
        return int(self._answered.rows[self._places[place]])

    def tell_moved(self) -> None:
        """Post which picture is under the cursor."""
        self.post_message(self.Moved(self, self.place))

    def _reveal(self) -> None:
        top = self._cursor // self.columns * PITCH_Y
        self.scroll_to_region(Region(0, top, 1, THUMB_HEIGHT), animate=False, force=True)

    def _lay_out(self) -> None:
        lines = -(-self.count // self.columns)
        self.virtual_size = Size(self._inner_width, max(0, lines * PITCH_Y - 1))

    # ---- drawing ----

    def render_line(self, y: int) -> Strip:
        """One row of cells of what is seen."""
        base, width = self.rich_style, self._inner_width
        line, row = divmod(y + self.scroll_offset.y, PITCH_Y)
        if not self.count or self._answered is None or self._places is None or row == THUMB_HEIGHT:
            return Strip.blank(width, base)
        card = width // self.columns
        room = max(0, min(_WIDEST_TEXT, card - THUMB_WIDTH - 3))
        segments: list[Segment] = []
        for column in range(self.columns):
            number = line * self.columns + column
            if number >= self.count:
                break
            found = said_of(self._answered, int(self._places[number]))
            here = number == self._cursor
            accent = base + Style(color=colour(self, "accent"))
            segments.append(Segment("▌" if here else " ", accent))
            segments += self._strips(found.index)[row]
            segments.append(Segment(" ", base))
            segments += self._text(found, row, room, here, base)
            segments.append(Segment(" " * max(0, card - THUMB_WIDTH - 2 - room), base))
        return Strip(segments).adjust_cell_length(width, base)

    def _text(self, found: Said, row: int, room: int, here: bool, base: Style) -> list[Segment]:
        muted = base + Style(color=colour(self, "muted"))
        if row == 0:
            left = f"#{found.index:,}"
            text = padded(left, room - 2) + " %" if room > 2 else " " * room
            if here and self.has_focus:
                style = Style(color=colour(self, "background"), bgcolor=colour(self, "accent"), bold=True)
                return [Segment(text, style)]
            head = base + Style(bold=True, color=colour(self, "accent") if here else None)
            return [Segment(text[:-2], head), Segment(text[-2:], muted)]
        if 2 <= row < 2 + len(found.top):
            return self._bar(found, row - 2, room, base)
        if row == THUMB_HEIGHT - 1 and all(label != found.true for label, _ in found.top):
            good = base + Style(color=colour(self, "good"), bold=True)
            return [Segment(padded(SIGNS["true"] + self._class_name(found.true) + ", lower", room), good)]
        return [Segment(" " * room, base)]

    def _bar(self, found: Said, place: int, room: int, base: Style) -> list[Segment]:
        label, share = found.top[place]
        kind = "true" if label == found.true else "said" if place == 0 else ""
        name = {"true": "good", "said": "bad", "": "muted"}[kind]
        style = base + Style(color=colour(self, name), bold=bool(kind))
        wide = max(0, room - 5)
        track = max(0, min(14, wide - 2 - self._name_width - 1))
        text = padded(SIGNS[kind] + self._class_name(label), max(0, wide - track - (1 if track else 0)))
        filled = round(share * track) if math.isfinite(share) else 0
        if track and not filled and share >= 0.005:
            filled = 1
        return [
            Segment(text + (" " if track else ""), style),
            Segment("━" * filled, style),
            Segment("━" * (track - filled), base + Style(color=colour(self, "grid"))),
            Segment(percent(share), style if kind else base + Style(color=colour(self, "muted"))),
        ]

    def _class_name(self, label: int) -> str:
        return short_name(self._names[label]) if 0 <= label < len(self._names) else f"class {label}"

    # ---- keys ----

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Pictures are needed."""
        if action == "zoom":
            return self.count > 0
        return super().check_action(action, parameters)

    def action_zoom(self) -> None:
        """Ask for a closer look."""
        if self.place is not None:
            self.post_message(self.Zoomed(self.place))
