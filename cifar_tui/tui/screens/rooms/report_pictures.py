"""The pictures behind a number of the report: a gallery, and the chosen picture beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.events import Resize
from textual.message import Message
from textual.widgets import Static

from cifar_tui.charts.cells import plain
from cifar_tui.tui import answer_data
from cifar_tui.tui.answer_data import Said
from cifar_tui.tui.messages import CopyRequested
from cifar_tui.tui.screens.rooms import report_text
from cifar_tui.tui.screens.zoom import ZoomScreen
from cifar_tui.tui.widgets.gallery import Gallery
from cifar_tui.tui.widgets.picture_views import Picture, PictureRow, PictureZoom

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cifar_tui.datasets.split import Dataset, Split
    from cifar_tui.session.evaluate import Answered


@dataclass(frozen=True)
class Wanted:
    """Which pictures are asked for.

    Attributes:
        title: what they are, outside text made safe.
        true, said: classes; both empty for all mistakes.
    """

    title: str
    true: tuple[int, ...] = ()
    said: tuple[int, ...] = ()

    def places(self, answered: Answered) -> NDArray[np.int64]:
        """Their places in an evaluated split, surest first."""
        if not self.true:
            return answer_data.mistakes(answered)
        return answer_data.behind(answered, self.true, self.said)


ALL_MISTAKES = Wanted("Most confident mistakes")


def zoomed(split: Split, answered: Answered, place: int) -> ZoomScreen:
    """One picture large, with what was said of it."""
    found = answer_data.said_of(answered, place)
    title = f"{plain(split.names[found.true])}  #{found.index:,}"
    lines = report_text.picture(found, split.names, answered.split, 32, None)
    return ZoomScreen(split.images[found.index], title, lines)


class ReportPictures(Horizontal):
    """Gallery at the left, the picture under its cursor at the right."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o", "order", "Order", id="pictures.order", tooltip="Surest, least sure, or by number"),
        Binding("c", "pair", "Pair", id="pictures.pair", tooltip="All pictures of the same two classes"),
        Binding("escape", "close", "Matrix", id="pictures.close", tooltip="Back to the matrix"),
        Binding("backspace", "close", "Matrix", id="pictures.close_back", show=False),
        Binding("y", "copy", "Copy", id="pictures.copy", tooltip="Copy the table as text", show=False),
    ]

    class Closed(Message):
        """Back to the matrix."""

    class PairWanted(Message):
        """All pictures of a class that were taken for another."""

        def __init__(self, true: int, said: int) -> None:
            super().__init__()
            self.true, self.said = true, said

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._wanted = ALL_MISTAKES
        self._answered: Answered | None = None
        self._split: Split | None = None
        self._places: NDArray[np.int64] | None = None
        self._order = 0

    def compose(self) -> ComposeResult:
        """The two panes."""
        with Vertical(id="pictures-left", classes="pane"):
            yield Static(id="pictures-empty")
            yield Gallery(id="pictures-gallery")
        with Vertical(id="pictures-right", classes="pane") as right:
            right.border_title = "Picture"
            yield PictureZoom(id="pictures-zoom")
            yield Static(id="pictures-facts")
            yield PictureRow(id="pictures-others")

    # ---- content ----

    @property
    def wanted(self) -> Wanted:
        """Which pictures are shown."""
        return self._wanted

    def wait(self, wanted: Wanted, text: Content) -> None:
        """Say why the pictures are not there yet."""
        self._wanted, self._answered, self._split, self._places = wanted, None, None, None
        self.query_one(Gallery).show(None, None, None)
        self.query_one("#pictures-left").border_title = Content(wanted.title)
        self.query_one("#pictures-left").border_subtitle = ""
        self._say(text)

    def _say(self, text: Content | None) -> None:
        said = self.query_one("#pictures-empty", Static)
        said.display = text is not None
        self.query_one(Gallery).display = text is None
        said.update(text if text is not None else "")

    def show(self, wanted: Wanted, answered: Answered, dataset: Dataset) -> None:
        """Show the pictures of an evaluated split."""
        same = wanted == self._wanted and answered is self._answered
        cursor = self.query_one(Gallery).cursor if same else 0
        self._wanted, self._answered = wanted, answered
        self._split = dataset.test if answered.source == "test" else dataset.train
        self._places = answer_data.ordered(answered, wanted.places(answered), self._order)
        self._say(None if len(self._places) else report_text.no_pictures(wanted.title))
        self.query_one(Gallery).show(self._split, answered, self._places, cursor)
        self.call_after_refresh(self._paint_frame)
        self.refresh_bindings()

    def let_go(self) -> None:
        """Forget the pixels."""
        self._split = None
        self.query_one(Gallery).show(None, None, None)

    def _paint_frame(self) -> None:
        pane, gallery = self.query_one("#pictures-left"), self.query_one(Gallery)
        if self._answered is None:
            return
        pane.border_title = Content(f"{self._wanted.title}  {self._answered.split}")
        first, last = gallery.in_sight
        order = answer_data.ORDERS[self._order]
        pane.border_subtitle = (
            Content(f"{first:,} to {last:,} of {gallery.count:,}, {order}") if gallery.count else ""
        )

    def on_gallery_moved(self, message: Gallery.Moved) -> None:
        """Another picture: that under the cursor now, as the message may speak of a report that is gone."""
        message.stop()
        self._paint_frame()
        self._paint_picture(self.query_one(Gallery).place)

    def _paint_picture(self, place: int | None) -> None:
        zoom, facts = self.query_one(PictureZoom), self.query_one("#pictures-facts", Static)
        others = self.query_one(PictureRow)
        split, answered = self._split, self._answered
        if split is None or answered is None or place is None:
            zoom.show(None)
            facts.update("")
            others.show([])
            return
        found = answer_data.said_of(answered, place)
        zoom.show(split.images[found.index])
        rest = [row for row in self._like(found) if row != place]
        facts.update(report_text.picture(found, split.names, answered.split, 34, len(rest)))
        shown = [answer_data.said_of(answered, row).index for row in rest[:2]]
        others.show([Picture(split.images[index], f"#{index:,}") for index in shown])

    def _like(self, found: Said) -> list[int]:
        assert self._answered is not None
        places: list[int] = answer_data.behind(self._answered, (found.true,), (found.said,)).tolist()
        return places

    def on_gallery_zoomed(self, message: Gallery.Zoomed) -> None:
        """A closer look."""
        message.stop()
        place = self.query_one(Gallery).place
        if self._split is not None and self._answered is not None and place is not None:
            self.app.push_screen(zoomed(self._split, self._answered, place))

    # ---- keys ----

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Pictures are needed for most."""
        if action in {"order", "copy"}:
            return bool(self.query_one(Gallery).count)
        if action == "pair":
            return bool(self.query_one(Gallery).count) and not self._wanted.true
        return super().check_action(action, parameters)

    def action_order(self) -> None:
        """Another order."""
        self._order = (self._order + 1) % len(answer_data.ORDERS)
        if self._answered is not None and self._split is not None and self._places is not None:
            self._places = answer_data.ordered(self._answered, self._places, self._order)
            self.query_one(Gallery).show(self._split, self._answered, self._places)
            self._paint_frame()

    def action_pair(self) -> None:
        """All pictures of the same two classes."""
        place = self.query_one(Gallery).place
        if place is not None and self._answered is not None:
            found = answer_data.said_of(self._answered, place)
            self.post_message(self.PairWanted(found.true, found.said))

    def action_copy(self) -> None:
        """What is shown, as a table of numbers and classes."""
        if self._answered is not None and self._split is not None and self._places is not None:
            found = [answer_data.said_of(self._answered, int(place)) for place in self._places]
            text = report_text.answers_table(found, self._split.names, self._answered.source)
            self.post_message(CopyRequested(text, "table"))

    def action_close(self) -> None:
        """Back."""
        self.post_message(self.Closed())

    def on_resize(self, event: Resize) -> None:
        """Narrow screens have the gallery alone."""
        self.set_class(event.size.width < 116, "-no-zoom")
        self.call_after_refresh(self._paint_frame)
