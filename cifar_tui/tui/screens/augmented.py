"""What augmentation makes of one picture: the picture as it is, and as steps of a training would see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.events import Resize
from textual.widgets import Static

from cifar_tui.datasets import augment
from cifar_tui.datasets.augment import Augment, Draw
from cifar_tui.tui.screens.modal import Modal
from cifar_tui.tui.widgets.picture_views import THUMB_HEIGHT, THUMB_WIDTH, Picture, PictureRow

if TYPE_CHECKING:
    from cifar_tui.config import RunConfig

MOST_ROWS, MOST_COLUMNS = 3, 6
USUAL = Augment(flip=True, crop=4)
"""Shown while the recipe leaves pictures as they are."""


class AugmentedScreen(Modal[None]):
    """One picture many times.

    Args:
        image: (32, 32, 3) uint8.
        title: of the picture; made safe already.
        config: the recipe in the form; None while it is not valid.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q", "dismiss", "Close", id="augmented.close"),
        Binding("a,n,space", "others", "Others", id="augmented.others"),
    ]

    def __init__(self, image: NDArray[np.uint8], title: str, config: RunConfig | None) -> None:
        super().__init__(classes="dialog")
        self._image, self._title = image, title
        asked = Augment.of(config) if config is not None else None
        self._settings, self._is_asked = asked or USUAL, asked is not None
        self._seed = config.seed if config is not None else 0
        self._step = 0

    def compose(self) -> ComposeResult:
        """Rows of pictures over what is done to them."""
        with Vertical(id="augmented") as box:
            box.border_title = Content(f"{self._title}, augmented")
            box.border_subtitle = "a others   esc closes"
            yield from (PictureRow() for _ in range(MOST_ROWS))
            yield Static(_what(self._settings, self._is_asked), id="augmented-text")

    def on_resize(self, event: Resize) -> None:
        """As many pictures as fit."""
        columns = max(1, min(MOST_COLUMNS, (event.size.width - 4) // (THUMB_WIDTH + 2)))
        rows = max(1, min(MOST_ROWS, (event.size.height - 5) // (THUMB_HEIGHT + 1)))
        self.query_one("#augmented").styles.width = columns * (THUMB_WIDTH + 2) + 2
        for place, row in enumerate(self.query(PictureRow)):
            row.display = place < rows
        self._show(rows, columns)

    def _show(self, rows: int, columns: int) -> None:
        count = rows * columns
        drawn = augment.draw(self._settings, self._seed, self._step, 1, count - 1)
        images = augment.augmented(np.repeat(self._image[None], count - 1, axis=0), self._settings, drawn)
        shown = [Picture(self._image, "as it is")]
        shown += [Picture(image, caption(drawn, place)) for place, image in enumerate(images)]
        for place, row in enumerate(self.query(PictureRow)):
            row.show(shown[place * columns : (place + 1) * columns])
        self._fitting = (rows, columns)

    def action_others(self) -> None:
        """As the next step would see it."""
        self._step += 1
        self._show(*self._fitting)

    def on_click(self) -> None:
        """A click shows others."""
        self.action_others()


def caption(drawn: Draw, place: int) -> str:
    """What was done to one picture, in few letters: ``mirrored ←2 ↓3``."""
    down, right = int(drawn.down[place]), int(drawn.right[place])
    words = ["mirrored"] if drawn.flipped[place] else []
    if right:
        words.append(f"{'→' if right > 0 else '←'}{abs(right)}")
    if down:
        words.append(f"{'↓' if down > 0 else '↑'}{abs(down)}")
    return " ".join(words) or "unmoved"


def _what(settings: Augment, is_asked: bool) -> Content:
    done = ["flip"] if settings.flip else []
    done += [
        f"{name} {size}" for name, size in (("crop", settings.crop), ("cutout", settings.cutout)) if size
    ]
    text = ", ".join(done)
    if is_asked:
        return Content.assemble(("the recipe: ", "$muted"), text)
    return Content.assemble(("the recipe leaves pictures as they are; this is ", "$muted"), text)
