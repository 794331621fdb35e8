"""The part of the app that goes from room to room and pane to pane, and changes how they look."""

from __future__ import annotations

from cifar_tui.tui import theme as themes
from cifar_tui.tui.records import Records
from cifar_tui.tui.settings import Settings


class Navigation(Records):
    """Rooms, panes, sizes and themes.

    Attributes:
        settings: what is remembered.
    """

    settings: Settings

    async def action_room(self, number: int) -> None:
        """Go to a room."""
        await self.dashboard.show_room(int(number))

    def action_pane(self, name: str) -> None:
        """Go to a pane."""
        self.dashboard.focus_pane(name)

    def action_next_pane(self) -> None:
        """The next pane."""
        self.dashboard.next_pane(1)

    def action_previous_pane(self) -> None:
        """The pane before."""
        self.dashboard.next_pane(-1)

    def action_maximise(self) -> None:
        """One pane alone, and back."""
        self.dashboard.maximise()

    def action_narrower(self) -> None:
        """Less room for the left column."""
        self.dashboard.grid.change("left", -2)

    def action_wider(self) -> None:
        """More room for the left column."""
        self.dashboard.grid.change("left", 2)

    def action_shorter(self) -> None:
        """Less room for the focused pane."""
        self.dashboard.grid.change(self.dashboard.grid.focused_pane(), -1)

    def action_taller(self) -> None:
        """More room for the focused pane."""
        self.dashboard.grid.change(self.dashboard.grid.focused_pane(), 1)

    def action_usual_sizes(self) -> None:
        """Forget the sizes."""
        self.settings.set(left_width=0, dataset_height=0, chart_height=0, report_height=0)
        self.dashboard.fit()

    def action_theme(self) -> None:
        """Light or dark."""
        self._use_theme(themes.other_light(self.theme))

    def action_palette(self) -> None:
        """Colours that everyone can tell apart, or the usual ones."""
        self._use_theme(themes.other_palette(self.theme))

    def _use_theme(self, name: str) -> None:
        self.theme = name
        self.settings.set(theme=name)
