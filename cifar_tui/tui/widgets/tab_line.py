"""The row of tabs that stands for the panes on a small screen."""

from __future__ import annotations

from rich.style import Style
from rich.text import Text
from textual import events
from textual.app import RenderResult
from textual.widget import Widget

from cifar_tui.tui.arrange import TABS, TITLES


class TabLine(Widget):
    """One row: a click or ``f6`` brings a pane to the front."""

    DEFAULT_CSS = "TabLine { height: 1; width: 100%; background: $background; display: none; }"

    def __init__(self) -> None:
        super().__init__()
        self._tab = TABS[0]
        self._spots: list[tuple[int, int, str]] = []

    def show_tab(self, tab: str) -> None:
        """Mark the pane in front."""
        if tab != self._tab:
            self._tab = tab
            self.refresh()

    def render(self) -> RenderResult:
        """The row."""
        variables = self.app.theme_variables
        accent, muted = variables["accent"][:7], variables["muted"][:7]
        here = Style(color=variables["background"][:7], bgcolor=accent, bold=True)
        other = Style(color=muted, bgcolor=variables["field"][:7])
        text, self._spots = Text(" ", no_wrap=True, overflow="crop", end=""), []
        for name in TABS:
            begin = text.cell_len
            text.append(f" {TITLES[name]} ", style=here if name == self._tab else other)
            self._spots.append((begin, text.cell_len, name))
            text.append(" ")
        if text.cell_len + 14 <= self.size.width:
            text.append("  f6", style=Style(color=accent, bold=True))
            text.append(" next pane", style=Style(color=muted))
        return text

    def on_click(self, event: events.Click) -> None:
        """A click on a tab."""
        for first, last, name in self._spots:
            if first <= event.x < last:
                self.app.call_later(self.app.run_action, f"pane({name!r})")
