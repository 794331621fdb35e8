"""Writes a run's events, one JSON object a line, and never disturbs the training that it records."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from cifar_tui import events
from cifar_tui.events import Event, Progress
from cifar_tui.fsio import FILE_MODE, dump_json, fsync_folder, make_folder, replace_json
from cifar_tui.runs.directory import RunDirectory
from cifar_tui.runs.files import json_safe, parse_object, refuse_link
from cifar_tui.runs.reader import line_start

_DURABLE = frozenset({"evaluation", "checkpoint", "run_ended"})
_BACKLOG_LINES = 10_000
_BACKLOG_BYTES = 32 << 20
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0


class Recorder:
    """Appends events to ``events.jsonl`` of a run. Thread-safe; no method raises for trouble with the disk.

    While the file cannot be written, `failure` says why, events wait in memory (the oldest are dropped beyond
    10,000 or 32 MiB), and later events try again after a pause that doubles from 0.5 to 30 seconds. A file or
    folder that was deleted under way is made anew and begins with the newest `run_started`.

    Args:
        run: the run; its lock is held by the caller.
        progress_hz: at most this many progress events a second; of those in between the newest is kept, and
            it is written before any other kind of event, so that curves end where evaluations are.
        clock: seconds that never go back.

    Attributes:
        failure: why the last write failed; None while all is well.
        dropped: events that were lost.
        recreations: how often the file was deleted under way and made anew.
    """

    def __init__(
        self, run: RunDirectory, *, progress_hz: float = 4.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.failure: str | None = None
        self.dropped = 0
        self.recreations = 0
        self._run = run
        self._gap = 1.0 / progress_hz
        self._clock = clock
        self._mutex = threading.Lock()
        self._descriptor: int | None = None
        self._pending: Progress | None = None
        self._last_progress = -float("inf")
        self._paused_at: int | None = None  # step of the last event on record, where that says "paused"
        self._backlog: deque[bytes] = deque()
        self._backlog_bytes = 0
        self._pause = _FIRST_PAUSE
        self._retry_at = -float("inf")
        self._started: bytes | None = None
        self._opened_before = False
        self._meta: dict[str, Any] | None = None
        with contextlib.suppress(Exception):
            self._meta = run.meta()

    def append(self, event: Event) -> None:
        """Record an event. `evaluation`, `checkpoint` and `run_ended` are on the disk when this returns."""
        with self._mutex:
            if isinstance(event, Progress):
                if event.paused and event.step == self._paused_at:
                    return  # a pause of a night is one line
                now = self._clock()
                if now - self._last_progress < self._gap:
                    self._pending = event
                    return
                self._last_progress = now
                self._pending = None
            else:
                self._take_pending()
            self._enqueue(event)
            self._write(durable=event.kind in _DURABLE, now=event.kind == "run_ended")

    def close(self) -> None:
        """Write what waits, and close the file. A later `append` opens it again."""
        with self._mutex:
            self._take_pending()
            if self._backlog:
                self._write(durable=True, now=True)
            self._close_file()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _take_pending(self) -> None:
        if self._pending is not None:
            event, self._pending = self._pending, None
            self._last_progress = self._clock()
            self._enqueue(event)

    def _enqueue(self, event: Event) -> None:
        self._paused_at = event.step if isinstance(event, Progress) and event.paused else None
        try:
            line = (dump_json(events.to_json(event)) + "\n").encode("ascii")
        except (TypeError, ValueError, RecursionError) as error:
            self.dropped += 1
            self.failure = f"{event.kind} event is not JSON: {error}"
            return
        if event.kind == "run_started":
            self._started = line
        self._backlog.append(line)
        self._backlog_bytes += len(line)
        while len(self._backlog) > _BACKLOG_LINES or self._backlog_bytes > _BACKLOG_BYTES:
            self._backlog_bytes -= len(self._backlog.popleft())
            self.dropped += 1

    def _write(self, *, durable: bool, now: bool) -> None:
        if not self._backlog or (not now and self._clock() < self._retry_at):
            return
        durable = durable or self.failure is not None  # what waited may have been durable
        try:
            descriptor = self._open_file()
            _append_whole(descriptor, b"".join(self._backlog))
            self._backlog.clear()
            self._backlog_bytes = 0
            if durable:
                os.fsync(descriptor)
        except Exception as error:  # noqa: BLE001 - recording must never end a training
            self.failure = _reason(error)
            self._retry_at = self._clock() + self._pause
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            self._close_file()  # the next attempt cuts what was torn
            return
        self.failure = None
        self._pause = _FIRST_PAUSE
        self._retry_at = -float("inf")

    def _open_file(self) -> int:
        if self._descriptor is not None:
            if os.fstat(self._descriptor).st_nlink:
                return self._descriptor
            self._close_file()
        refuse_link(self._run.path)
        if self._opened_before and not self._run.events_path.exists():
            self._recreate()
        descriptor = _open_for_append(self._run)
        self._descriptor = descriptor
        self._opened_before = True
        return descriptor

    def _recreate(self) -> None:
        make_folder(self._run.path)
        if self._meta is not None and not self._run.run_json.exists():
            replace_json(self._run.run_json, json_safe(self._meta))
        self.recreations += 1
        if self._started is not None and self._started not in self._backlog:
            self._backlog.appendleft(self._started)
            self._backlog_bytes += len(self._started)

    def _close_file(self) -> None:
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None


def _open_for_append(run: RunDirectory) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    new = not run.events_path.exists()
    descriptor = os.open(run.events_path, flags, FILE_MODE)
    try:
        if new:
            fsync_folder(run.path)
        cut_torn_tail(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def cut_torn_tail(descriptor: int) -> int:
    """Cut a last line without its newline, and after that a last line that is no JSON object.

    Args:
        descriptor: the file, open for reading and writing.

    Returns:
        How many bytes were cut.
    """
    size = os.fstat(descriptor).st_size
    end = line_start(descriptor, size)  # == size where the file ends with a newline
    if end:
        start = line_start(descriptor, end - 1)
        try:
            parse_object(os.pread(descriptor, end - start, start))
        except ValueError:
            end = start
    if end != size:
        os.ftruncate(descriptor, end)
    return size - end


def _append_whole(descriptor: int, data: bytes) -> None:
    """Append all of `data`, or leave the file as it was and raise."""
    before = os.fstat(descriptor).st_size
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except BaseException:
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, before)
        raise


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error) or type(error).__name__
