"""What a run does at this moment, as any process can tell: its lock, who holds it, and their heartbeat."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Literal

from cifar_tui.errors import CifarTuiError
from cifar_tui.runs.directory import RunDirectory
from cifar_tui.runs.lock import LockInfo, process_status, read_lock

LiveState = Literal[
    "new", "running", "paused", "stalled", "crashed", "stopped", "done", "diverged", "failed", "damaged"
]
LIVE: frozenset[str] = frozenset({"running", "paused", "stalled"})
STALE_SECONDS = 10.0  # the heart beats once a second


@dataclass(frozen=True)
class Liveness:
    """The state of a run and of the process that trains it.

    Attributes:
        state: "running" or "paused" while a process trains it; "stalled" where that process lives but has
            given no sign for `STALE_SECONDS`, or was stopped (Ctrl+Z); "crashed" where it ended without a
            last word; else how it ended; "new" before the first training; "damaged" where ``run.json`` cannot
            be read.
        doing: what the process does: "starting", "training", "paused", "evaluating" or "saving"; "" where
            there is none.
        pid, host, since: the process that trains it, and since when; None where there is none or that is not
            known.
        silent: seconds since its last sign of life; 0 where there is no process.
    """

    state: LiveState
    doing: str = ""
    pid: int | None = None
    host: str | None = None
    since: str | None = None
    silent: float = 0.0

    @property
    def live(self) -> bool:
        """Whether a process holds the run."""
        return self.state in LIVE


def look(run: RunDirectory) -> Liveness:
    """The state of a run, and who trains it. Reads the events only where nobody does."""
    found = read_lock(run)
    state = _of_holder(found)
    if state in LIVE:
        return Liveness(state, found.doing or "", found.pid, found.host, found.since, found.age)
    return Liveness(state or _of_record(run))


def held_state(run: RunDirectory) -> LiveState | None:
    """By the lock alone: "running", "paused", "stalled" or "crashed"; None where it says nothing."""
    return _of_holder(read_lock(run))


def _of_holder(found: LockInfo) -> LiveState | None:
    busy: LiveState = "paused" if found.doing == "paused" else "running"
    fresh = found.age <= STALE_SECONDS
    if found.pid is None or found.host is None:
        return busy if found.held else None
    if found.host != socket.gethostname():
        # The lock of another machine cannot be seen on every file system: the heartbeat counts alone.
        return busy if fresh else "stalled" if found.held else None
    if not found.held:
        return None
    process = process_status(found.pid)
    if process is None or (found.started is not None and process[1] != found.started):
        return "crashed"  # a child that it left behind keeps its lock
    return busy if fresh and process[0] not in {"T", "t"} else "stalled"


def _of_record(run: RunDirectory) -> LiveState:
    from cifar_tui.runs.report import fold_run

    try:
        run.meta()
        found = fold_run(run)
    except CifarTuiError:
        return "damaged"
    if found.ended is not None:
        return "crashed" if found.ended.state == "interrupted" else found.ended.state
    return "new" if found.started is None else "crashed"
