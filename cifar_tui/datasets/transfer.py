"""Progress, time limits and cancellation of fetching and checking. Standard library only."""

from __future__ import annotations

import random
import signal
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from cifar_tui.errors import InterruptedBySignal


@dataclass(frozen=True)
class Transfer:
    """How far one file is."""

    phase: str
    """``wait`` (another process fetches), ``connect``, ``download``, ``verify`` or ``unpack``."""
    file: str
    done: int
    """Bytes."""
    total: int | None
    """Bytes, or None while it is not known."""
    rate: float
    """Bytes a second over the last seconds; 0 while it is not known."""
    eta_seconds: float | None
    url: str
    """Where it comes from, without user name, password and query; empty for local work."""
    attempt: int
    """1 for the first try of this address."""


@dataclass(frozen=True)
class Timing:
    """Every wait and limit in seconds, so that tests can make them short."""

    tries: int = 5
    """Tries for each address."""
    connect_seconds: float = 10.0
    stall_seconds: float = 30.0
    floor_bytes_per_second: float = 1024.0
    """Below this over `stall_seconds` the connection counts as stalled."""
    backoff_seconds: float = 0.5
    """First pause between tries; doubles each time, with jitter of half."""
    backoff_limit_seconds: float = 15.0
    retry_after_limit_seconds: float = 60.0
    poll_seconds: float = 0.05
    """How often cancellation is looked at."""
    report_seconds: float = 0.1
    """At most one progress report in this time."""

    def backoff(self, failures: int) -> float:
        """Seconds to wait after the n-th failure in a row (n from 1), with jitter."""
        longest: float = min(self.backoff_limit_seconds, self.backoff_seconds * 2 ** (failures - 1))
        return longest * random.uniform(0.5, 1.0)


class Watch:
    """What long work looks at: whether to stop, and whom to tell.

    Args:
        report: called with progress, at most once in `Timing.report_seconds` and at each change of phase.
        note: called with sentences for the user.
        cancelled: asked often; True stops the work.
        timing: limits.
        resume: the command that goes on after a stop.
    """

    def __init__(
        self,
        report: Callable[[Transfer], None] | None = None,
        note: Callable[[str], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        timing: Timing | None = None,
        resume: str | None = None,
    ) -> None:
        self._report = report
        self._note = note
        self._cancelled = cancelled
        self.timing = timing or Timing()
        self.resume = resume
        self.kept: str | None = None
        """What stays on disk if the work stops now, for the message."""
        self._last_report = 0.0
        self._last_key: tuple[str, str] | None = None

    def check(self) -> None:
        """Stop here if the user asked for it.

        Raises:
            InterruptedBySignal: exit code 130.
        """
        if self._cancelled is not None and self._cancelled():
            raise self.interrupted()

    def interrupted(self) -> InterruptedBySignal:
        """The error for a stop: what was kept and how to go on."""
        return InterruptedBySignal(
            signal.SIGINT,
            "stopped",
            state=self.kept or "nothing was changed",
            hint=self.resume,
            id="E-INTERRUPTED",
        )

    def wait(self, seconds: float) -> None:
        """Sleep in slices, so that a stop is seen at once."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.check()
            time.sleep(min(left, self.timing.poll_seconds))
        self.check()

    def note(self, text: str) -> None:
        """Tell the user a sentence."""
        if self._note is not None:
            self._note(text)

    def report(self, transfer: Transfer) -> None:
        """Report progress unless the last report was a moment ago; first and last of a phase always go."""
        if self._report is None:
            return
        now = time.monotonic()
        key = (transfer.phase, transfer.file)
        finished = transfer.total is not None and transfer.done >= transfer.total
        if key == self._last_key and not finished and now - self._last_report < self.timing.report_seconds:
            return
        self._last_report, self._last_key = now, key
        self._report(transfer)

    def local(self, phase: str, file: str, done: int, total: int) -> None:
        """Report work on a local file, and stop if asked to."""
        self.check()
        self.report(Transfer(phase, file, done, total, 0.0, None, "", 1))


class Meter:
    """The rate of a stream over a sliding window, and whether it has stalled.

    Args:
        timing: the window is `Timing.stall_seconds`.
        clock: seconds that only go forward.
    """

    def __init__(self, timing: Timing, clock: Callable[[], float] = time.monotonic) -> None:
        self._timing = timing
        self._clock = clock
        self._started = clock()
        self._window: deque[tuple[float, int]] = deque()
        self._in_window = 0

    def add(self, count: int) -> None:
        """Count bytes that arrived now; those of one poll interval share an entry."""
        now = self._clock()
        if self._window and now - self._window[-1][0] < self._timing.poll_seconds:
            at, before = self._window[-1]
            self._window[-1] = (at, before + count)
        else:
            self._window.append((now, count))
        self._in_window += count

    def _forget(self, now: float) -> None:
        while self._window and now - self._window[0][0] > self._timing.stall_seconds:
            self._in_window -= self._window.popleft()[1]

    def rate(self) -> float:
        """Bytes a second over the window; 0 in the first moments."""
        now = self._clock()
        self._forget(now)
        span = min(now - self._started, self._timing.stall_seconds)
        return self._in_window / span if span > 0.2 else 0.0

    def stalled(self) -> bool:
        """Whether a whole window brought less than the floor."""
        now = self._clock()
        self._forget(now)
        if now - self._started < self._timing.stall_seconds:
            return False
        return self._in_window < self._timing.floor_bytes_per_second * self._timing.stall_seconds
