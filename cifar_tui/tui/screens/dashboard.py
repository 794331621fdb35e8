"""The one screen: header, rooms, footer. Room 1 is the dashboard with its panes."""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual import events, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.css.query import NoMatches
from textual.message import Message
from textual.reactive import Reactive
from textual.widget import Widget
from textual.widgets import ContentSwitcher, Static

from cifar_tui.text import safe_text
from cifar_tui.tui import arrange
from cifar_tui.tui.arrange import PANES, TABS
from cifar_tui.tui.frames import FrameScreen
from cifar_tui.tui.live import ALL_KINDS, LiveRun
from cifar_tui.tui.screens.tooltips import BelowTooltips
from cifar_tui.tui.widgets.footer import FooterLine
from cifar_tui.tui.widgets.header import HeaderLine
from cifar_tui.tui.widgets.pane_grid import PaneGrid
from cifar_tui.tui.widgets.tab_line import TabLine

if TYPE_CHECKING:
    from cifar_tui.tui.settings import Settings

# Where each pane and room lives; imported in a thread once the frame was painted.
PANE_CLASSES: dict[str, tuple[str, str]] = {
    "dataset": ("cifar_tui.tui.widgets.dataset_pane", "DatasetPane"),
    "recipe": ("cifar_tui.tui.widgets.recipe_form", "RecipeForm"),
    "loss": ("cifar_tui.tui.widgets.chart_pane", "ChartPane"),
    "accuracy": ("cifar_tui.tui.widgets.chart_pane", "ChartPane"),
    "report": ("cifar_tui.tui.widgets.report_pane", "ReportPane"),
}
ROOM_CLASSES: dict[int, tuple[str, str]] = {
    2: ("cifar_tui.tui.screens.rooms.data", "RoomData"),
    3: ("cifar_tui.tui.screens.rooms.report", "RoomReport"),
    4: ("cifar_tui.tui.screens.rooms.runs", "RoomRuns"),
    5: ("cifar_tui.tui.screens.rooms.machine", "RoomMachine"),
}


def load_class(place: tuple[str, str]) -> type[Widget]:
    """The class at a place."""
    found = getattr(importlib.import_module(place[0]), place[1])
    assert isinstance(found, type)
    return found


