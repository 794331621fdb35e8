"""The app: what it is made of, how it starts, and what it does with what the threads tell."""

from __future__ import annotations

import contextlib
import gc
import sys
import time
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import work
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.screen import Screen
from textual.worker import get_current_worker

from cifar_tui.tui import graphics, places
from cifar_tui.tui import theme as themes
from cifar_tui.tui.actions import ACTIONS
from cifar_tui.tui.guard import Guard, end_process
from cifar_tui.tui.leaving import Leaving
from cifar_tui.tui.messages import CopyRequested
from cifar_tui.tui.screens.dashboard import Dashboard
from cifar_tui.tui.settings import Settings
from cifar_tui.tui.worker import TICK_SECONDS, SessionLike, TrainingDesk, make_session

if TYPE_CHECKING:
    from textual.command import Provider

    from cifar_tui.session import TrainRequest
    from cifar_tui.tui.runs_data import RunsReader

_STYLES = Path(__file__).parent / "styles"
SAVE_SECONDS = 20.0  # longest wait for a training to save after the screen is gone
WHILE_TRAINING = frozenset(
    {"stop", "stop_evaluate", "evaluate_now", "checkpoint_now", "set_target", "set_learning_rate"}
)

ON_DASHBOARD = frozenset(
    {"maximise", "next_pane", "previous_pane", "narrower", "wider", "shorter", "taller", "usual_sizes"}
)


def _commands() -> type[Provider]:
    from cifar_tui.tui.commands import CommandProvider

    return CommandProvider


