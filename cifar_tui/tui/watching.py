"""A run that another process trains, followed as if it were a session of this one. No Textual.

Its events come from its folder, and what is asked of it goes through its folder.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from cifar_tui import events
from cifar_tui.engine.control import Control
from cifar_tui.errors import CifarTuiError, SystemResourceError
from cifar_tui.mailbox import Mailbox
from cifar_tui.tui.live import PROGRESS_LIMIT, LiveRun

if TYPE_CHECKING:
    from cifar_tui.runs.directory import RunDirectory
    from cifar_tui.runs.reader import Tail

POLL_SECONDS = 0.1
LOOK_SECONDS = 1.0
SILENT_NOTE = "W-RUN-SILENT"


class RemoteControl(Control):
    """Steers a training of another process. No method waits: requests are left in the order of the calls.

    A signal to this process, or its end, is none of that run's business: they only end the watching.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked: queue.SimpleQueue[tuple[str, dict[str, object]]] = queue.SimpleQueue()
        self.left = threading.Event()

    def stop(self, *, evaluate: bool = False, reason: str = "") -> None:  # noqa: ARG002
        """Ask it to save and end."""
        self.asked.put(("stop", {"evaluate": evaluate}))

    def stop_for_signal(self, number: int, name: str) -> None:  # noqa: ARG002
        """Watch no longer."""
        self.left.set()

    def kill(self) -> None:
        """Watch no longer."""
        self.left.set()

    def pause(self) -> None:
        """Ask it to pause."""
        super().pause()
        self.asked.put(("pause", {}))

    def resume(self) -> None:
        """Ask it to go on."""
        super().resume()
        self.asked.put(("resume", {}))

    def is_seen(self, *, paused: bool) -> None:
        """What the run says of itself, so that the next key does the other thing."""
        if paused:
            super().pause()
        else:
            super().resume()

    def checkpoint_now(self) -> None:
        """Ask for a checkpoint."""
        self.asked.put(("checkpoint", {}))

    def evaluate_now(self) -> None:
        """Ask for an evaluation."""
        self.asked.put(("evaluate", {}))

    def set_target(self, step: int) -> None:
        """Ask for another target."""
        self.asked.put(("target", {"step": step}))

    def set_learning_rate(self, rate: float) -> None:
        """Ask for another learning rate."""
        self.asked.put(("learning_rate", {"rate": rate}))


class WatchedRun:
    """Follows a run until it ends, or nobody watches any more.

    Args:
        run: the run.
        tail: its events from here on.
        paused: it is paused at this moment.
        clock: seconds; tests give another.

    Attributes:
        control: steers it.
        mailbox: its events, and notes on what became of requests.
        run_id: its id.
        ended: its last event, once there is one.
        error: why it could not be followed to its end.
    """

    def __init__(
        self,
        run: RunDirectory,
        tail: Tail,
        *,
        paused: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        remote = RemoteControl()
        self.control: Control = remote
        self._remote = remote
        remote.is_seen(paused=paused)
        self.mailbox = Mailbox()
        self.run_id: str | None = run.id
        self.ended: events.RunEnded | None = None
        self.error: BaseException | None = None
        self._run, self._tail, self._clock = run, tail, clock
        self._silent = False

    def run(self) -> events.RunEnded | None:
        """Follow it; returns its last event, None where it was left or lost."""
        from cifar_tui.runs.liveness import look

        looked, last_look = self._clock(), False
        try:
            while not self._remote.left.is_set():
                self._take()
                self._ask()
                if last_look:
                    self._judge()
                    return self.ended
                if self.ended is not None or self._clock() - looked >= LOOK_SECONDS:
                    looked = self._clock()
                    state = look(self._run)
                    last_look = not state.live  # it may have said more before: one look back
                    self._tell(state.state == "stalled", state.silent)
                if not last_look:
                    self._remote.left.wait(POLL_SECONDS)
        finally:
            self._tail.close()
        return None

    def _take(self) -> None:
        for event in self._tail.poll():
            if isinstance(event, events.RunEnded):
                self.ended = event
                continue  # shown once nobody trains it any more: it may be begun anew at once
            if isinstance(event, events.RunStarted):
                self.ended = None
            if isinstance(event, events.Progress):
                self._remote.is_seen(paused=event.paused)
            self.mailbox.put(event)

    def _ask(self) -> None:
        from cifar_tui.runs import requests

        while True:
            try:
                name, values = self._remote.asked.get_nowait()
            except queue.Empty:
                return
            try:
                requests.ask(self._run, name, **values)
            except CifarTuiError as error:
                self._note("warning", "W-REQUEST", error.message)

    def _judge(self) -> None:
        """Nobody trains it: how did it end?"""
        if self.ended is not None:
            self.mailbox.put(self.ended)
            return
        self.error = SystemResourceError(
            f'the process that trained run "{self._run.id}" ended without a last word',
            where=self._run.path,
            state="its checkpoints are intact",
            hint=f"r in room 4 goes on with it, or: cifar-tui train --resume {self._run.id}",
            id="E-RUN-CRASHED",
        )

    def _tell(self, silent: bool, seconds: float) -> None:
        if silent != self._silent:
            self._silent = silent
            text = f"its process has said nothing for {seconds:.0f} s" if silent else "its process is back"
            self._note("warning" if silent else "info", SILENT_NOTE, text)

    def _note(self, level: events.Level, id: str, text: str) -> None:
        self.mailbox.put(events.Note(time=time.time(), level=level, id=id, text=text, step=0))


def open_run(run: RunDirectory) -> tuple[LiveRun, WatchedRun | None]:
    """A run for the panes, and what follows it where another process trains it now.

    Raises:
        CifarTuiError: its record cannot be read.
    """
    from cifar_tui.runs.liveness import look
    from cifar_tui.runs.reader import Tail

    state = look(run)
    if not state.live or state.pid == os.getpid():
        return LiveRun.from_run(run), None
    read, tail = Tail.after(run.events_path, progress_limit=PROGRESS_LIMIT)
    try:
        live = LiveRun.from_run(run, history=read.events)
    except BaseException:
        tail.close()
        raise
    live.watch(starting=state.doing == "starting", paused=state.state == "paused")
    return live, WatchedRun(run, tail, paused=state.state == "paused")


__all__ = ["RemoteControl", "WatchedRun", "open_run"]
