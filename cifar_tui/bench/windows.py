"""Windows of several loops taken in turn, and their ratios round by round.

A machine drifts: other programs come and go, clocks change. Rates of two loops mean something together only
where their windows lie side by side, so a ratio is taken within a round, and the median over rounds.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

CHUNK_SECONDS = 0.04  # as the training loop polls its control
WARM_STEPS = 3
WARM_SECONDS = 0.15


class Loop(Protocol):
    """Something that trains."""

    def run(self, steps: int) -> NDArray[np.float64]:
        """Run so many steps, and wait until they are done; returns the seconds of each, (steps,)."""
        ...


@dataclass(frozen=True)
class Window:
    """One window.

    Attributes:
        steps: steps done.
        seconds: wall time.
        durations: seconds of each step as the loop told them, (steps,).
        others: cores that other programs used meanwhile.
    """

    steps: int
    seconds: float
    durations: NDArray[np.float64]
    others: float = 0.0

    @property
    def rate(self) -> float:
        """Steps a second."""
        return self.steps / self.seconds


def measure(loop: Loop, seconds: float, chunk: int, clock: Callable[[], float] = time.perf_counter) -> Window:
    """One window of at least `seconds`, in calls of `chunk` steps."""
    durations: list[NDArray[np.float64]] = []
    began = clock()
    while (elapsed := clock() - began) < seconds or not durations:
        durations.append(loop.run(chunk))
    joined = np.concatenate(durations)
    return Window(len(joined), elapsed, joined)


def warm(loop: Loop, clock: Callable[[], float] = time.perf_counter) -> int:
    """Run a loop until it is warm; returns how many steps fit into `CHUNK_SECONDS`, at least 1."""
    loop.run(WARM_STEPS)
    chunk = 1
    for _ in range(3):
        rate = measure(loop, WARM_SECONDS / 3, chunk, clock).rate
        chunk = max(1, int(CHUNK_SECONDS * rate))
    return chunk


def interleaved(
    loops: Mapping[str, Loop],
    rounds: int,
    seconds: float,
    *,
    told: Callable[[int], None] = lambda _round: None,
    others: Callable[[], float] = lambda: 0.0,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[Window]]:
    """`rounds` windows of each loop; every round holds one of each, every other round in reverse order.

    Args:
        loops: by name.
        rounds: at least 1.
        seconds: length of a window.
        told: called with the number of each round, from 0, as it begins.
        others: cores that other programs used since it was last called.
        clock: seconds.
    """
    chunks = {name: warm(loop, clock) for name, loop in loops.items()}
    found: dict[str, list[Window]] = {name: [] for name in loops}
    for number in range(rounds):
        told(number)
        names = list(loops) if number % 2 == 0 else list(loops)[::-1]
        for name in names:
            others()
            window = measure(loops[name], seconds, chunks[name], clock)
            found[name].append(replace(window, others=others()))
    return found


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, least and greatest of some values."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, Any]:
    """Rate over rate, round by round: median, least, greatest, and each."""
    rounds = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    return {**spread(rounds), "rounds": rounds}


def summary(windows: Sequence[Window], batch_size: int) -> dict[str, Any]:
    """What some windows of one loop say, as JSON values; step times in microseconds."""
    rates = [window.rate for window in windows]
    times = np.concatenate([window.durations for window in windows]) * 1e6
    return {
        "steps_per_second": spread(rates),
        "images_per_second": statistics.median(rates) * batch_size,
        "median_step_us": float(np.percentile(times, 50)),
        "p95_step_us": float(np.percentile(times, 95)),
        "windows": [
            {"steps": window.steps, "seconds": window.seconds, "others": window.others} for window in windows
        ],
    }
