"""Training and downloads in worker threads, and the timer that brings what they say to the screen.

A thread writes into a mailbox and never waits for the screen: it touches no widget and calls nothing of the
app. The app empties the mailboxes ten times a second.
"""

from __future__ import annotations

import contextlib
import gc
import math
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from cifar_tui.memory import keep_freed_memory
from cifar_tui.tui.live import ALL_KINDS, LiveRun

if TYPE_CHECKING:
    from cifar_tui import events
    from cifar_tui.datasets.transfer import Transfer
    from cifar_tui.engine.control import Control
    from cifar_tui.mailbox import Mailbox
    from cifar_tui.session import TrainRequest

TICK_SECONDS = 0.1
SHOW_SECONDS = 0.29  # from one count of steps to the next: what is painted more often slows the training
SWITCH_SECONDS = 0.001  # so that the screen gets its turn while the training thread runs Python
NICE = 10


class SessionLike(Protocol):
    """What the app needs of a `Session`."""

    control: Control
    mailbox: Mailbox
    run_id: str | None
    ended: events.RunEnded | None
    error: BaseException | None

    def run(self) -> events.RunEnded | None:
        """Train to the end."""
        ...


def make_session(request: TrainRequest) -> SessionLike:
    """A session of a request; loads no torch."""
    from cifar_tui.session import Session

    return Session(replace(request, screen=True))


class TrainingThread:
    """One session in a thread of its own, so that its low priority ends with it.

    Args:
        session: what to run.
        polite: let the screen go first on a machine whose cores are all used for training.
        foreign: another process trains; the thread only follows.
    """

    def __init__(self, session: SessionLike, *, polite: bool, foreign: bool = False) -> None:
        self.session = session
        self.foreign = foreign
        self._settled: set[str] = set()
        self._polite = polite
        self._switch_interval = sys.getswitchinterval()
        self._finished = threading.Event()
        self._thread = threading.Thread(target=self._run, name="training", daemon=True)

    def follow(self, abandoned: Callable[[], bool]) -> None:
        """Begin, and wait for the end or until nobody cares; runs in the app's worker thread."""
        if self.foreign:
            self._run()
            return
        sys.setswitchinterval(SWITCH_SECONDS)
        keep_freed_memory()
        self._thread.start()
        while not self._finished.wait(TICK_SECONDS) and not abandoned():
            pass

    @property
    def finished(self) -> bool:
        """Whether it has come to its end."""
        return self._finished.is_set()

    def settle(self, kinds: set[str]) -> bool:
        """Whether these are the first steps or the first evaluation.

        More has then been loaded and built, and the garbage collector should look at new objects alone: with
        those of torch among the old ones a full collection stops the screen for 0.1 to 0.2 s.
        """
        new = set() if self.foreign else (kinds & {"progress", "evaluation"}) - self._settled
        self._settled |= new
        return bool(new)

    def wait(self, seconds: float) -> bool:
        """Wait for its end, at most this long; whether it ended."""
        return self._finished.wait(seconds)

    def _run(self) -> None:
        if "torch" in sys.modules and not self.foreign:  # what the training before left
            gc.unfreeze()
            gc.collect()  # before the priority falls, as nothing else runs until this is done
        if self._polite and sys.platform == "linux":
            with contextlib.suppress(OSError):  # threads that torch makes inherit it
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        try:
            self.session.run()
        except BaseException as error:  # noqa: BLE001 - handed over to the screen
            self.session.error = self.session.error or error
        finally:
            sys.setswitchinterval(self._switch_interval)
            self._finished.set()


