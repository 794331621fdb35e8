"""What the tests of the rooms share."""

from __future__ import annotations

from pathlib import Path

from textual.widget import Widget

from tests.tui.pane_app import PaneApp


def app_with(room: Widget, tmp_path: Path) -> PaneApp:
    """An app around a room, with folders of its own."""
    return PaneApp(room, tmp_path / "data", tmp_path / "runs")


def line_with(app: PaneApp, words: str) -> str:
    """The first line of the screen that holds these words."""
    return next((line for line in app.text.splitlines() if words in line), "")
