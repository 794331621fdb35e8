"""The report itself: summary, confusion matrix, classes; at the right the pictures of a cell, or numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.events import Resize
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from cifar_tui.charts.cells import plain
from cifar_tui.text import safe_text
from cifar_tui.tui import report_data
from cifar_tui.tui.messages import CopyRequested
from cifar_tui.tui.report_data import RunReport, SplitReport
from cifar_tui.tui.screens.rooms import report_text
from cifar_tui.tui.screens.rooms.report_pictures import Wanted, zoomed
from cifar_tui.tui.widgets.confusion_matrix import ConfusionMatrix
from cifar_tui.tui.widgets.gallery import Gallery
from cifar_tui.tui.widgets.lines import stack

if TYPE_CHECKING:
    from cifar_tui.datasets.split import Dataset
    from cifar_tui.session.evaluate import Answered


class ReportBody(Vertical):
    """One split of a report."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "all_groups", "All groups", id="report.back", tooltip="Back to all groups"),
        Binding("backspace", "all_groups", "All groups", id="report.back_space", show=False),
        Binding("o", "order", "Order", id="report.order", tooltip="Order of the classes", show=False),
        Binding("b", "side", "Numbers", id="report.side", tooltip="Pictures or numbers at the right"),
        Binding("y", "copy", "Copy", id="report.copy", tooltip="Copy the tables as text", show=False),
    ]

    class PicturesWanted(Message):
        """The pictures behind a cell."""

        def __init__(self, wanted: Wanted) -> None:
            super().__init__()
            self.wanted = wanted

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._run: RunReport | None = None
        self._report: SplitReport | None = None
        self._answered: Answered | None = None
        self._dataset: Dataset | None = None
        self._source: Content | str = ""
        self._order = 0
        self._group: int | None = None
        self._numbers = False

    def compose(self) -> ComposeResult:
        """The panes."""
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
            with Vertical(id="report-side", classes="pane"):
                yield Gallery(id="report-preview")

    def on_mount(self) -> None:
        """The scales below the matrix are in the colours of the theme."""
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self._paint_cell())

    @staticmethod
    def _pane(title: str, id: str) -> Static:
        pane = Static(id=id, classes="pane")
        pane.border_title = title
        return pane

    # ---- content ----

    def show(
        self,
        run: RunReport,
        report: SplitReport,
        source: Content | str,
        answered: Answered | None,
        dataset: Dataset | None,
    ) -> None:
        """Show a split of a report.

        Args:
            run: the report.
            report: the split in sight.
            source: which run and step it is of.
            answered: what was said of each picture of the split; None where it is not known.
            dataset: the pictures; None where they are not in memory.
        """
        self._run, self._report, self._source = run, report, source
        self._answered, self._dataset = answered, dataset
        self._paint()

    def clear(self) -> None:
        """Nothing is known."""
        self._run, self._report, self._answered, self._dataset, self._group = None, None, None, None, None
        self.query_one(ConfusionMatrix).show(None)
        self.query_one("#report-preview", Gallery).show(None, None, None)

    def _paint(self) -> None:
        report, run = self._report, self._run
        if report is None or run is None:
            return
        self._set("report-summary", report_text.summary(run, self._inner("report-summary"), short=self.low))
        self.query_one("#report-summary").border_subtitle = self._source
        self._paint_matrix(run, report)
        order = report_text.ORDERS[self._order]
        self.query_one("#report-classes").border_title = Content(f"Per class, {order}")
        self._set("report-classes", report_text.classes(report, self._order, self._inner("report-classes")))
        self._paint_side()
        self.refresh_bindings()

    @property
    def narrow(self) -> bool:
        """One column."""
        return self.has_class("-narrow")

    @property
    def low(self) -> bool:
        """A small screen, on which the matrix should be seen whole."""
        room = self.parent
        return self.narrow and isinstance(room, Widget) and room.size.height < 26

    def _paint_matrix(self, run: RunReport, report: SplitReport) -> None:
        groups = report_data.groups(run, report)
        matrix = report_data.matrix(report, groups, self._group)
        pane = self.query_one("#report-matrix-pane")
        opened = f", {matrix.names[0]} and its like" if self._group is not None and matrix.names else ""
        widget = self.query_one(ConfusionMatrix)
        widget.of_groups = groups is not None and self._group is None
        widget.can_open = bool(run.run) or widget.of_groups
        widget.show(matrix)
        of_row = ", % of the row" if widget.percent else ""
        pane.border_title = Content(f"Confusion, {report.split}{safe_text(opened)}{of_row}")
        widget.styles.height = min(22, len(matrix.confusion) + 1)
        self._paint_cell()

    def _inner(self, id: str) -> int:
        return max(30, self.query_one(f"#{id}").content_size.width)

    def _set(self, id: str, lines: list[Content]) -> None:
        self.query_one(f"#{id}", Static).update(stack(lines))

    def _paint_cell(self) -> None:
        matrix = self.query_one(ConfusionMatrix)
        lines = [Content.assemble(*matrix.said())]
        if not self.narrow:
            lines.append(Content.assemble(*matrix.legend()))
        self.query_one("#report-cell", Static).update(stack(lines))
        hint = "enter pictures" if matrix.can_open else ""
        if matrix.on_group:
            hint = "enter its classes"
        elif self._group is not None:
            hint = "enter pictures   esc all groups"
        self.query_one("#report-matrix-pane").border_subtitle = hint

    def _paint_side(self) -> None:
        """At the right: the pictures of the cell once they are known, or the numbers."""
        report, answered, dataset = self._report, self._answered, self._dataset
        if report is None:
            return
        pictures = answered is not None and dataset is not None and not self._numbers and not self.narrow
        side, room = self.query_one("#report-side"), self.parent
        side.display = pictures
        side.styles.height = max(11, room.size.height if isinstance(room, Widget) else 0)
        for name in ("#report-pairs", "#report-calibration"):
            self.query_one(name).display = not pictures
        self._set("report-pairs", report_text.pairs(report, self._inner("report-pairs")))
        self._set("report-calibration", report_text.calibration(report, self._inner("report-calibration")))
        wanted = self._cell()
        if not pictures or answered is None or dataset is None or wanted is None:
            return
        split = dataset.test if answered.source == "test" else dataset.train
        places = wanted.places(answered)
        self.query_one("#report-preview", Gallery).show(split, answered, places)
        side.border_title = Content(wanted.title)
        side.border_subtitle = Content(f"{len(places):,}, surest first" if len(places) else "none")

    def _cell(self) -> Wanted | None:
        """The pictures behind the cell of the cursor."""
        report = self._report
        if report is None or self._run is None or not report.confusion:
            return None
        groups = report_data.groups(self._run, report)
        classes = report_data.members(groups, self._group, len(report.confusion))
        names = report_data.matrix(report, groups, self._group).names
        row, column = self.query_one(ConfusionMatrix).cursor
        if max(row, column) >= len(classes):
            return None
        true, said = plain(names[row]), plain(names[column])
        title = f"{true} told rightly" if row == column else f"{true} taken for {said}"
        return Wanted(title, classes[row], classes[column])

    # ---- keys and mouse ----

    def on_gallery_moved(self, message: Gallery.Moved) -> None:
        """In the preview: nothing else depends on it."""
        message.stop()

    def on_gallery_zoomed(self, message: Gallery.Zoomed) -> None:
        """A closer look from the preview."""
        message.stop()
        place = self.query_one("#report-preview", Gallery).place
        if self._answered is not None and self._dataset is not None and place is not None:
            answered = self._answered
            split = self._dataset.test if answered.source == "test" else self._dataset.train
            self.app.push_screen(zoomed(split, answered, place))

    def on_confusion_matrix_moved(self, message: ConfusionMatrix.Moved) -> None:
        """Say the cell."""
        message.stop()
        self._paint_cell()
        self._paint_side()

    def on_confusion_matrix_opened(self, message: ConfusionMatrix.Opened) -> None:
        """The classes of a group, or the pictures of a cell."""
        message.stop()
        if self.query_one(ConfusionMatrix).on_group:
            self._group = message.row
            self._paint()
        elif (wanted := self._cell()) is not None:
            self.post_message(self.PicturesWanted(wanted))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what would do something is offered."""
        if action == "all_groups":
            return self._group is not None
        if action in {"order", "copy"}:
            return self._report is not None
        if action == "side":
            return self._answered is not None and not self.narrow
        return super().check_action(action, parameters)

    def action_all_groups(self) -> None:
        """From a group to all groups."""
        self._group = None
        self._paint()

    def action_side(self) -> None:
        """Pictures or numbers at the right."""
        self._numbers = not self._numbers
        self._paint()

    def action_order(self) -> None:
        """Another order of the classes."""
        self._order = (self._order + 1) % len(report_text.ORDERS)
        self._paint()

    def action_copy(self) -> None:
        """The tables as text."""
        if self._report is not None and self._run is not None:
            text = report_text.as_text(self._run, self._report, self._order)
            self.post_message(CopyRequested(text, "report"))

    def on_resize(self, event: Resize) -> None:
        """Narrow screens have one column."""
        self.set_class(event.size.width < 109, "-narrow")
        wide = event.size.width >= 160
        self.call_after_refresh(self._paint)
        if wide != self.has_class("-wide"):
            self.set_class(wide, "-wide")
            self.call_after_refresh(self.call_after_refresh, self._paint)  # once the columns have followed
