"""Room 4: all runs, those in training too, whichever process trains them."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.events import Resize, Show
from textual.message import Message
from textual.widgets import Button, Input, Static
from textual.worker import get_current_worker

from cifar_tui.errors import CifarTuiError
from cifar_tui.text import safe_text
from cifar_tui.tui.messages import CopyRequested
from cifar_tui.tui.places import runs_reader
from cifar_tui.tui.screens.rooms import runs_text
from cifar_tui.tui.screens.rooms.runs_compare import RunsCompare
from cifar_tui.tui.screens.rooms.runs_deeds import RunsDeeds
from cifar_tui.tui.widgets.runs_table import RunsTable

if TYPE_CHECKING:
    from cifar_tui.runs.summary import RunSummary
    from cifar_tui.tui.live import LiveRun
    from cifar_tui.tui.runs_data import RunsReader

LOOK_SECONDS = 5.0  # for runs that are new or changed
LIVE_SECONDS = 1.0  # for those in training
WIDE = 110  # columns from which the comparison stands beside the table
# What is asked, the button's text, its class.
BUTTONS = (
    ("watch", "Watch", "first"),
    ("open", "Open", "first"),
    ("pause", "Pause", ""),
    ("unpause", "Go on", ""),
    ("stop", "Stop", ""),
    ("resume", "Resume", ""),
    ("extend", "Extend", ""),
    ("fork", "Fork", ""),
    ("report", "Report", ""),
    ("rename", "Rename", ""),
    ("delete", "Delete", "bad"),
)


class RoomRuns(RunsDeeds):
    """The table of runs with a filter, what is known of the run under the cursor, and a comparison."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", id="runs.filter", tooltip="Show only runs that hold the words"),
        Binding("v", "compare", "Compare", id="runs.compare", tooltip="Marked runs side by side, or not"),
        Binding("m", "metric", "Metric", id="runs.metric", show=False, tooltip="Loss or accuracy"),
        Binding("y", "copy", "Copy", id="runs.copy", show=False, tooltip="Copy the command that resumes it"),
        Binding("Y", "copy_table", "Copy table", id="runs.copy_table", show=False, tooltip="Copy the list"),
        Binding("space", "mark", "Mark", id="runs.mark_here", show=False),  # beside the table too
        Binding("escape", "clear", "Show all", id="runs.clear", show=False, tooltip="No filter"),
    ]
    HELP_TEXT = RunsTable.HELP_TEXT

    class _Found(Message):
        bubble = False

        def __init__(
            self, runs: list[RunSummary], error: BaseException | None, seconds: float, whole: bool
        ) -> None:
            super().__init__()
            self.runs, self.error, self.seconds, self.whole = runs, error, seconds, whole

    def __init__(self, *, runs_dir: Path | None = None, id: str | None = None) -> None:
        super().__init__(id=id, classes="room")
        self._runs_dir = runs_dir
        self._reader: RunsReader | None = None
        self._reading = threading.Lock()
        self._looked = False
        self._next_look = 0.0
        self._error: BaseException | None = None
        self._go_to = ""
        self._comparing = True  # beside the table where there is room, else in its place when asked for
        self._narrow = False

    def compose(self) -> ComposeResult:
        """Table, filter, details; the comparison at the right."""
        with Horizontal(id="runs-body"):
            with Vertical(id="runs-left"):
                with Vertical(id="runs-pane", classes="pane") as pane:
                    pane.border_title = "Runs"
                    yield RunsTable(id="runs-table")
                    yield Static(id="runs-empty")
                    yield Input(id="runs-filter", placeholder="words; enter keeps, esc clears", compact=True)
                with Vertical(id="runs-detail", classes="pane"):
                    yield Static(id="runs-detail-text")
                    with Horizontal(id="runs-buttons"):
                        for what, text, kind in BUTTONS:
                            button = Button(text, id=f"runs-do-{what}", classes=kind, compact=True)
                            button.can_focus = False
                            yield button
            yield RunsCompare(id="runs-compare")

    def on_mount(self) -> None:
        """Look now, and again while the room is in sight."""
        field = self.query_one("#runs-filter", Input)
        field.value = getattr(getattr(self.app, "settings", None), "runs_filter", "")
        field.display = bool(field.value)
        self.query_one("#runs-detail").border_title = "Run"
        table = self.query_one(RunsTable)
        table.set_class(True, "-empty")
        tips = {binding.action: binding.tooltip for _, binding in table._bindings}
        for what, _, _ in BUTTONS:
            self.query_one(f"#runs-do-{what}").tooltip = tips.get(f"ask('{what}')")
        self.set_interval(LIVE_SECONDS / 2, self._look_when_due)
        self._look()
        self._paint()

    def on_unmount(self) -> None:
        """Close what was open."""
        if self._reader is not None and self._reading.acquire(blocking=False):
            self._reader.close()

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
        if kinds & {"run_started", "run_ended"}:
            self._next_look = min(self._next_look, time.monotonic() + 0.5)

    # ---- looking ----

    def on_show(self, _event: Show) -> None:
        """Look when the room is entered."""
        self._look()

    def _look_when_due(self) -> None:
        if self.is_on_screen:
            self._look(whole=time.monotonic() >= self._next_look)

    def _look(self, *, whole: bool = True) -> None:
        if self._reading.locked():
            return  # the look under way ends soon, and the next one is not far
        if whole:
            self._next_look = time.monotonic() + LOOK_SECONDS
        folder = self.folder
        self.run_worker(
            lambda: self._read(folder, whole), thread=True, group="room-runs", exit_on_error=False
        )

    def _read(self, folder: Path, whole: bool) -> None:
        """In a thread; one at a time."""
        if not self._reading.acquire(blocking=False):
            return
        try:
            if self._reader is None or self._reader.folder != folder:
                self._reader = runs_reader(self.app, folder)
            began = time.monotonic()
            if not whole:
                if found := self._reader.look_at_live():
                    self.post_message(self._Found(found, None, 0.0, whole=False))
                return
            try:
                runs = self._reader.look(None if self._looked else self._part)
                self.post_message(self._Found(runs, None, time.monotonic() - began, whole=True))
                if not get_current_worker().is_cancelled:
                    self._reader.save()  # the list is in sight already
            except CifarTuiError as caught:
                self.post_message(self._Found([], caught, time.monotonic() - began, whole=True))
        finally:
            self._reading.release()

    def _part(self, runs: list[RunSummary]) -> None:
        self.post_message(self._Found(list(runs), None, 0.0, whole=True))

    def on_room_runs__found(self, message: _Found) -> None:
        """The runs are known."""
        message.stop()
        table = self.query_one(RunsTable)
        if not message.whole:
            table.update_runs(message.runs)
            return
        self._looked, self._error = True, message.error
        self._next_look = time.monotonic() + max(LOOK_SECONDS, 20 * message.seconds)
        table.set_class(not message.runs, "-empty")
        table.show(message.runs)
        if self._go_to:
            table.put_cursor(self._go_to)
            self._go_to = ""
        self.query_one("#runs-detail").display = bool(message.runs)
        self._paint()

    def on_runs_deeds_done(self, message: RunsDeeds.Done) -> None:
        """A run was renamed, deleted, asked for something; or was not."""
        message.stop()
        if message.error is not None:
            from cifar_tui.tui.screens.dialogs import error_dialog

            self.app.push_screen(error_dialog(message.error))
        else:
            self.app.notify(safe_text(message.text, 200), markup=False)
        self._go_to = message.run
        self._next_look = 0.0

    # ---- filter and comparison ----

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

    def action_compare(self) -> None:
        """The comparison beside the table or in its place, or away."""
        self._comparing = not self._comparing
        self._arrange()
        if self._narrow:
            self.query_one("#runs-differs" if self._comparing else "#runs-table").focus()

    def action_mark(self) -> None:
        """Mark the run under the cursor of the table."""
        self.query_one(RunsTable).action_mark()

    def action_metric(self) -> None:
        """Loss or accuracy."""
        self.query_one(RunsCompare).other_metric()

    def action_copy(self) -> None:
        """The command that goes on with the run."""
        run = self.query_one(RunsTable).current
        if run is not None:
            self.post_message(CopyRequested(f"cifar-tui train --resume {run.run}", "command"))

    def action_copy_table(self) -> None:
        """The runs that are shown, as text."""
        self.post_message(CopyRequested(runs_text.table(self.query_one(RunsTable).shown), "list of runs"))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Runs are needed."""
        if action == "mark" and self.query(RunsTable):
            return self.query_one(RunsTable).current is not None
        if action in {"filter", "copy", "copy_table", "compare", "metric", "mark"}:
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

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """The same as the key."""
        event.stop()
        self.query_one(RunsTable).action_ask((event.button.id or "").removeprefix("runs-do-"))

    # ---- painting ----

    def on_runs_list_moved(self, message: RunsTable.Moved) -> None:
        """Another run."""
        message.stop()
        self._paint_detail(message.run)
        self._compare()

    def on_runs_list_changed(self, message: RunsTable.Changed) -> None:
        """Another order or filter."""
        message.stop()
        self._paint()

    def on_runs_list_marked(self, message: RunsTable.Marked) -> None:
        """Other runs are marked: compare them, here and in the charts of the dashboard."""
        message.stop()
        for pane in self.app.query("ChartPane"):
            pane.set_overlays(list(message.ids))  # type: ignore[attr-defined]
        self._paint()
        self._compare()

    def on_resize(self, event: Resize) -> None:
        """Lines are as wide as the room; a narrow one has no room for two columns."""
        narrow = event.size.width < WIDE
        if narrow != self._narrow:
            self._narrow = narrow
            self._comparing = not narrow
        self.set_class(event.size.height >= 34, "-high")
        self._arrange()

    def _arrange(self) -> None:
        self.set_class(self._comparing and self._narrow, "-only-compare")
        side = self.query_one(RunsCompare)
        side.display = self._comparing and not self.query_one(RunsTable).has_class("-empty")
        side.forget()
        self._compare()
        self.call_after_refresh(lambda: self._paint_detail(self.query_one(RunsTable).current))

    def _compare(self) -> None:
        table = self.query_one(RunsTable)
        ids = table.marks or ((table.current.run,) if table.current is not None else ())
        versions = tuple((run.run, run.step, run.state) for run in table.shown if run.run in ids)
        self.query_one(RunsCompare).compare(self.folder, ids, versions)

    def _paint(self) -> None:
        table = self.query_one(RunsTable)
        empty = self.query_one("#runs-empty", Static)
        name, down = table.order
        empty.display = not table.shown
        nothing = table.has_class("-empty")
        empty.update(runs_text.empty(self.folder, self._error, looked=self._looked, nothing=nothing))
        side = self.query_one(RunsCompare)
        side.display = self._comparing and not nothing
        shown, total = len(table.shown), table.total
        count = "1 run" if total == 1 else f"{total:,} runs"
        if shown != total:
            count = f"{shown:,} of {count}"
        marked = f", {len(table.marks)} marked" if table.marks else ""
        count = "" if nothing else f"{count}{marked}, by {name} {'down' if down else 'up'}"
        self.query_one("#runs-pane").border_subtitle = Content(count)
        self._paint_detail(table.current)
        # What is shown beside it may just have come or gone, and with it the width.
        self.call_after_refresh(lambda: self._paint_detail(table.current))

    def _paint_detail(self, run: RunSummary | None) -> None:
        detail = self.query_one("#runs-detail-text", Static)
        for what, _, _ in BUTTONS:
            self.query_one(f"#runs-do-{what}").display = self.query_one(RunsTable).can(what)
        rows = 7 if self.has_class("-high") else 4
        width = max(20, self.query_one("#runs-detail").content_size.width)
        detail.update(runs_text.detail(run, width, rows) if run is not None else "")