class CifarTuiApp(Leaving):
    """The whole app.

    Args:
        data_dir: where datasets are; None for the usual folder, found after the first paint.
        runs_dir: where runs are; None likewise.
        settings: what is remembered; None to read it.
        session_factory: makes a session of a request; tests give another.
        watch: id of a run to open at once.
    """

    TITLE = "cifar-tui"
    CSS_PATH: ClassVar[Any] = _STYLES / "app.tcss"  # those of the panes are read after the first paint
    COMMANDS: ClassVar[Any] = {_commands}
    BINDINGS: ClassVar[list[BindingType]] = [
        *(action.binding for action in ACTIONS),
        Binding("ctrl+z", "suspend_process", "Suspend", show=False, id="app.suspend", priority=True),
        Binding("ctrl+c", "interrupt", "Quit", show=False, id="app.interrupt"),
    ]

    class Looked(Message):
        """What was found on disk at the start."""

        def __init__(self, ready: frozenset[str], runs: bool) -> None:
            super().__init__()
            self.ready, self.runs = ready, runs

    def __init__(
        self,
        data_dir: Path | None = None,
        runs_dir: Path | None = None,
        *,
        settings: Settings | None = None,
        session_factory: Callable[[TrainRequest], SessionLike] = make_session,
        driver_class: Any = None,
        first_start: bool = True,
        watch: str | None = None,
    ) -> None:
        super().__init__(driver_class=driver_class)
        if data_dir is not None:
            self.data_dir = data_dir
        if runs_dir is not None:
            self.runs_dir = runs_dir
        self.settings = settings if settings is not None else Settings.load()
        self.desk = TrainingDesk(session_factory)
        self.dashboard = Dashboard(self.settings)
        self._first_start = first_start and watch is None
        self._watch = watch
        self._many_runs = False
        self._real: frozenset[str] = frozenset()  # the CIFAR sets on the disk
        for name in themes.NAMES:
            self.register_theme(themes.build(name))
        self._begin_with_theme(self.settings.theme if self.settings.theme in themes.NAMES else themes.DARK)

    @cached_property
    def data_dir(self) -> Path:  # type: ignore[override]
        """Where datasets are."""
        from cifar_tui.datasets.places import data_dir

        return data_dir(None)

    @cached_property
    def runs_dir(self) -> Path:  # type: ignore[override]
        """Where runs are."""
        from cifar_tui.runs.directory import runs_dir

        return runs_dir(None)

    @cached_property
    def runs_reader(self) -> RunsReader:
        """What is known of the runs."""
        from cifar_tui.tui.runs_data import RunsReader

        return RunsReader(self.runs_dir)

    def _begin_with_theme(self, name: str) -> None:
        """The first theme, set without parsing every style a second time as a later change does."""
        self.set_reactive(App.theme, name)
        dark = self.current_theme.dark
        classes = {f"-theme-{name}": True, "-dark-mode": dark, "-light-mode": not dark}
        self.update_classes(classes, update=False)
        self._invalidate_css()
        self.stylesheet.set_variables(self.get_css_variables())

    def read_styles(self) -> None:
        """The styles of the panes and the folders, once the panes are about to be made."""
        for folder in (self.data_dir, self.runs_dir):  # an error here ends the app with its message
            assert isinstance(folder, Path)
        self._many_runs = places.has_many_runs(self.runs_dir)
        if self._many_runs:  # their process works beside the making of the panes
            self.read_runs_ahead()
        self.stylesheet.read_all(sorted(set(_STYLES.glob("*.tcss")) - {_STYLES / "app.tcss"}))
        self.stylesheet.reparse()

    def get_default_screen(self) -> Screen[Any]:
        """The dashboard is the first and only screen but for dialogs."""
        return self.dashboard

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:  # noqa: ARG002
        """None of Textual's own: the palette lists ours."""
        return ()

    def on_mount(self) -> None:
        """Begin to listen to the threads."""
        self.set_interval(TICK_SECONDS, self.tick)
        self.set_interval(5.0, self.save_settings)
        self.use_keys()
        self.use_motion()

    # ---- from the threads ----

    def tick(self) -> None:
        """Bring to the screen what the threads said."""
        if self.crash is not None or not self.is_running:
            return
        kinds, ended = self.desk.collect()
        if ended is not None:
            if self.quitting:
                self.leave()
                return
            self.session_ended(ended)
        if kinds:
            self.dashboard.show_live(self.live, kinds)
            if kinds != {"progress"}:
                self.refresh_bindings()  # which keys there are, and what they are called
        self.show_download()
        take_dropped = getattr(self._driver, "take_dropped", None)
        if take_dropped is not None and take_dropped():
            self.refresh(layout=True)

    def panes_ready(self) -> None:
        """The panes are there: look at what is on disk."""
        from cifar_tui.tui.mended import mend_textual

        mend_textual()
        if not gc.isenabled():  # see `cli.start`
            gc.freeze()  # a full collection over all that was made until now stops the screen for 0.1 s
            gc.enable()
        self.look()
        if not self._many_runs:
            self.read_runs_ahead()
        if self._watch is not None:
            self.action_open_run(self._watch)

    @work(thread=True, group="look", exit_on_error=False)
    def look(self) -> None:
        """See whether there is any data or run, off the event loop."""
        from cifar_tui import datasets
        from cifar_tui.runs.directory import iterate_runs

        ready, runs = set(), False
        for name in datasets.names():
            with contextlib.suppress(Exception):
                if datasets.status(name, self.data_dir).state in {"ready", "unverified"}:
                    ready.add(name)
        with contextlib.suppress(Exception):
            runs = any(True for _ in iterate_runs(self.runs_dir))
        self.post_message(self.Looked(frozenset(ready), runs))

    @work(thread=True, group="runs-ahead", exit_on_error=False)
    def read_runs_ahead(self) -> None:
        """Read the list of runs before it is asked for, so that its room opens with all of them."""
        worker = get_current_worker()
        self.runs_reader.prepare(lambda: worker.is_cancelled)

    def on_cifar_tui_app_looked(self, message: Looked) -> None:
        """The first start has neither data nor runs."""
        real = message.ready - {"synthetic"}
        self.show_data(real)
        if self._first_start and not real and not message.runs and self.desk.thread is None:
            self.action_first_start()

    def show_data(self, real: Iterable[str]) -> None:
        """The dataset chip of the header."""
        names = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100"}
        self._real = frozenset(real)
        found = [title for name, title in names.items() if name in self._real]
        self.dashboard.header.show_data(" ".join(found) if found else "no data yet")

    def on_dataset_pane_status_changed(self, message: Any) -> None:
        """A download or a check changed what is there."""
        states = {name: status.state for name, status in message.found.items()}
        self.show_data(name for name, state in states.items() if state in {"ready", "unverified"})

    # ---- actions ----

    def action_first_start(self) -> None:
        """Data, recipe, go."""
        from cifar_tui.tui.screens.first_start import FirstStart, Plan

        def planned(plan: Plan | None) -> None:
            self.settings.set(seen_start=True)
            form = self.dashboard.pane("recipe")
            if plan is None or form is None:
                return
            form.load(preset=plan.preset, values=plan.values)
            if plan.start:
                self.start_recipe(plan.values, plan.preset)
            else:
                self.dashboard.focus_pane("recipe")

        self.push_screen(FirstStart(self._real), planned)

    def action_help(self) -> None:
        """Explain what is focused."""
        from cifar_tui.tui.screens.help import HelpScreen

        self.push_screen(HelpScreen())

    def action_copy(self) -> None:
        """What the focused pane shows."""
        pane = self.dashboard.pane(self.dashboard.grid.focused_pane())
        text = pane.copy_text() if pane is not None and hasattr(pane, "copy_text") else ""
        if text:
            self.post_message(CopyRequested(text, "text"))
        else:
            self.say("there is nothing to copy here")

    def on_copy_requested(self, message: CopyRequested) -> None:
        """Put a text on the clipboard and say so."""
        if not message.text:
            self.say("there is nothing to copy here")
            return
        self.copy_to_clipboard(message.text)
        self.say(f"{message.what} copied")

    def action_name(self, action: str, name: str) -> str:
        """What the footer calls an action just now."""
        if action != "pause":
            return name
        control = self.desk.control
        if control is None:
            return "Start"
        return "Resume" if control.paused else "Pause"

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """Keys that steer a training are hidden while there is none; those of panes in the other rooms."""
        if action in ON_DASHBOARD:
            return self.dashboard.room == 1
        return not (action in WHILE_TRAINING and self.desk.thread is None)

    def save_settings(self) -> None:
        """Write what changed."""
        if self.settings.dirty:
            self._save_settings()

    @work(thread=True, exclusive=True, group="settings", exit_on_error=False)
    def _save_settings(self) -> None:
        self.settings.save()


