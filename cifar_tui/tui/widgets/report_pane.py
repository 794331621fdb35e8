"""The numbers of the run: live while it trains; the evaluation in detail once there is one."""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.widgets import Static

from cifar_tui.tui import theme
from cifar_tui.tui.frames import Framed
from cifar_tui.tui.messages import CopyRequested

if TYPE_CHECKING:
    from cifar_tui.tui.live import LiveRun
    from cifar_tui.tui.widgets.report_numbers import Report

REFRESH_SECONDS = 1.0
_CHANGES = frozenset({"run_started", "progress", "evaluation", "run_ended", "status"})
_AT_ONCE = frozenset({"run_started", "evaluation", "run_ended"})


class ReportPane(Framed, Container, can_focus=True):
    """Table of the splits, worst classes, most confused pairs and a map of the mistakes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy", "Copy table", id="report.copy", tooltip="Copy these numbers as text"),
    ]
    BORDER_TITLE = "Report"

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords)
        self._live: LiveRun | None = None
        self._report: Report | None = None
        self._counts: Any = None
        self._errors: dict[str, float] = {}
        self._errors_of: tuple[str, int] | None = None
        self._painted_at = -math.inf
        self._timer: Any = None
        self._shown: tuple[Any, ...] = ()

    def compose(self) -> ComposeResult:
        """One text."""
        yield Static(markup=False)

    def on_mount(self) -> None:
        """Follow the theme: the map mixes its own colours."""
        # not a watch of the theme's name: that comes before its colours are there
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self._paint())
        self._paint()

    def on_show(self) -> None:
        """Paint what came in while this could not be seen."""
        self._paint()

    def on_resize(self, _: events.Resize) -> None:
        """Lay it out for another size."""
        self._paint()

    def show_live(self, live: LiveRun, kinds: frozenset[str]) -> None:
        """Take in what happened to the run."""
        changed = live is not self._live
        self._live = live
        if not changed and not kinds & _CHANGES:
            return
        if live.ended is not None and (changed or "run_ended" in kinds):
            self._read_errors(live)
        wait = self._painted_at + REFRESH_SECONDS - time.monotonic()
        if changed or kinds & _AT_ONCE or wait <= 0:
            self._paint()
        elif self._timer is None:
            self._timer = self.set_timer(wait, self._paint)

    def copy_text(self) -> str:
        """The numbers as text; empty where there are none."""
        from cifar_tui.tui.widgets.report_numbers import as_text

        report = self._current()
        return "" if report is None else as_text(report)

    def action_copy(self) -> None:
        """Copy the numbers as text."""
        text = self.copy_text()
        if text:
            self.post_message(CopyRequested(text, "report"))
        else:
            self.notify("No numbers yet: there is nothing to copy", markup=False, timeout=3.0)

    # ---- painting ----

    def _current(self) -> Report | None:
        from cifar_tui.tui.widgets.report_numbers import Counts, report_of

        live = self._live
        if live is None or (live.progress is None and not live.last):
            return None
        if self._counts is None:
            self._counts = Counts()
        test = live.last.get("test")
        fresh = test is not None and self._errors_of == (live.run_id, test.step)
        return report_of(live, self._counts, self._errors if fresh else {})

    def _paint(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        if not self.is_mounted or not self.content_size.area:
            return
        self._painted_at = time.monotonic()
        report = self._current()
        width, height = self.content_size
        shown = (report, width, height, theme.colours_now(self.app))
        if shown == self._shown:
            return
        self._shown = shown
        text = self.query_one(Static)
        if report is None:
            self.border_title, self.border_subtitle = Content.assemble(("Report", "bold")), ""
            text.update(self._empty(width, height), layout=False)
            return
        from cifar_tui.tui.widgets import report_blocks

        variables = self.app.theme_variables
        ink = {name: variables.get(name, theme.USUAL[name]) for name in _INK}
        lines = report_blocks.arrange(report, width, height, ink, not self.app.no_color)
        text.update(Content("\n").join(lines), layout=False)
        self.border_title = Content.assemble(("Report", "bold"), "   ", (report.heading, "$muted"))
        self.border_subtitle = self._hint(report, height)

    def _hint(self, report: Report, height: int) -> Content:
        parts: list[Any] = []
        if height < 9:  # too short for a line of facts
            wanted = ("time", "median step") if report.ended else ("lr", "epoch")
            for name, value in report.facts:
                if name in wanted:
                    parts += [(f"{name} ", "$muted"), (value.strip(), ""), "  "]
        elif report.confusion:
            parts += [("rows truth, columns guess", "$muted"), "  "]
        return Content.assemble(*parts, ("y", "bold $accent"), (" copy", "$muted"))

    def _empty(self, width: int, height: int) -> Content:
        live = self._live
        if live is not None and live.is_live:
            lines = ["Numbers come with the first steps"]
        else:
            lines = ["No numbers yet", "space starts the recipe, 4 opens a run"]
        lines = [line[:width].center(width).rstrip() for line in lines]
        above = [""] * max(0, (height - len(lines)) // 2)
        return Content("\n".join([*above, *lines])).stylize("$muted")

    # ---- what only the report file knows ----

    def _read_errors(self, live: LiveRun) -> None:
        test = live.last.get("test")
        if test is not None and live.run_id and self._errors_of != (live.run_id, test.step):
            work = self._errors_from_disk(live.run_id, test.step)
            self.run_worker(work, group="report-file", exclusive=True, exit_on_error=False)

    async def _errors_from_disk(self, run_id: str, step: int) -> None:
        from cifar_tui.tui.places import runs_folder

        found = await asyncio.to_thread(_calibration, runs_folder(self.app), run_id, step)
        if found:
            self._errors, self._errors_of = found, (run_id, step)
            self._paint()


_INK = ("good", "bad", "panel", "foreground", "background")


def _calibration(runs_dir: Any, run_id: str, step: int) -> dict[str, float]:
    """Calibration errors by split, from the report file of a run at a step. For any thread."""
    from cifar_tui.errors import CifarTuiError
    from cifar_tui.runs.directory import RunDirectory
    from cifar_tui.runs.report import read_report
    from cifar_tui.tui import report_data

    try:
        values = read_report(RunDirectory.open(runs_dir, run_id))
    except CifarTuiError:
        return {}
    if values is None or values.get("step") != step:
        return {}
    found = report_data.from_json(run_id, values).splits
    return {name: split.ece for name, split in found.items() if split.ece is not None}
