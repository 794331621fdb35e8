"""A small app around one widget, with the themes and style sheets of the real one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from textual.app import App, ComposeResult
from textual.css.query import NoMatches
from textual.message import Message
from textual.widget import Widget

import cifar_tui.tui
from cifar_tui.tui import theme
from cifar_tui.tui.frames import FrameScreen

STYLES = sorted((Path(cifar_tui.tui.__file__).parent / "styles").glob("*.tcss"))


class PaneApp(App[None]):
    """Shows one widget and keeps the messages that reach the app."""

    CSS_PATH: ClassVar[Any] = STYLES
    CSS = "Screen { background: $background; }"

    def __init__(self, widget: Widget, data_dir: Path, runs_dir: Path, css: str = "") -> None:
        super().__init__()
        for name in theme.NAMES:
            self.register_theme(theme.build(name))
        self.theme = theme.DARK
        self.widget = widget
        self.data_dir = data_dir
        self.runs_dir = runs_dir
        self.asked: list[Message] = []

    def get_default_screen(self) -> FrameScreen:
        return FrameScreen()

    def compose(self) -> ComposeResult:
        yield self.widget

    def on_download_requested(self, message: Message) -> None:
        self.asked.append(message)

    on_cancel_download = on_run_opened = on_run_resumed = on_copy_requested = on_download_requested

    def _handle_exception(self, error: Exception) -> None:
        """As the app itself: who finds nothing because the screen is going is no failure."""
        if self.is_running or not isinstance(error, NoMatches):
            super()._handle_exception(error)

    @property
    def text(self) -> str:
        """What is on the screen, line by line."""
        return screen_text(self)


def screen_text(app: App[Any]) -> str:
    """The characters of every cell, lines joined by newlines."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


def picture(app: App[Any], path: str) -> None:
    """Save what is on the screen as SVG."""
    Path(path).write_text(app.export_screenshot(), encoding="utf-8")
