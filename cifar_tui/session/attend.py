"""Serves a run while it is trained: takes the requests of other processes, and shows that the training lives.

A thread of its own looks four times a second, so that the loop over the steps does not.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from cifar_tui import events
from cifar_tui.engine.control import Control
from cifar_tui.runs.directory import RunDirectory
from cifar_tui.runs.lock import RunLock
from cifar_tui.runs.requests import Inbox, Request

POLL_SECONDS = 0.25
BEAT_SECONDS = 1.0
HUNG_SECONDS = 60.0  # a training that says nothing for so long hangs, though its process lives
_DOING = {"train": "training", "evaluate": "evaluating", "save": "saving"}


class Attendant:
    """Attends to a run from ``with`` to `stop`; its lock is held by the caller.

    Requests that are there at the start are left over from an earlier training, and are removed.

    Args:
        run: the run.
        lock: its lock.
        control: gets what is asked for.
        emit: gets a note for each request; called in the attendant's thread.
    """

    def __init__(
        self, run: RunDirectory, lock: RunLock, control: Control, emit: Callable[[events.Event], None]
    ) -> None:
        self._inbox = Inbox(run)
        self._lock, self._control, self._emit = lock, control, emit
        self._doing = "starting"
        self._step = 0
        self._heard = time.monotonic()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="attendant", daemon=True)

    def __enter__(self) -> Self:
        self._inbox.sweep()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Take no more requests; what is still there is not served, and is removed. May be called twice."""
        if self._stopped.is_set():
            return
        self._stopped.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()
        self._inbox.sweep()

    def saw(self, event: events.Event) -> None:
        """An event of the training; from any thread."""
        if isinstance(event, events.Phase):
            self._doing = _DOING.get(event.phase, "starting")
        elif isinstance(event, events.Progress):
            self._step = event.step
            if event.paused:
                self._doing = "paused"
            elif self._doing in {"paused", "starting"}:
                self._doing = "training"
        self._heard = time.monotonic()

    def _run(self) -> None:
        next_beat, shown = 0.0, ""
        while True:
            now, doing = time.monotonic(), self._doing
            hung = doing == "training" and now - self._heard > HUNG_SECONDS
            if not hung and (now >= next_beat or doing != shown):
                self._lock.beat(doing)
                next_beat, shown = now + BEAT_SECONDS, doing
            for request in self._inbox.take():
                self._serve(request)
            if self._stopped.wait(POLL_SECONDS):
                self._lock.beat("saving")  # what is left is to write the last words
                return

    def _serve(self, request: Request) -> None:
        if request.refused:
            self._note("warning", "W-REQUEST", f"a request was refused: {request.refused}")
            return
        control, values = self._control, request.values
        if request.name == "pause":
            text = "pause"
            control.pause()
        elif request.name == "resume":
            text = "resume"
            control.resume()
        elif request.name == "stop":
            evaluate = bool(values.get("evaluate", False))
            text = "stop after an evaluation" if evaluate else "stop"
            control.stop(evaluate=evaluate, reason=f"stopped as {request.asker} asked")
        elif request.name == "evaluate":
            text = "evaluate"
            control.evaluate_now()
        elif request.name == "checkpoint":
            text = "write a checkpoint"
            control.checkpoint_now()
        elif request.name == "target":
            text = f"train to step {values['step']:,}"
            control.set_target(values["step"])
        else:
            text = f"go on at learning rate {values['rate']:g}"
            control.set_learning_rate(values["rate"])
        self._note("info", "I-REQUEST", f"{request.asker} asked to {text}")

    def _note(self, level: events.Level, id: str, text: str) -> None:
        self._emit(events.Note(time=time.time(), level=level, id=id, text=text, step=self._step))
