"""A grid of all pictures of a split: scrolls through fifty thousand, draws only what is seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip

from cifar_tui.tui.widgets.picture_cards import PITCH_Y, PictureCards, movements
from cifar_tui.tui.widgets.picture_views import (
    THUMB_HEIGHT,
    THUMB_WIDTH,
    colour,
    padded,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cifar_tui.datasets.split import Split

PITCH_X = THUMB_WIDTH + 1


_AUGMENT = "Show what augmentation makes of this picture"


class SamplesGrid(PictureCards, can_focus=True):
    """Thumbs with label and index; the cursor has a bar at both sides and an accent label."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *movements("samples"),
        Binding("a", "augment", "Augment", id="samples.augment", show=False, tooltip=_AUGMENT),
    ]
    HELP_TEXT = (
        "The pictures of a split, read from the files of the dataset: arrows move, enter shows every pixel. "
        "A thumb is the picture at half its size; the number is its index in the split, counted from 0."
    )

    class Moved(Message):
        """The cursor is on another picture; `index` is its place in the split, or None in an empty grid."""

        def __init__(self, index: int | None) -> None:
            super().__init__()
            self.index = index

    class Zoomed(Message):
        """A closer look was asked for; `augmented`: at what augmentation makes of the picture."""

        def __init__(self, index: int, augmented: bool = False) -> None:
            super().__init__()
            self.index, self.augmented = index, augmented

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._rows: NDArray[np.int64] | None = None

    # ---- content ----

    def show(self, split: Split | None, rows: NDArray[np.int64] | None, cursor: int = 0) -> None:
        """Show pictures of a split.

        Args:
            split: the pictures; None for an empty grid.
            rows: int64 (n,), their places in the split, in the order to show.
            cursor: place in `rows` to begin at.
        """
        self._split, self._rows = split, rows
        self.begin_at(cursor)

    @property
    def count(self) -> int:
        """How many pictures are shown."""
        return 0 if self._rows is None else len(self._rows)

    @property
    def index(self) -> int | None:
        """Place in the split of the picture under the cursor."""
        return int(self._rows[self._cursor]) if self._rows is not None and self.count else None

    @property
    def columns(self) -> int:
        """Pictures in a row."""
        return max(1, (self._inner_width - 1) // PITCH_X)

    @property
    def pitch_x(self) -> int:
        """Columns of the terminal from one picture to the next."""
        return PITCH_X

    def picture_at(self, place: int) -> int:
        """Place in the split of a shown picture."""
        assert self._rows is not None
        return int(self._rows[place])

    def tell_moved(self) -> None:
        """Post which picture is under the cursor."""
        self.post_message(self.Moved(self.index))

    def place_of(self, index: int) -> int | None:
        """Where a picture of the split is shown; None where it is not."""
        if self._rows is None:
            return None
        found = (self._rows == index).nonzero()[0]
        return int(found[0]) if len(found) else None

    def _lay_out(self) -> None:
        lines = -(-self.count // self.columns)
        self.virtual_size = Size(self._inner_width, lines * PITCH_Y)

    def _reveal(self) -> None:
        top = self._cursor // self.columns * PITCH_Y
        self.scroll_to_region(Region(0, top, 1, PITCH_Y), animate=False, force=True)

    # ---- drawing ----

    def render_line(self, y: int) -> Strip:
        """One row of cells of what is seen."""
        base = self.rich_style
        width = self._inner_width
        line, row = divmod(y + self.scroll_offset.y, PITCH_Y)
        if self._split is None or self._rows is None:
            return Strip.blank(width, base)
        accent = base + Style(color=colour(self, "accent"))
        segments: list[Segment] = []
        for column in range(self.columns):
            place = line * self.columns + column
            if place >= self.count:
                break
            index = int(self._rows[place])
            here = place == self._cursor
            after_cursor = place == self._cursor + 1 and column > 0
            segments.append(Segment("▐" if here else "▌" if after_cursor else " ", accent))
            if row < THUMB_HEIGHT:
                segments += self._strips(index)[row]
            else:
                segments += self._caption(index, here, base)
        if (segments and self._cursor == line * self.columns + self.columns - 1) or (
            segments
            and self._cursor == self.count - 1 == line * self.columns + (self.count - 1) % self.columns
        ):
            segments.append(Segment("▌", accent))
        return Strip(segments).adjust_cell_length(width, base)

    def _caption(self, index: int, here: bool, base: Style) -> list[Segment]:
        assert self._split is not None
        number = f"#{index}"
        name = padded(self._split.names[int(self._split.labels[index])], THUMB_WIDTH - len(number) - 1)
        if here and self.has_focus:
            style = Style(color=colour(self, "background"), bgcolor=colour(self, "accent"), bold=True)
            return [Segment(f"{name} {number}", style)]
        label = base + Style(color=colour(self, "accent"), bold=True) if here else base
        return [Segment(f"{name} ", label), Segment(number, base + Style(color=colour(self, "muted")))]

    # ---- keys ----

    def action_zoom(self) -> None:
        """Ask for a closer look."""
        if self.index is not None:
            self.post_message(self.Zoomed(self.index))

    def action_augment(self) -> None:
        """Ask what augmentation makes of the picture."""
        if self.index is not None:
            self.post_message(self.Zoomed(self.index, augmented=True))
