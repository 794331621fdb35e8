"""How a test waits for the screen, and for how long."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from textual.pilot import Pilot

from tests.tui.pane_app import screen_text

PATIENCE = 30.0  # seconds: after these it will not come, on a machine that others use too


async def until(pilot: Pilot[Any], true: Callable[[], Any], seconds: float = PATIENCE) -> None:
    """Wait until something holds; fails with what is on the screen."""
    end = time.monotonic() + seconds
    while True:
        await pilot.pause(0.02)
        if true():
            return
        assert time.monotonic() < end, f"waited {seconds} s in vain:\n{screen_text(pilot.app)}"
