"""Room 4: all runs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.events import Show
from textual.message import Message
from textual.widgets import Input, Static

from cifar_tui.errors import CifarTuiError
from cifar_tui.text import safe_text
from cifar_tui.tui.messages import CopyRequested, RunOpened, RunResumed
from cifar_tui.tui.places import runs_folder
from cifar_tui.tui.screens.rooms import runs_text
from cifar_tui.tui.widgets.runs_table import RunsTable, percent

if TYPE_CHECKING:
    from cifar_tui.runs.report import RunSummary
    from cifar_tui.tui.live import LiveRun

REFRESH_SECONDS = 5.0


class RoomRuns(Vertical):
    """The table of runs with a filter, and what is known of the run under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", id="runs.filter", tooltip="Show only runs that hold the words"),
        Binding("y", "copy", "Copy", id="runs.copy", tooltip="Copy the command that resumes the run"),
        Binding("escape", "clear", "Clear filter", id="runs.clear", show=False),
    ]
    HELP_TEXT = RunsTable.HELP_TEXT

    class _Found(Message):
        bubble = False

        def __init__(self, runs: list[RunSummary], error: BaseException | None, seconds: float) -> None:
            super().__init__()
            self.runs, self.error, self.seconds = runs, error, seconds

    class _Deleted(Message):
        bubble = False

        def __init__(self, run: str, error: BaseException | None) -> None:
            super().__init__()
            self.run, self.error = run, error

    def __init__(self, *, runs_dir: Path | None = None, id: str | None = None) -> None:
        super().__init__(id=id, classes="room")
        self._runs_dir = runs_dir
        self._looked = False
        self._next_look = 0.0
        self._error: BaseException | None = None
        self._training = ""

    def compose(self) -> ComposeResult:
        """Table, filter, details."""
        with Vertical(id="runs-pane", classes="pane") as pane:
            pane.border_title = "Runs"
            yield RunsTable(id="runs-table")
            yield Static(id="runs-empty")
            yield Input(
                id="runs-filter", placeholder="words; enter keeps them, esc shows all runs", compact=True
            )
        yield Static(id="runs-detail", classes="pane")

    def on_mount(self) -> None:
        """Look now, and again while the room is in sight."""
        self.query_one("#runs-filter").display = False
        self.query_one("#runs-detail").border_title = "Run"
        self.query_one(RunsTable).set_class(True, "-empty")
        self.set_interval(1.0, self._look_when_due)
        self._look()
        self._paint()

    def focus_first(self) -> None:
        """Focus the table."""
        self.query_one(RunsTable).focus()

    # ---- for the app ----

    def show_live(self, live: LiveRun, kinds: frozenset[str]) -> None:
        """Mark the open run; a new or ended one is looked at."""
        table = self.query_one(RunsTable)
        if table.open_run != live.run_id:
            table.open_run = live.run_id
            table.refresh()
        self._training = live.run_id if live.is_live else ""
        if kinds & {"run_started", "run_ended", "evaluation"}:
            self._next_look = min(self._next_look, time.monotonic() + 0.5)

    # ---- looking ----

    def on_show(self, _event: Show) -> None:
        """Look when the room is entered."""
        self._look()

    def _look_when_due(self) -> None:
        if self.is_on_screen and time.monotonic() >= self._next_look:
            self._look()

    def _look(self) -> None:
        self._next_look = time.monotonic() + REFRESH_SECONDS
        folder = self._runs_dir or runs_folder(self.app)
        self.run_worker(
            lambda: self._read(folder), thread=True, exclusive=True, group="room-runs", exit_on_error=False
        )

    def _read(self, folder: Path) -> None:
        """In a thread."""
        from cifar_tui.runs.report import summaries

        began = time.monotonic()
        try:
            found, error = summaries(folder), None
        except CifarTuiError as caught:
            found, error = [], caught
        self.post_message(self._Found(found, error, time.monotonic() - began))

    def on_room_runs__found(self, message: _Found) -> None:
        """The runs are known."""
        message.stop()
        self._looked, self._error = True, message.error
        self._next_look = time.monotonic() + max(REFRESH_SECONDS, 20 * message.seconds)
        table = self.query_one(RunsTable)
        table.set_class(not message.runs, "-empty")
        table.show(message.runs)
        self.query_one("#runs-detail").display = bool(message.runs)
        self._paint()

    # ---- what is asked ----

    def on_runs_table_asked(self, message: RunsTable.Asked) -> None:
        """Open, resume or delete."""
        message.stop()
        run = message.run
        if message.what == "open":
            self.post_message(RunOpened(run.run))
        elif message.what == "resume":
            self.post_message(RunResumed(run.run))
        elif run.state == "running":
            self.app.notify(f"{safe_text(run.run, 60)} is being trained; stop it first", markup=False)
        else:
            self._ask_to_delete(run)

    def _ask_to_delete(self, run: RunSummary) -> None:
        from cifar_tui.tui.screens.dialogs import Choice, Dialog, Part

        name = safe_text(run.run, 60)
        lines = (
            f"{run.step:,} of {run.target:,} steps, {run.checkpoints} checkpoints, "
            f"best test {percent(run.best_test_accuracy)}",
            safe_text(run.path, 120),
        )
        dialog = Dialog(
            f"Delete {name}?",
            [Part("What goes", lines), Part("", ("It cannot be brought back.",))],
            [Choice("keep", "k", "Keep it"), Choice("delete", "d", "Delete it", "for ever")],
            bad=True,
        )

        def answered(choice: str | None) -> None:
            if choice == "delete":
                folder = self._runs_dir or runs_folder(self.app)
                self.run_worker(
                    lambda: self._delete(folder, run.run),
                    thread=True,
                    group="delete-run",
                    exit_on_error=False,
                )

        self.app.push_screen(dialog, answered)

    def _delete(self, folder: Path, run: str) -> None:
        """In a thread."""
        from cifar_tui.runs.directory import RunDirectory, delete_run

        try:
            delete_run(RunDirectory.open(folder, run))
            self.post_message(self._Deleted(run, None))
        except CifarTuiError as error:
            self.post_message(self._Deleted(run, error))

    def on_room_runs__deleted(self, message: _Deleted) -> None:
        """A run is gone, or not."""
        message.stop()
        if message.error is not None:
            self.app.notify(safe_text(message.error, 200), severity="error", markup=False)
        else:
            self.app.notify(f"{safe_text(message.run, 60)} deleted", markup=False)
        self._look()

    # ---- filter ----

    def action_filter(self) -> None:
        """Type words."""
        field = self.query_one("#runs-filter", Input)
        field.display = True
        field.focus()

    def action_clear(self) -> None:
        """All runs again."""
        field = self.query_one("#runs-filter", Input)
        field.value = ""
        field.display = False
        self.query_one(RunsTable).filter("")
        self.query_one(RunsTable).focus()

    def action_copy(self) -> None:
        """The command that goes on with the run."""
        run = self.query_one(RunsTable).current
        if run is not None:
            self.post_message(CopyRequested(f"cifar-tui train --resume {run.run}", "command"))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Runs are needed."""
        if action in {"filter", "copy"}:
            return bool(self.query(RunsTable)) and not self.query_one(RunsTable).has_class("-empty")
        if action == "clear":
            return bool(self.query("#runs-filter")) and self.query_one("#runs-filter").display
        return super().check_action(action, parameters)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter as it is typed."""
        event.stop()
        self.query_one(RunsTable).filter(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Back to the table; an empty filter goes away."""
        event.stop()
        event.input.display = bool(event.value.strip())
        self.query_one(RunsTable).focus()

    # ---- painting ----

    def on_runs_table_moved(self, message: RunsTable.Moved) -> None:
        """Another run."""
        message.stop()
        self._paint_detail(message.run)

    def on_runs_table_changed(self, message: RunsTable.Changed) -> None:
        """Another order or filter."""
        message.stop()
        self._paint()

    def on_resize(self) -> None:
        """Lines are as wide as the room."""
        self.call_after_refresh(lambda: self._paint_detail(self.query_one(RunsTable).current))

    def _paint(self) -> None:
        table = self.query_one(RunsTable)
        empty = self.query_one("#runs-empty", Static)
        name, down = table.order
        empty.display = not table.shown
        folder, nothing = self._runs_dir or runs_folder(self.app), table.has_class("-empty")
        empty.update(runs_text.empty(folder, self._error, looked=self._looked, nothing=nothing))
        count = "" if nothing else f"{len(table.shown):,} runs, by {name} {'down' if down else 'up'}"
        self.query_one("#runs-pane").border_subtitle = Content(count)
        self._paint_detail(table.current)

    def _paint_detail(self, run: RunSummary | None) -> None:
        detail = self.query_one("#runs-detail", Static)
        if run is None:
            detail.update("")
            return
        detail.update(runs_text.detail(run, max(20, detail.content_size.width)))