def terminal_driver() -> Any:
    """The driver for this system; None for Textual's own choice."""
    if sys.platform == "win32":
        return None
    from cifar_tui.tui.driver import TerminalDriver

    return TerminalDriver


def run_app(data_dir: Path | None = None, runs_dir: Path | None = None, *, watch: str | None = None) -> int:
    """Open the app on its folders, None for the usual ones, and wait for its end; returns the exit code.

    `watch` is the id of a run to open at once.

    Raises:
        CifarTuiError: a folder that cannot be used.
        Exception: an exception of ours that ended the app, after the run was saved and the terminal restored.
    """
    graphics.ask()
    app = CifarTuiApp(data_dir, runs_dir, driver_class=terminal_driver(), watch=watch)
    with Guard(app.stop_for_signal, app.is_saved, app.leave_from_thread) as guard:
        app.guard = guard
        app.run()
        thread = app.desk.thread
        deadline = time.monotonic() + SAVE_SECONDS
        while thread is not None and not app.is_saved() and time.monotonic() < deadline:
            thread.wait(0.05)
        app.settings.save()
    code = 128 + guard.number if guard.number else 0
    if app.crash is not None and not guard.number:
        raise app.crash
    stuck = getattr(app._driver, "stuck", False)
    if stuck:
        guard.hard_exit(code)
    if thread is not None and not thread.finished:
        end_process(code)
    return code


__all__ = ["CifarTuiApp", "run_app"]
