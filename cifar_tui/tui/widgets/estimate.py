"""Finds out how fast the recipe in the form would train: a short probe in a thread of its own.

Never while a training runs; without being asked only once torch is loaded and where no run tells the rate.
"""

from __future__ import annotations

import contextlib
import contextvars
import os
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from textual.message import Message

from cifar_tui.errors import CifarTuiError
from cifar_tui.text import safe_text
from cifar_tui.tui.widgets.cost import CostModel, key_of

if TYPE_CHECKING:
    from textual.widget import Widget

    from cifar_tui.config import RunConfig
    from cifar_tui.recipe import Recipe
    from cifar_tui.session.probe import Probe

QUIET_SECONDS = 0.8  # after the last change of the form, before a probe that nobody asked for
NICE = 10


class Estimated(Message):
    """A probe ended: with a result, an error, or neither where it was cancelled.

    Attributes:
        config: what was probed.
        asked: the user asked for it.
        found, error: what came out.
        thread: the thread it ran in.
    """

    def __init__(
        self, config: RunConfig, asked: bool, found: Probe | None, error: Exception | None, thread: object
    ) -> None:
        super().__init__()
        self.config, self.asked, self.found, self.error, self.thread = config, asked, found, error, thread


class Estimator:
    """Runs one probe at a time for a form.

    Args:
        form: gets an `Estimated` when a probe ended.
        costs: takes in the rate.
        show: shows the cost anew.

    Attributes:
        doing: what it does, for the foot of the form; "" for nothing.
    """

    def __init__(self, form: Widget, costs: CostModel, show: Callable[[], None]) -> None:
        self.doing = ""
        self._form, self._costs, self._show = form, costs, show
        self._cancel = threading.Event()
        self._thread: threading.Thread | None = None
        self._failed: set[tuple[Any, ...]] = set()
        self._timer: Any = None

    def ask(self, config: RunConfig) -> None:
        """Probe now: the user wants it."""
        if self._thread is not None:
            self._form.notify("The steps are being timed", markup=False)
        elif not self._is_training():
            self._begin(config, asked=True)

    def consider(self, recipe: Recipe | None) -> None:
        """Probe soon, where that costs little and nothing is known of this recipe."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        if recipe is None or "torch" not in sys.modules or not self._is_needed(recipe.config):
            return

        def begin() -> None:
            self._timer = None
            if self._thread is None and not self._is_training() and self._is_needed(recipe.config):
                self._begin(recipe.config, asked=False)

        self._timer = self._form.set_timer(QUIET_SECONDS, begin)

    def cancel(self) -> None:
        """End a probe within a step; its result is not taken."""
        self._cancel.set()
        if self._timer is not None:
            self._timer.stop()
            self._timer = None

    def take(self, event: Estimated) -> None:
        """What a probe brought."""
        if event.thread is self._thread:
            self._thread, self.doing = None, ""
        if event.error is not None:
            self._failed.add(_key(event.config))
            if event.asked:
                said = event.error.message if isinstance(event.error, CifarTuiError) else repr(event.error)
                self._form.notify(
                    safe_text(said, 300), title="The time is not known", severity="warning", markup=False
                )
        elif event.found is not None:
            self._costs.add_probe(event.config, event.found.device, event.found.steps_per_second)
        self._show()

    def _is_needed(self, config: RunConfig) -> bool:
        from cifar_tui.session import probe

        known = self._costs.rate(config)[0] is not None
        return not known and config.steps > 0 and _key(config) not in self._failed and probe.is_ready()

    def _is_training(self) -> bool:
        desk = getattr(self._form.app, "desk", None)
        return desk is not None and desk.thread is not None

    def _begin(self, config: RunConfig, *, asked: bool) -> None:
        self.doing = "timing the steps …" if "torch" in sys.modules else "loading torch …"
        self._cancel = threading.Event()
        run = partial(contextvars.copy_context().run, self._run, config, asked, self._cancel)
        self._thread = threading.Thread(target=run, name="probe")
        self._thread.start()
        self._show()

    def _run(self, config: RunConfig, asked: bool, cancel: threading.Event) -> None:
        """In the thread: it touches no widget, and its low priority ends with it."""
        found: Probe | None = None
        error: Exception | None = None
        if sys.platform == "linux":
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        try:
            from cifar_tui.session import probe

            found = probe.measure(config, cancelled=cancel.is_set)
        except Exception as caught:  # noqa: BLE001 - told by the form
            error = caught
        if cancel.is_set():
            found = error = None
        thread = threading.current_thread()
        with contextlib.suppress(RuntimeError):  # the app has ended
            self._form.post_message(Estimated(config, asked, found, error, thread))


def _key(config: RunConfig) -> tuple[Any, ...]:
    return (*key_of(config), config.device)
