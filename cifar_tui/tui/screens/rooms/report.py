"""Room 3: the last report of the open run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.events import Resize
from textual.message import Message
from textual.widgets import Static

from cifar_tui.errors import CifarTuiError
from cifar_tui.text import safe_text
from cifar_tui.tui import report_data
from cifar_tui.tui.messages import CopyRequested
from cifar_tui.tui.places import runs_folder
from cifar_tui.tui.report_data import RunReport, SplitReport
from cifar_tui.tui.screens.rooms import report_text
from cifar_tui.tui.widgets.confusion_matrix import ConfusionMatrix
from cifar_tui.tui.widgets.lines import stack

if TYPE_CHECKING:
    from cifar_tui.tui.live import LiveRun


class RoomReport(VerticalScroll, can_focus=False):
    """Summary, confusion matrix, classes, most confused pairs and calibration."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("t", "split", "Train or test", id="report.split", tooltip="Show the other split"),
        Binding("o", "order", "Order", id="report.order", tooltip="Order of the classes"),
        Binding("y", "copy", "Copy", id="report.copy", tooltip="Copy the tables as text"),
        Binding("escape,backspace", "back", "Back", id="report.back", tooltip="Back to all groups"),
    ]
    HELP_TEXT = "What the model of the open run gets right and wrong, from its last evaluation."

    class _Read(Message):
        bubble = False

        def __init__(self, run: str, report: RunReport | None, error: BaseException | None) -> None:
            super().__init__()
            self.run, self.report, self.error = run, report, error

    def __init__(self, *, runs_dir: Path | None = None, id: str | None = None) -> None:
        super().__init__(id=id, classes="room")
        self._runs_dir = runs_dir
        self._report: RunReport | None = None
        self._run = ""
        self._split = ""
        self._order = 0
        self._group: int | None = None
        self._error: BaseException | None = None
        self._live_splits: tuple[int, ...] = ()

    def compose(self) -> ComposeResult:
        """The parts."""
        with Vertical(id="report-body"):
            with Vertical(id="report-left"):
                yield self._pane("Summary", "report-summary")
                with Vertical(id="report-matrix-pane", classes="pane") as pane:
                    pane.border_title = "Confusion"
                    yield ConfusionMatrix(id="report-matrix")
                    yield Static(id="report-cell")
                yield self._pane("Per class", "report-classes")
            with Vertical(id="report-right"):
                yield self._pane("Most confused", "report-pairs")
                yield self._pane("Calibration", "report-calibration")
        with Horizontal(id="report-empty"):
            yield Static(id="report-empty-text")

    @staticmethod
    def _pane(title: str, id: str) -> Static:
        pane = Static(id=id, classes="pane")
        pane.border_title = title
        return pane

    def on_mount(self) -> None:
        """Nothing to show yet."""
        self._paint()

    def focus_first(self) -> None:
        """Focus the matrix."""
        self.query_one(ConfusionMatrix).focus()

    # ---- for the app ----

    def show_live(self, live: LiveRun, kinds: frozenset[str]) -> None:
        """Follow the open run: its recorded report, or newer evaluations."""
        if not kinds & {"run_started", "evaluation", "run_ended", "status"}:
            return
        splits = tuple(sorted(id(known) for known in live.last.values()))
        if live.run_id == self._run and splits == self._live_splits and "run_ended" not in kinds:
            return
        other = live.run_id != self._run
        self._run, self._live_splits = live.run_id, splits
        if other:
            self._report, self._error, self._group = None, None, None
        fallback = report_data.from_evaluations(live.run_id, live.dataset, dict(live.last))
        folder = self._runs_dir or runs_folder(self.app)
        run = live.run_id
        if self._report is None and fallback.splits:
            self._report = fallback
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
            self._report = fallback if fallback.splits else None
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
            self._report, self._error = message.report, message.error
            self._paint()
            if self._report is not None and self.screen.focused is None and self.is_on_screen:
                self.focus_first()

    # ---- what is shown ----

    @property
    def shown(self) -> SplitReport | None:
        """The split in sight."""
        if self._report is None:
            return None
        return self._report.splits.get(self._split) or self._report.splits.get(self._report.best_split)

    def _for_matrix(self, report: SplitReport) -> SplitReport:
        """With many classes their groups, or the classes of the open group."""
        groups = self._groups(report)
        if groups is None:
            return report
        names, group_of = groups
        if self._group is None:
            return report_data.grouped(report, names, group_of)
        inside = [index for index, group in enumerate(group_of) if group == self._group]
        rows = tuple(tuple(report.confusion[row][column] for column in inside) for row in inside)
        chosen = tuple(report.names[index] for index in inside)
        return SplitReport(
            report.split,
            report.examples,
            report.loss,
            report.penalty,
            report.accuracy,
            report.top5,
            chosen,
            rows,
        )

    def _groups(self, report: SplitReport) -> tuple[tuple[str, ...], tuple[int, ...]] | None:
        from cifar_tui.datasets.spec import get_spec

        if self._report is None or self._report.dataset != "cifar100" or len(report.confusion) != 100:
            return None
        spec = get_spec("cifar100")
        return spec.coarse_names, spec.fine_to_coarse

    def _paint(self) -> None:
        report = self.shown
        self.query_one("#report-body").display = report is not None
        self.query_one("#report-empty").display = report is None
        if report is None:
            self.query_one("#report-empty-text", Static).update(report_text.empty(self._run, self._error))
            self.query_one(ConfusionMatrix).show(None)
            return
        assert self._report is not None
        matrix = self._for_matrix(report)
        groups = self._groups(report)
        self._set("report-summary", report_text.summary(self._report, self._inner("report-summary")))
        self.query_one("#report-summary").border_subtitle = Content(
            f"{safe_text(self._report.run or 'not recorded', 40)}, step {self._report.step:,}"
        )
        pane = self.query_one("#report-matrix-pane")
        opened = f", {matrix.names[0]} and its like" if self._group is not None and matrix.names else ""
        pane.border_title = Content(f"Confusion, {report.split}{safe_text(opened)}")
        widget = self.query_one(ConfusionMatrix)
        widget.can_open = groups is not None and self._group is None
        widget.show(matrix)
        widget.styles.height = min(22, len(matrix.confusion) + 1)
        self._paint_cell()
        order = report_text.ORDERS[self._order]
        self.query_one("#report-classes").border_title = Content(f"Per class, {order}")
        self._set("report-classes", report_text.classes(report, self._order, self._inner("report-classes")))
        self._set("report-pairs", report_text.pairs(report, self._inner("report-pairs")))
        self._set("report-calibration", report_text.calibration(report, self._inner("report-calibration")))
        self.refresh_bindings()

    def _inner(self, id: str) -> int:
        return max(30, self.query_one(f"#{id}").content_size.width)

    def _set(self, id: str, lines: list[Content]) -> None:
        self.query_one(f"#{id}", Static).update(stack(lines))

    def _paint_cell(self) -> None:
        matrix = self.query_one(ConfusionMatrix)
        self.query_one("#report-cell", Static).update(Content.assemble(*matrix.said()))
        hint = "enter its classes" if matrix.can_open else "esc all groups" if self._group is not None else ""
        self.query_one("#report-matrix-pane").border_subtitle = hint

    # ---- keys ----

    def on_confusion_matrix_moved(self, message: ConfusionMatrix.Moved) -> None:
        """Say the cell."""
        message.stop()
        self._paint_cell()

    def on_confusion_matrix_opened(self, message: ConfusionMatrix.Opened) -> None:
        """The classes of a group."""
        message.stop()
        self._group = message.row
        self._paint()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A report is needed."""
        if action == "back":
            return self._group is not None
        if action in {"split", "order", "copy"}:
            return self._report is not None
        return super().check_action(action, parameters)

    def action_back(self) -> None:
        """All groups again."""
        self._group = None
        self._paint()

    def action_split(self) -> None:
        """The next split."""
        if self._report is None or self.shown is None:
            return
        names = list(self._report.splits)
        self._split = names[(names.index(self.shown.split) + 1) % len(names)]
        self._paint()

    def action_order(self) -> None:
        """Another order of the classes."""
        self._order = (self._order + 1) % len(report_text.ORDERS)
        self._paint()

    def action_copy(self) -> None:
        """The tables as text."""
        report = self.shown
        if report is not None and self._report is not None:
            lines = [*report_text.summary(self._report, 76), Content("")]
            lines += [*report_text.classes(report, self._order, 76), Content("")]
            lines += report_text.pairs(report, 42)
            text = "\n".join(line.plain.rstrip() for line in lines)
            self.post_message(CopyRequested(text + "\n", "report"))

    def on_resize(self, event: Resize) -> None:
        """Narrow screens have one column."""
        self.set_class(event.size.width < 110, "-narrow")
        self.call_after_refresh(self._paint)