def uses_all_cores(threads: object) -> bool:
    """Whether a config's `threads` leaves no core to the screen."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return not isinstance(threads, int) or threads == 0 or threads >= cores


class Download:
    """One download in a thread.

    Attributes:
        dataset: its name.
        allow_unverified: an archive of unknown hash is taken too.
        transfer: how far it is, None at first.
        notes: sentences for the user that were not shown yet.
        error: what stopped it.
        done: the thread has ended.
    """

    def __init__(
        self,
        dataset: str,
        data_dir: Path,
        fetch: Callable[..., Any] | None = None,
        *,
        allow_unverified: bool = False,
    ) -> None:
        self.dataset = dataset
        self.allow_unverified = allow_unverified
        self.transfer: Transfer | None = None
        self.notes: list[str] = []
        self.error: Exception | None = None
        self.done = False
        self.shown: Transfer | None = None
        self._data_dir = data_dir
        self._cancel = threading.Event()
        self._fetch = fetch

    def cancel(self) -> None:
        """Stop soon; what arrived is kept."""
        self._cancel.set()

    @property
    def cancelled(self) -> bool:
        """Whether it was asked to stop."""
        return self._cancel.is_set()

    def run(self) -> None:
        """Fetch; runs in a worker thread."""
        try:
            from cifar_tui.datasets import download

            (self._fetch or download.fetch)(
                self.dataset,
                self._data_dir,
                allow_unverified=self.allow_unverified,
                report=self._report,
                note=self.notes.append,
                cancelled=self._cancel.is_set,
            )
        except Exception as error:  # noqa: BLE001 - handed over to the screen
            self.error = error
        finally:
            self.done = True

    def _report(self, transfer: Transfer) -> None:
        self.transfer = transfer


class TrainingDesk:
    """Owns the session and the download of an app; `tick` is called by its timer.

    Attributes:
        live: the run in the panes.
        thread: the training thread, or None.
        download: the download, or None.
    """

    def __init__(self, factory: Callable[[TrainRequest], SessionLike] = make_session) -> None:
        self.live = LiveRun()
        self.thread: TrainingThread | None = None
        self.download: Download | None = None
        self._factory = factory
        self._fresh = False
        self._unseen: set[str] = set()
        self._seen_at = -math.inf

    @property
    def session(self) -> SessionLike | None:
        """The session under way, or None."""
        return self.thread.session if self.thread is not None else None

    @property
    def control(self) -> Control | None:
        """How to steer the training, or None while there is none."""
        return self.thread.session.control if self.thread is not None else None

    @property
    def busy(self) -> bool:
        """Whether this process trains."""
        return self.thread is not None and not self.thread.foreign

    def watch(self, session: SessionLike, live: LiveRun) -> TrainingThread:
        """Follow a run of another process in a thread that the app's worker begins."""
        assert self.thread is None
        self.show(live)
        self.thread = TrainingThread(session, polite=False, foreign=True)
        return self.thread

    def leave_watched(self) -> None:
        """Follow a run of another process no longer; what is shown of it stays."""
        if self.thread is None or not self.thread.foreign:
            return
        self.thread.session.control.kill()
        self.thread = None
        self.live.recorded, self.live.watched = True, False
        self._fresh = True

    def show(self, live: LiveRun) -> None:
        """Put another run in the panes, while nothing trains."""
        self.live = live
        self._fresh = True

    def start(self, request: TrainRequest, live: LiveRun | None = None) -> TrainingThread:
        """A session in a thread that the app's worker begins; `live` holds the history of a resumed run."""
        from cifar_tui import events

        assert self.thread is None
        session = self._factory(request)
        config = request.recipe.config if request.recipe is not None else None
        self.show(live if live is not None else LiveRun())
        self.live.begin(config.steps if config is not None else 0)
        self.live.phase = events.Phase(time=time.time(), phase="import", text="torch")
        threads = config.threads if config is not None else (self.live.config or {}).get("threads")
        self.thread = TrainingThread(session, polite=uses_all_cores(threads))
        return self.thread

    def collect(self) -> tuple[frozenset[str], SessionLike | None]:
        """Fold what was said since the last call.

        Returns:
            The kinds of events to show now, all of them where another run is shown, and the session that
            ended just now, if one did. A count of steps alone is to be shown a few times a second.
        """
        kinds, ended = self._fold()
        self._unseen |= kinds
        if not self._unseen - {"progress"} and time.monotonic() < self._seen_at + SHOW_SECONDS:
            return frozenset(), ended
        shown, self._unseen, self._seen_at = frozenset(self._unseen), set(), time.monotonic()
        return shown, ended

    def _fold(self) -> tuple[set[str], SessionLike | None]:
        """Every kind that came since the last call, and the session that ended just now."""
        kinds = set(ALL_KINDS) if self._fresh else set()
        self._fresh = False
        thread = self.thread
        if thread is None:
            return kinds, None
        ended = thread.finished  # asked before the mailbox is emptied, so that nothing stays in it
        seen, status = set(), self.live.status
        for event in thread.session.mailbox.drain():
            self.live.add(event)
            seen.add(event.kind)
        kinds |= seen
        if self.live.status != status:
            kinds.add("status")
        if thread.settle(seen):
            gc.freeze()
        if not ended:
            return kinds, None
        self.thread = None
        session = thread.session
        self.live.watched = False
        if session.error is not None:
            self.live.fail(session.error)
        elif self.live.ended is None:
            self.live.reset()
        kinds.add("status")
        return kinds, session

    def stop_everything(self, reason: str) -> None:
        """Ask training and download to end; from any thread."""
        if self.download is not None:
            self.download.cancel()
        control = self.control
        if control is not None and self.busy:
            control.stop(reason=reason)
        elif control is not None:
            control.kill()  # only the watching ends
