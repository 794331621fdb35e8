"""When checkpoints are due, and their way to the disk while the training goes on."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

from cifar_tui import events
from cifar_tui.errors import StorageError

RETRY_SECONDS = 10.0
MakeFiles = Callable[[], Mapping[str, bytes]]


class CheckpointSink(Protocol):
    """Where checkpoints go. One is written at a time, in whatever thread."""

    def save(
        self, step: int, files: Mapping[str, bytes], manifest: dict[str, Any], *, best: bool = False
    ) -> Any:
        """Make a checkpoint durable, then prune older ones; returns it, or None where none is kept."""
        ...


@dataclass
class _Job:
    """One checkpoint on its way to the sink."""

    step: int
    make_files: MakeFiles
    state: dict[str, Any]
    reason: events.CheckpointReason
    median_step_us: float | None
    thread: threading.Thread | None = None
    info: Any = None
    error: BaseException | None = None
    seconds: float = 0.0
    size: int = 0

    def write(self, sink: CheckpointSink, clock: Callable[[], float]) -> None:
        """Write it; never raises."""
        began = clock()
        try:
            files = self.make_files()
            self.info = sink.save(self.step, files, self.state, best=self.reason == "best")
            self.size = sum(len(data) for data in files.values())
        except BaseException as error:  # noqa: BLE001 - raised again in the thread of the training
            self.error = error
        self.seconds = clock() - began


class Saver:
    """Hands checkpoints to a sink, so that neither its time nor its failure stops a training.

    A checkpoint is written by a thread of its own, one at a time; events come from the thread that calls. It
    is a context manager: at its end nothing is on its way any more.

    Attributes:
        saved_at: step of the newest checkpoint that is safe (best ones apart), -1 without one.
        failure: why the newest attempt failed, None when it did not.
    """

    def __init__(
        self,
        sink: CheckpointSink | None,
        every_seconds: float,
        emit: Callable[[events.Event], None],
        clock: Callable[[], float],
    ) -> None:
        self._sink = sink
        self._every = every_seconds
        self._emit = emit
        self._clock = clock
        self._next = clock() + every_seconds
        self._job: _Job | None = None
        self.saved_at = -1
        self.failure: StorageError | None = None

    def __enter__(self) -> Self:
        """The training begins now: the first checkpoint is due after a whole interval."""
        self._next = self._clock() + self._every
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        job = self._job
        if kind is not None and job is not None and job.thread is not None:
            job.thread.join()
            if job.error is not None and not isinstance(job.error, StorageError):
                return  # the first error is the one to tell
        self.settle()

    @property
    def busy(self) -> bool:
        """Whether a checkpoint is on its way to the disk."""
        return self._job is not None

    def due(self, step: int) -> bool:
        """Whether the clock asks for a checkpoint of `step`, and none is on its way."""
        return not self.busy and self._clock() >= self._next and self.saved_at != step

    def save(
        self,
        step: int,
        make_files: MakeFiles,
        state: dict[str, Any],
        reason: events.CheckpointReason,
        median_step_us: float | None,
        *,
        wait: bool = False,
    ) -> bool:
        """Begin to write a checkpoint, after the one on its way; a failure is noted and tried again later.

        Args:
            step: steps done.
            make_files: gives bytes by name; called where the checkpoint is written.
            state: JSON values; copied.
            reason: why it is written.
            median_step_us: for the event.
            wait: return only when it is written, or failed.

        Returns:
            Whether it is safe, where `wait` is set; else whether nothing has failed.
        """
        self.settle()
        self._next = self._clock() + self._every
        if self._sink is None:
            return True
        sink, job = self._sink, _Job(step, make_files, copy.deepcopy(state), reason, median_step_us)
        self._job = job
        if not wait:
            job.thread = threading.Thread(
                target=job.write, args=(sink, self._clock), name="checkpoint", daemon=True
            )
            try:
                job.thread.start()
            except RuntimeError:  # no more threads: write it here
                job.thread = None
        if job.thread is None:
            job.write(sink, self._clock)
            self.settle()
        return self.failure is None

    def poll(self) -> None:
        """Take in the checkpoint on its way, where it has arrived.

        Raises:
            Exception: whatever the sink raised that is no `StorageError`.
        """
        job = self._job
        if job is not None and (job.thread is None or not job.thread.is_alive()):
            self._job = None
            self._take_in(job)

    def settle(self) -> None:
        """Wait for the checkpoint on its way; raises as `poll`."""
        if self._job is not None and self._job.thread is not None:
            self._job.thread.join()
        self.poll()

    def _take_in(self, job: _Job) -> None:
        if isinstance(job.error, StorageError):
            self.failure = job.error
            self._next = self._clock() + min(RETRY_SECONDS, self._every)
            text = f"checkpoint not written: {job.error.message}; training goes on"
            self._emit(
                events.Note(time=time.time(), level="warning", id=job.error.id, step=job.step, text=text)
            )
            return
        if job.error is not None:
            raise job.error
        if job.reason != "best":
            self.saved_at, self.failure = job.step, None
        if job.info is not None:
            self._emit(
                events.Checkpoint(
                    time=time.time(),
                    step=job.step,
                    name=job.info.name,
                    reason=job.reason,
                    bytes=job.size,
                    seconds=job.seconds,
                    median_step_us=job.median_step_us,
                )
            )
