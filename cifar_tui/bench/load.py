"""How busy other programs keep the machine while something is measured."""

from __future__ import annotations

import time
from collections.abc import Iterable

import psutil


class OtherLoad:
    """Cores that all programs but some took since the last look.

    Args:
        own: ids of the processes that are not "others".
    """

    def __init__(self, own: Iterable[int]) -> None:
        self._own = [psutil.Process(number) for number in own]
        self._last = self._read()

    def look(self) -> float:
        """Cores used by others since the last look; the system counts in hundredths of a second."""
        before, self._last = self._last, self._read()
        seconds, busy, mine = (now - then for now, then in zip(self._last, before, strict=True))
        return max(0.0, (busy - mine) / seconds) if seconds > 0 else 0.0

    def _read(self) -> tuple[float, float, float]:
        times = psutil.cpu_times()
        busy = sum(getattr(times, kind, 0.0) for kind in ("user", "nice", "system", "irq", "softirq"))
        mine = 0.0
        for process in self._own:
            used = process.cpu_times()
            mine += used.user + used.system
        return time.perf_counter(), busy, mine
