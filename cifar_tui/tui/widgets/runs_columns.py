"""Columns of the list of runs: what stands in each, how wide it is, and what it is sorted by."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from cifar_tui.text import human_count

if TYPE_CHECKING:
    from cifar_tui.runs.summary import RunSummary

SIGNS = {
    "running": ("▶", "good"),
    "paused": ("‖", "warning"),
    "stalled": ("?", "warning"),
    "done": ("✓", "good"),
    "stopped": ("■", "muted"),
    "interrupted": ("!", "warning"),
    "diverged": ("✕", "bad"),
    "failed": ("✕", "bad"),
    "damaged": ("✕", "bad"),
    "new": ("○", "muted"),
}
TEXTS = frozenset({"run", "state", "model", "dataset"})


class Column(NamedTuple):
    """A column of the table.

    Attributes:
        name: its heading.
        width: cells; 0 takes what is left.
        text: what stands in it.
        key: what it is sorted by.
        right: whether it is right-aligned.
        least: columns that the whole table needs before this one is shown.
    """

    name: str
    width: int
    text: Callable[[RunSummary], str]
    key: Callable[[RunSummary], Any]
    right: bool = False
    least: int = 0


def percent(share: float | None) -> str:
    """A share in percent, or a dash."""
    return "-" if share is None else f"{share:.1%}"


def age(created: str, now: float) -> str:
    """How long ago, such as ``5 min``; "" where it is not known."""
    try:
        seconds = max(0.0, now - datetime.fromisoformat(created).timestamp())
    except ValueError:
        return ""
    for limit, size, unit in ((90, 1, "s"), (5400, 60, "min"), (129_600, 3600, "h"), (1e10, 86_400, "d")):
        if seconds < limit:
            return f"{int(seconds // size)} {unit}"
    return ""


def progress(run: RunSummary) -> str:
    """Steps done of the target."""
    if run.target >= 10_000_000:
        return f"{run.step:,} / {human_count(run.target):>7}"
    return f"{run.step:,} / {run.target:>7,}" if run.target else f"{run.step:,}"


@lru_cache(maxsize=1 << 15)
def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """A key that puts ``cnn-10`` after ``cnn-9``."""
    parts = re.split(r"(\d+)", name.casefold())
    return tuple((1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts)


def begins_at(run: RunSummary) -> int:
    """The step that a fork begins at; 0 for other runs."""
    step = (run.parent or {}).get("step")
    return step if isinstance(step, int) and not isinstance(step, bool) else 0


def per_second(run: RunSummary) -> float | None:
    """Steps per second of all the time that it trained; None where there is none."""
    steps = run.step - begins_at(run)
    return steps / run.seconds if run.seconds > 0 and steps > 0 else None


def _rate(run: RunSummary) -> str:
    rate = per_second(run)
    return "-" if rate is None else f"{rate:,.0f}" if rate >= 10 else f"{rate:.2f}"


def _share(value: float | None) -> float:
    return -1.0 if value is None else value


COLUMNS: tuple[Column, ...] = (
    Column("run", 0, lambda run: run.run, lambda run: natural(run.run)),
    Column("state", 11, lambda run: run.state, lambda run: run.state, least=66),
    Column("step / target", 17, progress, lambda run: run.step, right=True, least=52),
    Column("model", 8, lambda run: run.model, lambda run: run.model, least=86),
    Column("dataset", 9, lambda run: run.dataset, lambda run: run.dataset, least=106),
    Column(
        "best test",
        9,
        lambda run: percent(run.best_test_accuracy),
        lambda run: _share(run.best_test_accuracy),
        right=True,
    ),
    Column(
        "last",
        6,
        lambda run: percent(run.last_test_accuracy),
        lambda run: _share(run.last_test_accuracy),
        right=True,
        least=74,
    ),
    Column("per s", 7, _rate, lambda run: _share(per_second(run)), right=True, least=96),
    Column("age", 6, lambda run: age(run.created, time.time()), lambda run: run.created, right=True),
)
BY_AGE = len(COLUMNS) - 1


def haystack(run: RunSummary) -> str:
    """What the words of a filter are looked for in."""
    return f"{run.run} {run.title} {run.state} {run.model} {run.dataset}".casefold()
