"""The keys of a chart: each gives an answer that can be seen, whatever is drawn, however narrow the pane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from cifar_tui.tui.messages import CopyRequested

if TYPE_CHECKING:
    from cifar_tui.tui.live import LiveRun
    from cifar_tui.tui.widgets.chart_plan import Plan
    from cifar_tui.tui.widgets.cursor import ChartLink

MARKERS = ("braille", "block", "ascii")
NOTICE_SECONDS = 3.0


class ChartKeys(Widget):
    """Part of `ChartPane`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l", "log_x", "Log x", id="chart.log_x", tooltip="Logarithmic or linear x axis"),
        Binding("x", "x_axis", "X axis", id="chart.x_axis", tooltip="Step, epoch or time on the x axis"),
        Binding("v", "pair", "Other pair", id="chart.pair", tooltip="Loss and accuracy, or the two rates"),
        Binding("m", "marker", "Marker", id="chart.marker", tooltip="Braille, block or ASCII"),
        Binding(
            "plus",
            "smooth(True)",
            "Smoother",
            id="chart.smoother",
            tooltip="Smooth more; the raw curve stays as a band",
            key_display="+",
        ),
        Binding(
            "minus", "smooth(False)", "Rougher", id="chart.rougher", tooltip="Smooth less", key_display="-"
        ),
        Binding(
            "left",
            "cursor(-1)",
            "Cursor",
            id="chart.left",
            tooltip="The values of one step, in both charts at once",
            key_display="← →",
        ),
        Binding("right", "cursor(1)", "Cursor right", id="chart.right", show=False),
        Binding("shift+left", "cursor(-10)", "Cursor far left", id="chart.far_left", show=False),
        Binding("shift+right", "cursor(10)", "Cursor far right", id="chart.far_right", show=False),
        Binding("home", "cursor(-100000)", "Cursor to the start", id="chart.home", show=False),
        Binding("end", "cursor(100000)", "Cursor to the end", id="chart.end", show=False),
        Binding("escape", "no_cursor", "No cursor", id="chart.no_cursor", show=False),
        Binding(
            "y",
            "copy",
            "Copy values",
            id="chart.copy",
            tooltip="Copy the values at the cursor, else the newest ones",
            show=False,
        ),
    ]

    _plan: Plan | None
    _live: LiveRun | None

    @property
    def link(self) -> ChartLink:
        """What all charts share."""
        raise NotImplementedError

    def copy_text(self) -> str:
        """The values as text; empty without a curve."""
        raise NotImplementedError

    def _marker(self) -> str:
        raise NotImplementedError

    def _cursor_column(self) -> int | None:
        raise NotImplementedError

    def _to_column(self, column: int) -> None:
        raise NotImplementedError

    def check_action(self, action: str, _parameters: tuple[object, ...]) -> bool | None:
        """Escape is for the cursor only while there is one."""
        return self.link.cursor is not None if action == "no_cursor" else True

    def action_cursor(self, by: int) -> None:
        """Move the cursor of all charts by columns; it begins at the newest point."""
        from cifar_tui.charts.frame import LEFT
        from cifar_tui.tui.widgets.chart_plan import column_of

        if self._plan is None or self._plan.scale is None:
            self._say("No curve yet: there is nothing to point at")
            return
        at = self._cursor_column()
        if at is not None:
            self._to_column(at - LEFT + by)
        elif self._live is not None:
            self._to_column(column_of(self._plan, float(self._live.step)) or 0)

    def action_no_cursor(self) -> None:
        """Take the cursor away."""
        self.link.move(None)

    def action_log_x(self) -> None:
        """Logarithmic or linear x axis."""
        self.link.change(log_x=not self.link.options.log_x)
        self._answer("l", "log" if self.link.options.log_x else "linear", "x axis")

    def action_x_axis(self) -> None:
        """Step, epoch or time on the x axis."""
        self.link.change(x_axis=_after(("step", "epoch", "time"), self.link.options.x_axis))
        self._answer("x", self.link.options.x_axis, "x axis")

    def action_smooth(self, up: bool) -> None:
        """Smoother or rougher curves; the raw values stay behind them."""
        before = self.link.options.smoothing
        now = self.link.options.smoother(up).smoothing
        if now == before:
            self._say(f"Smoothing stays {now:g}: the {'most' if up else 'least'} there is")
            return
        self.link.change(smoothing=now)
        self._answer("+-", f"smooth {now:g}" if now else "smooth off", "smoothing")

    def action_marker(self) -> None:
        """Braille, block or ASCII."""
        self.link.change(marker=_after(MARKERS, self._marker()))
        self._answer("m", self.link.options.marker, "drawn with")

    def action_pair(self) -> None:
        """Loss and accuracy, or steps per second and learning rate."""
        self.link.change(pair="main" if self.link.options.pair == "rates" else "rates")

    def action_copy(self) -> None:
        """Copy the values at the cursor, else the newest."""
        text = self.copy_text()
        if text:
            self.post_message(CopyRequested(text, "values"))
        else:
            self._say("No curve yet: there is nothing to copy")

    def _answer(self, key: str, value: str, what: str) -> None:
        """Say what is chosen now where the border has no room for it, or shows the cursor's values."""
        border = self._border_subtitle
        if border is None or f"{key} {value}" not in border.plain:
            self._say(f"{what[:1].upper()}{what[1:]}: {value.removeprefix('smooth ')}")

    def _say(self, text: str) -> None:
        self.notify(text, markup=False, timeout=NOTICE_SECONDS)


def _after(choices: tuple[Any, ...], current: Any) -> Any:
    """The choice after the current one, in a circle."""
    return choices[(choices.index(current) + 1) % len(choices)] if current in choices else choices[0]
