"""What the tests of the rooms share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from textual.pilot import Pilot
from textual.widget import Widget

from tests.tui.pane_app import PaneApp, screen_text


def app_with(room: Widget, tmp_path: Path) -> PaneApp:
    """An app around a room, with folders of its own."""
    return PaneApp(room, tmp_path / "data", tmp_path / "runs")


async def until(pilot: Pilot[None], true: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for something to be true; fails with what is on the screen."""
    for _ in range(int(seconds / 0.02)):
        await pilot.pause(0.02)
        if true():
            return
    raise AssertionError(screen_text(pilot.app))


def line_with(app: PaneApp, words: str) -> str:
    """The first line of the screen that holds these words."""
    return next((line for line in app.text.splitlines() if words in line), "")
