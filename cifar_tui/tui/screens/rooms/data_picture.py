"""The chosen picture of the data room, with its labels and statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from cifar_tui.charts.cells import plain
from cifar_tui.tui.screens.augmented import AugmentedScreen
from cifar_tui.tui.screens.rooms import data_text
from cifar_tui.tui.screens.zoom import ZoomScreen
from cifar_tui.tui.widgets.picture_views import PictureZoom

if TYPE_CHECKING:
    from cifar_tui.config import RunConfig
    from cifar_tui.datasets.split import Split

_WIDTH, _ZOOM_WIDTH = 34, 32


class PicturePane(Vertical):
    """One picture, every pixel, over what is known of it."""

    def compose(self) -> ComposeResult:
        """Pixels over text."""
        self.border_title = "Picture"
        self.border_subtitle = "enter zoom   a augment"
        yield PictureZoom(id="data-zoom")
        yield Static(id="data-facts")

    def show(self, dataset: str, part: str, split: Split | None, index: int | None) -> None:
        """Show the picture at a place of a split, or nothing."""
        zoom, facts = self.query_one(PictureZoom), self.query_one("#data-facts", Static)
        if split is None or index is None:
            zoom.show(None)
            facts.update("")
            return
        zoom.show(split.images[index])
        facts.update(data_text.facts(dataset, part, split, index, _WIDTH))


def zoomed(dataset: str, part: str, split: Split, index: int) -> ZoomScreen:
    """The picture large, with its labels and statistics."""
    lines: Content = data_text.facts(dataset, part, split, index, _ZOOM_WIDTH)
    return ZoomScreen(split.images[index], _title(split, index), lines)


def augmented(split: Split, index: int, config: RunConfig | None) -> AugmentedScreen:
    """The picture as a training by this recipe sees it."""
    return AugmentedScreen(split.images[index], _title(split, index), config)


def _title(split: Split, index: int) -> str:
    return f"{plain(split.names[int(split.labels[index])])}  #{index:,}"
