"""What the journeys through the app share: hands that act by keys or by mouse, and look before they act."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cifar_tui.tui.arrange import TITLES
from tests.tui.terminal import Terminal

FOCUS_COLOURS = ("7aa2f7", "2a5ad0")  # of the dark and of the light theme, as they are drawn
UP, DOWN, RIGHT, LEFT, HOME = (f"\x1b[{code}" for code in "ABCDH")
SLOW = 240.0  # longest wait for what takes seconds on a machine that does nothing else


def archive(name: str) -> Path:
    """An official archive of the data; skips the test where it is not at hand."""
    given = os.environ.get("CIFAR_TUI_TEST_ARCHIVES")
    path = (Path(given) if given else Path(__file__).parents[3] / "shared") / name
    if not path.exists():
        pytest.skip(f"{path} is not there; set CIFAR_TUI_TEST_ARCHIVES")
    return path


class Hands:
    """What a user does, by keys alone or by mouse.

    Args:
        terminal: with the app in it.
        mouse: click on what can be clicked.
    """

    def __init__(self, terminal: Terminal, *, mouse: bool) -> None:
        self.terminal = terminal
        self.mouse = mouse
        self.tabs = terminal.screen.columns < 100

    # ---- acting ----

    def do(self, key: str, seen: str, *, rows: tuple[int, int] = (0, 1000), last: bool = False) -> None:
        """Press a key; or click on the text that stands for it, once that is seen."""
        if self.mouse:
            self.click(seen, rows=rows, last=last)
        else:
            self.terminal.press(key)

    def click(
        self, seen: str, *, rows: tuple[int, int] = (0, 1000), last: bool = False, times: int = 1
    ) -> None:
        """Click on the first letter of a text, once it is seen and stands still."""
        terminal = self.terminal
        before: list[tuple[int, int] | None] = [None]

        def stands() -> bool:
            now = self.spot(seen, rows, last=last)
            stood, before[0] = now == before[0], now
            return (
                stood and now is not None and terminal.pump(0.4) and self.spot(seen, rows, last=last) == now
            )

        terminal.wait_until(stands, f"{seen!r} in rows {rows}", SLOW)
        assert before[0] is not None
        x, y = before[0]
        for _ in range(times):
            terminal.click_at(x + len(seen) - len(seen.lstrip()), y)

    def spot(self, seen: str, rows: tuple[int, int] = (0, 1000), *, last: bool) -> tuple[int, int] | None:
        """Where a text is; None where it is not."""
        try:
            return self.terminal.find(seen, rows=rows, last=last)
        except AssertionError:
            return None

    def footer(self, key: str, seen: str) -> None:
        """A key of the footer."""
        bottom = self.terminal.screen.lines
        self.do(key, seen, rows=(bottom - 1, bottom))

    def room(self, number: int, name: str) -> None:
        """Go to a room, by its number or its name in the header."""
        self.do(str(number), name, rows=(0, 1))

    def pane(self, title: str) -> None:
        """Go to a pane: f6 until it has the focus, or a click on its tab or its title."""
        terminal = self.terminal
        if self.mouse:
            if self.tabs:
                terminal.click(f" {title} ", rows=(2, 3))
                terminal.wait_until(lambda: self.has_frame(title), f"the pane {title}")
            else:
                left, _right, top, _bottom = terminal.box(title)
                terminal.click_at(left + 3, top)
            return
        for _ in range(12):
            before = self.focused()
            if before == title:
                return
            terminal.press("\x1b[17~")
            terminal.wait_until(
                lambda before=before: self.focused() not in {"", before}, "another pane", SLOW
            )
        raise AssertionError(f"f6 never comes to {title}:\n{terminal.text}")

    def press_until(self, key: str, true: Callable[[], object], times: int = 12) -> None:
        """Press a key, wait for an answer, and again until something holds."""
        terminal = self.terminal
        for _ in range(times):
            seen = len(terminal.raw)
            terminal.press(key)
            terminal.wait_until(lambda seen=seen: len(terminal.raw) > seen, f"an answer to {key!r}")
            self.wait_silent()
            if true():
                return
        raise AssertionError(f"{key!r} pressed {times} times is not enough:\n{terminal.text}")

    def wait_silent(self, seconds: float = 0.4) -> None:
        """Wait until nothing more is painted for a while, or it never stops."""
        end, size = time.monotonic() + 8 * seconds, 0
        while size != len(self.terminal.raw) and time.monotonic() < end:
            size = len(self.terminal.raw)
            self.terminal.pump(seconds)

    # ---- looking ----

    def focused(self) -> str:
        """The pane whose frame is in the colour that marks the focus, or ""."""
        return next((title for title in TITLES.values() if self.is_focused(title)), "")

    def has_frame(self, title: str) -> bool:
        """Whether a pane is in sight."""
        try:
            self.terminal.box(title)
        except AssertionError:
            return False
        return True

    def is_focused(self, title: str) -> bool:
        """Whether the frame of a pane is in the colour that marks the focus."""
        if not self.has_frame(title):
            return False
        left, _right, top, _bottom = self.terminal.box(title)
        return self.terminal.screen.buffer[top][left].fg in FOCUS_COLOURS

    def wait_focus(self, title: str) -> None:
        """Wait until a pane takes the keys."""
        self.terminal.wait_until(lambda: self.is_focused(title), f"{title} to have the focus", SLOW)

    def step(self) -> int:
        """The step that the header shows."""
        match = re.search(r"([\d,]+) / [\d,]+", self.terminal.row(1))
        return int(match[1].replace(",", "")) if match else -1
