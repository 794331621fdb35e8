"""Room 3: the last report of the open run, or that of any of its checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from cifar_tui.charts.cells import plain
from cifar_tui.errors import CifarTuiError
from cifar_tui.text import safe_text
from cifar_tui.tui import examination, report_data
from cifar_tui.tui.report_data import RunReport, SplitReport
from cifar_tui.tui.screens.checkpoints import ChooseCheckpoint
from cifar_tui.tui.screens.rooms import report_text
from cifar_tui.tui.screens.rooms.report_body import ReportBody
from cifar_tui.tui.screens.rooms.report_examining import Examining
from cifar_tui.tui.screens.rooms.report_pictures import ALL_MISTAKES, ReportPictures, Wanted
from cifar_tui.tui.widgets.confusion_matrix import ConfusionMatrix

if TYPE_CHECKING:
    from cifar_tui.runs.checkpoints import CheckpointInfo
    from cifar_tui.tui.live import LiveRun


class RoomReport(Examining, can_focus=False):
    """Summary, confusion matrix, classes, most confused pairs, calibration, and the pictures behind them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("v", "mistakes", "Mistakes", id="report.mistakes", tooltip="The most confident mistakes"),
        Binding("t", "split", "Split", id="report.split", tooltip="Show the next split"),
        Binding("k", "checkpoint", "Checkpoint", id="report.checkpoint", tooltip="Evaluate a checkpoint"),
        Binding("x", "cancel", "Cancel", id="report.cancel", tooltip="Stop the evaluation"),
        Binding("escape", "back", "Back", id="report.hide", tooltip="Hide the message", show=False),
    ]
    HELP_TEXT = (
        "What the model of the open run gets right and wrong. Enter on a cell of the matrix shows its "
        "pictures: the checkpoint is evaluated for that, once. k evaluates another checkpoint of the run."
    )

    class _Read(Message):
        bubble = False

        def __init__(self, run: str, report: RunReport | None, error: BaseException | None) -> None:
            super().__init__()
            self.run, self.report, self.error = run, report, error

    class _Listed(Message):
        bubble = False

        def __init__(self, run: str, found: list[CheckpointInfo]) -> None:
            super().__init__()
            self.run, self.found = run, found

    def __init__(self, *, runs_dir: Path | None = None, id: str | None = None) -> None:
        super().__init__(runs_dir=runs_dir, id=id)
        self._split = ""
        self._error: BaseException | None = None
        self._live_splits: tuple[int, ...] = ()
        self._wanted: Wanted | None = None  # the pictures that are shown or waited for; None for the matrix

    def compose(self) -> ComposeResult:
        """The parts."""
        yield ReportBody(id="report-body")
        yield ReportPictures(id="report-pictures")
        with Horizontal(id="report-empty"):
            yield Static(id="report-empty-text")

    def on_mount(self) -> None:
        """Nothing to show yet."""
        self._paint()

    def focus_first(self) -> None:
        """Focus the pictures or the matrix."""
        if self._wanted is not None:
            self.query_one("#pictures-gallery").focus()
        else:
            self.query_one(ConfusionMatrix).focus()

    # ---- for the app ----

    def show_live(self, live: LiveRun, kinds: frozenset[str]) -> None:
        """Follow the open run: its recorded report, or newer evaluations."""
        self._training = live.is_live
        if not kinds & {"run_started", "evaluation", "run_ended", "status"}:
            return
        splits = tuple(sorted(id(known) for known in live.last.values()))
        if live.run_id == self._run and splits == self._live_splits and "run_ended" not in kinds:
            return
        other = live.run_id != self._run
        self._run, self._live_splits = live.run_id, splits
        if other:
            self._recorded, self._error, self._wanted = None, None, None
            self.query_one(ReportBody).clear()
            self.forget()
        fallback = report_data.from_evaluations(live.run_id, live.dataset, dict(live.last))
        folder = self.folder
        run = live.run_id
        if self._recorded is None and fallback.splits:
            self._recorded = fallback
            self._paint()
        if run:
            self.run_worker(
                lambda: self._read(run, folder, fallback),
                thread=True,
                exclusive=True,
                group="room-report",
                exit_on_error=False,
            )
        else:
            self._recorded = fallback if fallback.splits else None
            self._paint()

    def _read(self, run: str, folder: Path, fallback: RunReport) -> None:
        """In a thread: the report on disk, unless the run was evaluated after it was made."""
        from cifar_tui.runs.directory import RunDirectory
        from cifar_tui.runs.report import read_report

        report: RunReport | None = fallback if fallback.splits else None
        error: BaseException | None = None
        try:
            values = read_report(RunDirectory(folder, run))
            if values is not None:
                found = report_data.from_json(run, values)
                if found.splits and (report is None or found.step >= report.step):
                    report = found
        except CifarTuiError as caught:
            error = caught
        self.post_message(self._Read(run, report, error))

    def on_room_report__read(self, message: _Read) -> None:
        """The report was read."""
        message.stop()
        if message.run == self._run:
            self._recorded, self._error = message.report, message.error
            self._paint()
            if self._report is not None and self.screen.focused is None and self.is_on_screen:
                self.focus_first()

    # ---- what is shown ----

    @property
    def _report(self) -> RunReport | None:
        return self.examined or self._recorded

    @property
    def shown(self) -> SplitReport | None:
        """The split in sight."""
        if self._report is None:
            return None
        return self._report.splits.get(self._split) or self._report.splits.get(self._report.best_split)

    def _paint(self) -> None:
        run, report = self._report, self.shown
        pictures = self._wanted is not None
        body = self.query_one(ReportBody)
        body.display = report is not None and not pictures
        self.query_one(ReportPictures).display = pictures
        self.query_one("#report-empty").display = report is None and not pictures
        if report is not None and run is not None:
            body.show(run, report, self._source(run), self.answers.get(report.split), self.dataset)
        else:
            empty = report_text.empty(self._run, self._error or self.exam_error)
            if self.exam is not None:
                empty = report_text.examining(self.exam, 40)
            self.query_one("#report-empty-text", Static).update(empty)
            body.clear()
        self.refresh_bindings()

    def _source(self, report: RunReport) -> Content:
        """Which run and step the numbers are of, or how far an evaluation is."""
        if self.exam is not None:
            return report_text.examining_line(self.exam)
        if self.exam_error is not None:
            return Content.assemble((report_text.reason(self.exam_error, 60), "$bad"))
        origin = "checkpoint of step" if self.examined is not None else "step"
        return Content(f"{safe_text(report.run or 'not recorded', 40)}, {origin} {report.step:,}")

    # ---- the pictures behind a number ----

    def open_pictures(self, wanted: Wanted) -> None:
        """Show pictures; the checkpoint is evaluated first where that was not done."""
        report = self.shown
        if report is None or self._report is None or not self._run:
            return
        self._wanted = wanted
        if report.split not in self.answers and self.exam is None:
            self.examine((report.split,), self._report.step)
        self._paint()
        self.exam_changed()
        self.call_after_refresh(self.focus_first)

    def exam_changed(self) -> None:
        """The evaluation went on, or the pictures came or went."""
        if not self.is_mounted:
            return
        self._paint()
        if self._wanted is None or self._report is None:
            return
        report, view = self.shown, self.query_one(ReportPictures)
        answered = self.answers.get(report.split) if report is not None else None
        if answered is not None and self.dataset is not None:
            view.show(self._wanted, answered, self.dataset)
        elif self.exam is not None:
            view.wait(self._wanted, report_text.examining(self.exam, 40))
        elif self.exam_error is not None:
            view.wait(self._wanted, report_text.failed(self.exam_error))
        elif answered is None:
            self._close_pictures()
        else:
            view.let_go()

    def _close_pictures(self) -> None:
        self._wanted, self.exam_error = None, None
        self._paint()
        self.call_after_refresh(self.focus_first)

    def on_report_body_pictures_wanted(self, message: ReportBody.PicturesWanted) -> None:
        """The pictures of a cell."""
        message.stop()
        self.open_pictures(message.wanted)

    def on_report_pictures_closed(self, message: ReportPictures.Closed) -> None:
        """Back to the matrix."""
        message.stop()
        self._close_pictures()

    def on_report_pictures_pair_wanted(self, message: ReportPictures.PairWanted) -> None:
        """All pictures of a pair."""
        message.stop()
        report = self.shown
        if report is not None and max(message.true, message.said) < len(report.names):
            names = report.names
            title = f"{plain(names[message.true])} taken for {plain(names[message.said])}"
            self.open_pictures(Wanted(title, (message.true,), (message.said,)))

    # ---- keys ----

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A report is needed."""
        if action == "back":
            return self._wanted is not None or self.exam_error is not None
        if action == "split":
            return self._report is not None
        if action == "mistakes":
            return self._report is not None and bool(self._run) and self._wanted is not ALL_MISTAKES
        if action == "checkpoint":
            return bool(self._run)
        if action == "cancel":
            return self.exam is not None
        return super().check_action(action, parameters)

    def action_back(self) -> None:
        """From the pictures to the matrix; hide a message."""
        self.exam_error = None
        if self._wanted is not None:
            self._close_pictures()
        else:
            self._paint()

    def action_mistakes(self) -> None:
        """The most confident mistakes."""
        self.open_pictures(ALL_MISTAKES)

    def action_split(self) -> None:
        """The next split."""
        if self._report is None or self.shown is None:
            return
        names = list(self._report.splits)
        self._split = names[(names.index(self.shown.split) + 1) % len(names)]
        if self._wanted is not None:
            self.open_pictures(self._wanted)
        self._paint()

    def action_checkpoint(self) -> None:
        """Choose a checkpoint to evaluate."""
        from cifar_tui.runs.directory import RunDirectory

        run, folder = self._run, self.folder

        def look() -> None:
            self.post_message(self._Listed(run, examination.checkpoints(RunDirectory(folder, run))))

        self.run_worker(look, thread=True, exclusive=True, group="room-checkpoints", exit_on_error=False)

    def on_room_report__listed(self, message: _Listed) -> None:
        """Ask which one."""
        message.stop()
        if message.run != self._run:
            return
        step = self._recorded.step if self._recorded is not None else None
        self.app.push_screen(ChooseCheckpoint(message.run, message.found, step), self._chosen)

    def _chosen(self, choice: CheckpointInfo | str | None) -> None:
        if choice is None:
            return
        self._wanted = None
        if isinstance(choice, str):
            self.forget()
            self._paint()
            return
        known = self._recorded.splits if self._recorded is not None else {}
        splits = ("test", "validation", "train") if "validation" in known else ("test", "train")
        self.examine(splits, choice.step, best=choice.best)