class Dashboard(FrameScreen, BelowTooltips):
    """Header, rooms and footer. Room 1 is made at once, the others when they are first entered."""

    AUTO_FOCUS = ""
    # What gains or loses the focus paints itself; Textual would paint the whole screen for each change.
    focused: Reactive[Widget | None] = Reactive(None, repaint=False)
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "app.focus_next", "Focus next", show=False),
        Binding("shift+tab", "app.focus_previous", "Focus previous", show=False),
    ]

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        self.room = 1
        self.ready = False
        self._live = LiveRun()
        self._rooms: dict[int, Widget] = {}
        self._left_pane = ""  # where the focus was when room 1 was left

    def compose(self) -> ComposeResult:
        """The frame only: the first paint must come early."""
        yield HeaderLine()
        with ContentSwitcher(initial="room-1", id="rooms"), Container(id="room-1"):
            yield TabLine()
            yield PaneGrid(self.settings)
        yield FooterLine()
        yield Static(id="tiny")

    @property
    def grid(self) -> PaneGrid:
        """The panes of the dashboard."""
        return self.query_one(PaneGrid)

    @property
    def header(self) -> HeaderLine:
        """The header."""
        return self.query_one(HeaderLine)

    def pane(self, name: str) -> Any:
        """A pane by name; None before it is there."""
        return self.grid.panes.get(name)

    def on_mount(self) -> None:
        """Load the panes while the frame is on the screen."""
        self.grid.border_title = None
        self.call_after_refresh(self.load_panes)

    class _Loaded(Message):
        bubble = False

        def __init__(self, found: dict[str, type[Widget]]) -> None:
            super().__init__()
            self.found = found

    @work(thread=True, group="load")
    def load_panes(self) -> None:
        """Import the panes off the event loop."""
        found = {name: load_class(place) for name, place in PANE_CLASSES.items()}
        self.post_message(self._Loaded(found))

    async def on_dashboard__loaded(self, message: _Loaded) -> None:
        """Make the panes."""
        found: dict[str, Any] = message.found
        read_styles = getattr(self.app, "read_styles", None)
        if read_styles is not None:
            read_styles()
        await self.grid.fill(
            {
                "dataset": found["dataset"](),
                "recipe": found["recipe"](settings=self.settings),
                "loss": found["loss"]("loss", settings=self.settings),
                "accuracy": found["accuracy"]("accuracy", settings=self.settings),
                "report": found["report"](),
            }
        )
        self.ready = True
        self.fit()
        self.show_live(self._live, ALL_KINDS)
        if self.focused is None and self.room == 1:
            self.focus_pane("loss" if "loss" in self.grid.visible_panes() else self.grid.tab)
        panes_ready = getattr(self.app, "panes_ready", None)
        if panes_ready is not None:
            panes_ready()

    # ---- what is shown ----

    def show_live(self, live: LiveRun, kinds: frozenset[str]) -> None:
        """Hand a run to the header, the panes of the dashboard and the room in sight."""
        self._live = live
        self.header.show_live(live, kinds)
        for pane in self.grid.panes.values():
            self._tell(pane, live, kinds)
        room = self._rooms.get(self.room)
        if room is not None:
            self._tell(room, live, kinds)
        if self.grid.layout_mode == "tiny":
            self._show_tiny()

    def _tell(self, pane: Any, live: LiveRun, kinds: frozenset[str]) -> None:
        if inspect.iscoroutinefunction(pane.show_live):
            self.call_later(pane.show_live, live, kinds)
        else:
            pane.show_live(live, kinds)

    async def show_room(self, number: int) -> None:
        """Go to a room, made now where it was never entered."""
        if number not in {1, *ROOM_CLASSES}:
            return
        switcher = self.query_one("#rooms", ContentSwitcher)
        self._left_pane = self.grid.focused_pane() or self._left_pane
        if number != 1 and number not in self._rooms:
            widget = load_class(ROOM_CLASSES[number])()
            widget.id = f"room-{number}"
            self._rooms[number] = widget
            await switcher.add_content(widget)
        self.room = number
        switcher.current = f"room-{number}"
        self.header.show_room(number)
        if number == 1:
            self.focus_pane(self._left_pane or (self.grid.visible_panes() or ["loss"])[0])
        else:
            room = self._rooms[number]
            self._tell(room, self._live, ALL_KINDS)
            self._enter(number)  # at once: the next key may be here already, and is meant for the room
            self.call_after_refresh(self._enter, number)
        self.query_one(FooterLine).update_keys()

    def _enter(self, number: int) -> None:
        room = self._rooms[number]
        if self.room == number and (self.focused is None or room not in self.focused.ancestors_with_self):
            inside = next((widget for widget in room.query("*") if widget.focusable), None)
            self.set_focus(room if room.focusable else inside)

    def focus_pane(self, name: str) -> None:
        """Give a pane the focus, bringing its tab to the front."""
        pane = self.pane(name)
        if pane is None:
            return
        before = (self.grid.tab, self.grid.alone)
        if self.grid.layout_mode == "tabs":
            self.grid.tab = name
        if self.grid.alone:
            self.grid.alone = name
        if before != (self.grid.tab, self.grid.alone):  # a layout takes longer than a key should
            self.fit(refocus=False)
        if pane.focusable:
            self.set_focus(pane)  # now: a focus that comes later could take it from a room entered meanwhile
        elif hasattr(pane, "focus_first"):
            pane.focus_first()
        else:
            self.set_focus(next((w for w in pane.query("*") if w.focusable), None))

    def next_pane(self, by: int) -> None:
        """Go to the next pane, or the one before."""
        names = list(TABS) if self.grid.layout_mode == "tabs" else list(PANES)
        here = self.grid.focused_pane()
        index = names.index(here) if here in names else -1 if by > 0 else 0
        if self.grid.layout_mode == "tabs":
            index = names.index(self.grid.tab)
        self.focus_pane(names[(index + by) % len(names)])

    def maximise(self) -> None:
        """Give the focused pane all of the room, and back."""
        grid = self.grid
        here = grid.focused_pane()
        grid.alone = "" if grid.alone else here
        self.fit()
        if here:
            self.focus_pane(here)

    # ---- sizes ----

    def on_resize(self, _event: events.Resize) -> None:
        """Another size may mean another layout."""
        self.fit()

    def fit(self, *, refocus: bool = True) -> None:
        """Arrange everything for the present size; a focus that went out of sight goes to a pane in sight."""
        try:
            grid, tabs, tiny = self.grid, self.query_one(TabLine), self.query_one("#tiny", Static)
        except NoMatches:
            return
        size = self.app.size
        grid.layout_mode = arrange.mode(size.width, size.height)
        is_tiny = grid.layout_mode == "tiny"
        tiny.display = is_tiny
        for widget in (self.header, self.query_one("#rooms"), self.query_one(FooterLine)):
            widget.display = not is_tiny
        tabs.display = grid.layout_mode == "tabs" and not grid.alone
        tabs.show_tab(grid.tab)
        grid.arrange_panes()
        if is_tiny:
            self._show_tiny()
        here, visible = grid.focused_pane(), grid.visible_panes()
        if refocus and here and visible and here not in visible:
            self.focus_pane(grid.tab if grid.tab in visible else visible[0])

    def _show_tiny(self) -> None:
        live = self._live
        loss = live.progress.moving_loss if live.progress is not None else None
        lines = [
            f"{safe_text(live.run_id or 'cifar-tui', 20)}",
            live.status,
            f"{live.step:,}/{live.target:,}" if live.target else "",
            f"loss {loss:.3f}" if loss is not None else "",
            "space start, q quit" if not live.is_live else "space pause, q quit",
        ]
        height = max(1, self.app.size.height)
        kept = [line for line in lines if line]
        if len(kept) > height:
            kept = [*kept[1:height], kept[-1]] if height > 2 else kept[1 : 1 + height]
        self.query_one("#tiny", Static).update(Text("\n".join(kept[:height]), no_wrap=True, overflow="crop"))

    def on_descendant_focus(self, _event: events.DescendantFocus) -> None:
        """Other keys."""
        self.query_one(FooterLine).update_keys()
