"""What the tests of downloads share."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

CUT = 100_000


def quick() -> float:
    """Seconds in which a stop must come: 200 ms, and more only where the machine is overloaded."""
    return 0.2 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def cancel_when(condition: Callable[[], bool]) -> tuple[Callable[[], bool], list[float]]:
    """A cancel function that turns true with the condition, and the time when it did."""
    since: list[float] = []

    def cancelled() -> bool:
        if not since and condition():
            since.append(time.monotonic())
        return bool(since)

    return cancelled, since


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.005)
