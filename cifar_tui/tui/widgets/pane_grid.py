"""The panes of the dashboard: where each lies, and how borders are moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import events
from textual.app import ComposeResult
from textual.containers import Container
from textual.geometry import NULL_OFFSET, Region, Size
from textual.layout import ArrangeResult, Layout, WidgetPlacement
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from cifar_tui.tui import arrange
from cifar_tui.tui.arrange import PANES, TITLES, Sizes

if TYPE_CHECKING:
    from cifar_tui.tui.settings import Settings


class PaneLayout(Layout):
    """Puts the panes where `arrange.regions` says."""

    name = "panes"

    def arrange(
        self,
        parent: Widget,
        children: list[Widget],
        size: Size,
        greedy: bool = True,  # noqa: ARG002
    ) -> ArrangeResult:
        """A placement for each pane in sight."""
        assert isinstance(parent, PaneGrid)
        regions = parent.regions(size)
        return [
            WidgetPlacement(regions[name], NULL_OFFSET, child.styles.margin, child)
            for child in children
            if (name := parent.name_of(child)) in regions
        ]


class PaneGrid(Container):
    """The panes. They keep their state whatever the size, as none is ever made anew."""

    DEFAULT_CSS = "PaneGrid { width: 100%; height: 1fr; }"

    class Resized(Message):
        """The user moved a border."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(id="panes")
        self.settings = settings
        self.layout_mode = "two"
        self.tab = "loss"
        self.alone = ""
        self.panes: dict[str, Widget] = {}
        self._dragged = ""
        self._pane_layout = PaneLayout()

    @property
    def layout(self) -> Layout:
        """Always the panes' own."""
        return self._pane_layout

    def compose(self) -> ComposeResult:
        """Frames with titles, until the panes are there."""
        for name in PANES:
            frame = Static("", id=f"frame-{name}", classes="pane frame")
            frame.border_title = TITLES[name]
            yield frame

    def name_of(self, child: Widget) -> str:
        """The pane a child is, or the frame of."""
        return next(
            (name for name, pane in self.panes.items() if pane is child),
            (child.id or "").removeprefix("frame-"),
        )

    @property
    def sizes(self) -> Sizes:
        """The user's sizes."""
        chosen = self.settings
        return Sizes(chosen.left_width, chosen.dataset_height, chosen.chart_height, chosen.report_height)

    def regions(self, size: Size) -> dict[str, Region]:
        """Where the panes are for a size of this widget."""
        return arrange.regions(
            size.width, size.height, self.layout_mode, sizes=self.sizes, tab=self.tab, alone=self.alone
        )

    async def fill(self, panes: dict[str, Widget]) -> None:
        """Put the panes in place of the frames."""
        with self.app.batch_update():
            self.panes = panes
            await self.mount_all(panes.values())
            await self.query(".frame").remove()
            self.arrange_panes()

    def arrange_panes(self) -> None:
        """Look again at which panes are in sight."""
        regions = self.regions(self.size)
        for child in self.children:
            shown = self.name_of(child) in regions
            if child.display != shown:
                child.display = shown
        self._clear_arrangement_cache()  # a refresh clears only those of the widgets above
        self.refresh(layout=True)

    def focused_pane(self) -> str:
        """The pane with the focus, or ""."""
        focused = self.screen.focused
        while focused is not None and focused is not self:
            name = next((name for name, pane in self.panes.items() if pane is focused), "")
            if name:
                return name
            focused = focused.parent if isinstance(focused.parent, Widget) else None
        return ""

    def visible_panes(self) -> list[str]:
        """The panes in sight, in the order of the tab key."""
        regions = self.regions(self.size)
        return [name for name in PANES if name in regions]

    # ---- sizes ----

    def change(self, part: str, by: int) -> None:
        """Make the left column ("left") or a pane bigger or smaller by a number of cells."""
        regions = self.regions(self.size)
        chosen = self.settings
        if part == "left" and "dataset" in regions and not self.alone and self.layout_mode != "tabs":
            width = regions["dataset"].width + by
            chosen.set(left_width=min(max(width, 30), max(30, self.size.width - 40)))
        elif part in {"dataset", "recipe"} and "dataset" in regions and "recipe" in regions:
            height = regions["dataset"].height + (by if part == "dataset" else -by)
            chosen.set(dataset_height=max(5, min(height, self.size.height - 9)))
        elif part in {"loss", "accuracy"} and "loss" in regions and "accuracy" in regions:
            height = regions["loss"].height + (by if part == "loss" else -by)
            total = regions["loss"].height + regions["accuracy"].height
            chosen.set(chart_height=max(6, min(height, total - 6)))
        elif part == "report" and "loss" in regions and "report" in regions and self.layout_mode == "two":
            height = regions["report"].height + by
            chosen.set(report_height=max(6, min(height, self.size.height - 14)), chart_height=0)
        else:
            return
        self.arrange_panes()
        self.post_message(self.Resized())

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Take hold of the border between the columns."""
        regions = self.regions(self.size)
        if "dataset" not in regions or "loss" not in regions:
            return
        x, y = event.screen_x - self.region.x, event.screen_y - self.region.y
        edge = regions["dataset"].right
        if x in {edge - 1, edge}:
            self._dragged = "left"
        elif x < edge and y in {regions["dataset"].bottom - 1, regions["dataset"].bottom}:
            self._dragged = "dataset"
        elif edge < x < regions["loss"].right and y == regions["loss"].bottom - 1:
            self._dragged = "loss"
        elif "report" in regions and edge < x and y == regions["report"].y and self.layout_mode == "two":
            self._dragged = "report"
        else:
            return
        self.capture_mouse()
        event.stop()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Move the border along."""
        if not self._dragged:
            return
        regions = self.regions(self.size)
        x, y = event.screen_x - self.region.x, event.screen_y - self.region.y
        if ("dataset" if self._dragged == "left" else self._dragged) not in regions:
            return  # a key or another size changed the arrangement meanwhile
        if self._dragged == "left":
            self.change("left", int(x) + 1 - regions["dataset"].width)
        elif self._dragged == "report":
            self.change("report", regions["report"].y - int(y))
        else:
            self.change(self._dragged, int(y) + 1 - regions[self._dragged].bottom)
        event.stop()

    def on_mouse_up(self, _event: events.MouseUp) -> None:
        """Let go."""
        if self._dragged:
            self._dragged = ""
            self.release_mouse()

    def on_resize(self, _event: events.Resize) -> None:
        """Other panes may be in sight."""
        self.arrange_panes()
