"""When checkpoints are due, and what happens when the disk refuses one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from cifar_tui import events
from cifar_tui.errors import StorageError

RETRY_SECONDS = 10.0


class CheckpointSink(Protocol):
    """Where checkpoints go."""

    def save(
        self, step: int, files: Mapping[str, bytes], manifest: dict[str, Any], *, best: bool = False
    ) -> Any:
        """Make a checkpoint durable, then prune older ones; returns it, or None where none is kept."""
        ...


class Saver:
    """Hands checkpoints to a sink, so that a failure never stops a training.

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
        self.saved_at = -1
        self.failure: StorageError | None = None

    def begin(self) -> None:
        """The training begins now: the first checkpoint is due after a whole interval."""
        self._next = self._clock() + self._every

    def due(self, step: int) -> bool:
        """Whether the clock asks for a checkpoint of `step`."""
        return self._clock() >= self._next and self.saved_at != step

    def save(
        self,
        step: int,
        files: Mapping[str, bytes],
        state: dict[str, Any],
        reason: events.CheckpointReason,
        median_step_us: float | None,
    ) -> bool:
        """Write a checkpoint; a failure is noted and tried again later. Whether it is safe."""
        self._next = self._clock() + self._every
        if self._sink is None:
            return True
        began = self._clock()
        try:
            info = self._sink.save(step, files, state, best=reason == "best")
        except StorageError as error:
            self.failure = error
            self._next = self._clock() + min(RETRY_SECONDS, self._every)
            text = f"checkpoint not written: {error.message}; training goes on"
            self._emit(events.Note(time=time.time(), level="warning", id=error.id, step=step, text=text))
            return False
        if reason != "best":
            self.saved_at, self.failure = step, None
        if info is not None:
            self._emit(
                events.Checkpoint(
                    time=time.time(),
                    step=step,
                    name=info.name,
                    reason=reason,
                    bytes=sum(len(data) for data in files.values()),
                    seconds=self._clock() - began,
                    median_step_us=median_step_us,
                )
            )
        return True
