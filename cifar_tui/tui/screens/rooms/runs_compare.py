"""Runs side by side: their curves in one chart, the settings in which they differ, and their results."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from cifar_tui.tui import theme
from cifar_tui.tui.runs_data import Beside, beside
from cifar_tui.tui.screens.rooms import runs_text
from cifar_tui.tui.widgets.chart_view import Cells, ChartView, cells_of

Metric = Literal["accuracy", "loss"]
READ_SECONDS = 0.15  # the cursor may go on at once


class RunsCompare(Vertical):
    """A chart over a table, of the marked runs or of the one under the cursor."""

    class _Read(Message):
        bubble = False

        def __init__(self, found: Beside) -> None:
            super().__init__()
            self.found = found

    class _Drawn(Message):
        bubble = False

        def __init__(self, cells: Cells) -> None:
            super().__init__()
            self.cells = cells

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.metric: Metric = "accuracy"
        self._found = Beside()
        self._wanted: tuple[Path, tuple[str, ...]] | None = None
        self._version: object = None

    def compose(self) -> ComposeResult:
        """Chart, table."""
        with Vertical(id="runs-chart", classes="pane"):
            yield ChartView()
        with VerticalScroll(id="runs-differs", classes="pane"):
            yield Static(id="runs-differs-text")

    def on_mount(self) -> None:
        """Draw anew in other colours."""
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self._paint())
        self._paint()

    # ---- content ----

    def compare(self, folder: Path, ids: tuple[str, ...], version: object) -> None:
        """Show these runs, read again where `version` is another than at the last time."""
        if (folder, ids) == self._wanted and version == self._version:
            return
        self._wanted, self._version = (folder, ids), version
        self.set_timer(READ_SECONDS, lambda: self._read_when_still(version))

    def _read_when_still(self, version: object) -> None:
        if version != self._version or self._wanted is None or not self.display:
            return
        folder, ids = self._wanted
        self.run_worker(
            lambda: self.post_message(self._Read(beside(folder, ids))),
            thread=True,
            exclusive=True,
            group="runs-beside",
            exit_on_error=False,
        )

    def forget(self) -> None:
        """Read again at the next call of `compare`, such as when it is shown again."""
        self._version = None

    def on_runs_compare__read(self, message: _Read) -> None:
        """The runs are known."""
        message.stop()
        self._found = message.found
        self._paint()

    def other_metric(self) -> None:
        """Loss in place of accuracy, and back."""
        self.metric = "loss" if self.metric == "accuracy" else "accuracy"
        self._paint()

    # ---- painting ----

    def on_chart_view_resized(self, message: ChartView.Resized) -> None:
        """There is room for another chart."""
        message.stop()
        self._paint()

    def on_chart_view_pointed(self, message: ChartView.Pointed) -> None:
        """This chart has no cursor."""
        message.stop()

    @property
    def colours(self) -> tuple[str, ...]:
        """A colour for each run, as ``#rrggbb``."""
        from cifar_tui.charts import role_colour

        dark, look = self.app.current_theme.dark, theme.palette(self.app.theme)
        if len(self._found.runs) == 1:
            return ("$foreground",)
        found = (role_colour(f"other:{number}", look, dark) for number in range(len(self._found.runs)))
        return tuple(f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in found)

    def _paint(self) -> None:
        chart = self.query_one("#runs-chart")
        several = len(self._found.runs) > 1
        chart.border_title = Content(f"Test {self.metric}" if several else self.metric.capitalize())
        chart.border_subtitle = Content("m loss" if self.metric == "accuracy" else "m accuracy")
        table = self.query_one("#runs-differs")
        table.border_title = "Only what differs" if several else "Results"
        width = max(20, table.content_size.width)
        self.query_one("#runs-differs-text", Static).update(
            runs_text.differs(self._found, self.colours, width)
        )
        table.border_subtitle = Content(f"{self._found.equal} settings are equal" if several else "")
        self._draw()

    def _draw(self) -> None:
        view = self.query_one(ChartView)
        if not view.size.area:
            return
        lines = _lines(self._found, self.metric)
        if not any(len(x) for _, _, x, _ in lines):
            view.show_note(
                ["Nothing was evaluated yet"] if self._found.runs else ["space marks runs to compare"]
            )
            return
        look = {"palette": theme.palette(self.app.theme), "dark": self.app.current_theme.dark}
        work = (lines, self.metric, view.size.width, view.size.height, not self.app.no_color, look)
        self.run_worker(
            lambda: self.post_message(self._Drawn(draw(*work))),
            thread=True,
            exclusive=True,
            group="runs-chart",
            exit_on_error=False,
        )

    def on_runs_compare__drawn(self, message: _Drawn) -> None:
        """The chart is drawn."""
        message.stop()
        self.query_one(ChartView).show(message.cells, None)


_Line = tuple[str, str, list[float], list[float]]  # label, role, steps, values


def _lines(found: Beside, metric: Metric) -> list[_Line]:
    """Test curves of several runs; of one alone those of all splits."""
    lines: list[_Line] = []
    for number, (run, curves) in enumerate(zip(found.runs, found.curves, strict=True)):
        splits = ("test",) if len(found.runs) > 1 else ("train", "validation", "test")
        for split in splits:
            points = curves.get(split, [])
            label, role = (run, f"other:{number}") if len(found.runs) > 1 else (split, split)
            values = [loss if metric == "loss" else accuracy for _, loss, accuracy in points]
            steps = [float(step) for step, _, _ in points]
            if points:
                lines.append((label, role, steps, [float("nan") if v is None else v for v in values]))
    return lines


def draw(
    lines: list[_Line], metric: Metric, width: int, height: int, colour: bool, look: dict[str, Any]
) -> Cells:
    """The chart, `width` x `height` cells; for any thread."""
    import numpy as np

    from cifar_tui import charts

    spec = charts.ChartSpec(
        "",
        [charts.Line(label, np.array(x), np.array(y), role) for label, role, x, y in lines],
        width,
        height,
        unit="fraction" if metric == "accuracy" else "loss",
        colour=colour,
        **look,
    )
    return cells_of(charts.draw(spec))
