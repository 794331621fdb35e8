"""The handle by which anyone steers a training from another thread. Standard library only."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Literal

StopKind = Literal["stop", "signal", "kill"]


@dataclass(frozen=True)
class StopRequest:
    """How to stop.

    Attributes:
        kind: "stop" saves and ends, "signal" the same in a hurry, "kill" ends without saving.
        evaluate: evaluate before the end.
        reason: in words.
        signal: number of the signal, 0 where there is none.
    """

    kind: StopKind = "stop"
    evaluate: bool = False
    reason: str = "stopped by the user"
    signal: int = 0


class Control:
    """Requests to a training; every method may be called from any thread, before, during and after it.

    The trainer polls it between chunks of steps, at most 50 ms apart (a step that takes longer excepted).
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._stop: StopRequest | None = None
        self._paused = False
        self._checkpoint = False
        self._evaluate = False
        self._target: int | None = None
        self._learning_rate: float | None = None

    def stop(self, *, evaluate: bool = False, reason: str = "stopped by the user") -> None:
        """Finish the chunk, save, evaluate if asked, end."""
        self._request(StopRequest("stop", evaluate, reason))

    def stop_for_signal(self, number: int, name: str) -> None:
        """Finish the chunk, save, end. Not for a signal handler: it takes a lock."""
        self._request(StopRequest("signal", False, f"stopped by {name}", number))

    def kill(self) -> None:
        """End after the chunk without saving."""
        self._request(StopRequest("kill", False, "ended without saving"))

    def pause(self) -> None:
        """Wait before the next chunk, until `resume` or a stop."""
        with self._changed:
            self._paused = True
            self._changed.notify_all()

    def resume(self) -> None:
        """Go on."""
        with self._changed:
            self._paused = False
            self._changed.notify_all()

    def checkpoint_now(self) -> None:
        """Write a checkpoint after the chunk."""
        with self._changed:
            self._checkpoint = True
            self._changed.notify_all()

    def evaluate_now(self) -> None:
        """Evaluate after the chunk."""
        with self._changed:
            self._evaluate = True
            self._changed.notify_all()

    def set_target(self, step: int) -> None:
        """Set the step at which the training is done; one in the past ends it."""
        with self._changed:
            self._target = max(0, step)
            self._changed.notify_all()

    def set_learning_rate(self, rate: float) -> None:
        """Scale the rest of the schedule so that its present rate becomes `rate`."""
        with self._changed:
            self._learning_rate = rate
            self._changed.notify_all()

    @property
    def stop_request(self) -> StopRequest | None:
        """The first stop asked for, unless a kill came after it."""
        return self._stop

    @property
    def paused(self) -> bool:
        """Whether a pause is asked for."""
        return self._paused

    def take_checkpoint(self) -> bool:
        """Whether a checkpoint was asked for; asks once."""
        with self._changed:
            asked, self._checkpoint = self._checkpoint, False
            return asked

    def take_evaluate(self) -> bool:
        """Whether an evaluation was asked for; asks once."""
        with self._changed:
            asked, self._evaluate = self._evaluate, False
            return asked

    def take_target(self) -> int | None:
        """A new target, or None; asks once."""
        with self._changed:
            target, self._target = self._target, None
            return target

    def take_learning_rate(self) -> float | None:
        """A new learning rate, or None; asks once."""
        with self._changed:
            rate, self._learning_rate = self._learning_rate, None
            return rate

    def wait_while_paused(self, timeout: float) -> None:
        """Sleep until anything is asked for, or `timeout` seconds passed."""
        with self._changed:
            if self._paused and self._stop is None and not (self._checkpoint or self._evaluate):
                self._changed.wait(timeout)

    def _request(self, request: StopRequest) -> None:
        with self._changed:
            if self._stop is None or request.kind == "kill":
                self._stop = request
            self._changed.notify_all()
