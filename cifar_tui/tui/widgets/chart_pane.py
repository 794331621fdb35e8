"""A pane with a chart of the run: drawn off the event loop, once or twice a second, only when it changed."""

from __future__ import annotations

import asyncio
import math
import os
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from textual.app import ComposeResult
from textual.containers import Container

from cifar_tui.text import safe_text
from cifar_tui.tui.frames import Framed
from cifar_tui.tui.widgets.chart_keys import ChartKeys
from cifar_tui.tui.widgets.chart_view import ChartView
from cifar_tui.tui.widgets.cursor import ChartLink

if TYPE_CHECKING:
    from cifar_tui.tui.live import LiveRun
    from cifar_tui.tui.settings import Settings
    from cifar_tui.tui.widgets.chart_options import Kind
    from cifar_tui.tui.widgets.chart_plan import Plan

REDRAW_SECONDS = 0.5
LONGEST_SECONDS = 2.0  # between two drawings of a curve that grows
DRAWING_SHARE = 0.006  # of a core, for one chart: a slow processor draws less often
CHEAP_SECONDS = 0.010  # a chart that takes longer to draw is drawn in a thread
_CHANGES = frozenset({"run_started", "progress", "evaluation", "checkpoint", "note", "run_ended", "status"})


class ChartPane(ChartKeys, Framed, Container, can_focus=True):
    """One chart; all charts of the app share options and cursor.

    Args:
        kind: "loss", "accuracy", "rate" or "learning_rate".
        settings: where options are remembered.
    """

    def __init__(self, kind: Kind, settings: Settings | None = None, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.kind: Kind = kind
        self._settings = settings
        self._link: ChartLink | None = None
        self._live: LiveRun | None = None
        self._plan: Plan | None = None
        self._drawn_at = -math.inf
        self._cost = math.inf
        self._busy = False
        self._again = False
        self._timer: Any = None
        self._texts: tuple[str, str] = ("", "")

    def compose(self) -> ComposeResult:
        """One view."""
        yield ChartView()

    def on_mount(self) -> None:
        """Join the other charts."""
        self.link.attach(self)
        self.watch(self.app, "theme", self._look_changed, init=False)
        self._show_texts()

    def on_unmount(self) -> None:
        """Leave them."""
        self.link.detach(self)

    @property
    def link(self) -> ChartLink:
        """What all charts share."""
        if self._link is None:
            self._link = ChartLink.of(self.app, self._settings)
        return self._link

    @property
    def view(self) -> ChartView:
        """The cells."""
        return self.query_one(ChartView)

    @property
    def shown(self) -> Kind:
        """What is drawn now: the kind of this pane, or its partner of the other pair."""
        from cifar_tui.tui.widgets.chart_options import PARTNERS

        return PARTNERS.get(self.kind, self.kind) if self.link.options.pair == "rates" else self.kind

    def show_live(self, live: LiveRun, kinds: frozenset[str]) -> None:
        """Take in what happened to the run."""
        if live is not self._live or kinds & _CHANGES or (kinds and self._plan is None):
            self._live = live
            self.link.watch(live, self)
            self._draw_soon()

    def set_overlays(self, run_ids: list[str]) -> None:
        """Show the curves of marked runs too."""
        self.link.mark(run_ids, self)

    # ---- what the link tells ----

    def options_changed(self) -> None:
        """Draw in another way; the border says so at once."""
        self._show_texts()
        self._draw()

    def others_changed(self) -> None:
        """Draw with other runs."""
        self._draw()

    def cursor_moved(self) -> None:
        """Lay the cursor elsewhere over the drawn cells."""
        if self._plan is not None:
            self.view.move(self._cursor_column())
        self._show_texts()

    def on_chart_view_resized(self, event: ChartView.Resized) -> None:
        """Draw for another size."""
        event.stop()
        self._draw()

    def on_chart_view_pointed(self, event: ChartView.Pointed) -> None:
        """Put the cursor where the mouse points."""
        from cifar_tui.charts.frame import LEFT

        event.stop()
        self._to_column(event.column - LEFT)

    def _look_changed(self) -> None:
        self._show_texts()
        self._draw()

    # ---- drawing ----

    def _draw_soon(self) -> None:
        """Draw now, or when enough time has gone by since the last time."""
        if self._timer is not None:
            return
        pause = min(LONGEST_SECONDS, max(REDRAW_SECONDS, self._cost / DRAWING_SHARE))
        wait = self._drawn_at + pause - time.monotonic()
        if wait <= 0:
            self._draw()
        else:
            self._timer = self.set_timer(wait, self._draw)

    @property
    def _is_whole(self) -> bool:
        """Whether it can be drawn: a pane that is taken down loses its children first."""
        return self.is_mounted and bool(self.query(ChartView))

    def _draw(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        if not self._is_whole or not self.view.is_on_screen:
            return  # drawn when it is shown
        size = self.view.size
        if not size.area:
            return
        if self._busy:
            self._again = True  # the newest request wins
            return
        self._drawn_at = time.monotonic()
        live = self._live
        if live is None or not self._has_points(live):
            self._plan = None
            self.view.show_note(self._empty_note())
            self._show_texts()
            return
        from cifar_tui.tui.widgets import chart_data

        link = self.link
        snap = chart_data.snapshot(live, self.shown, link.options, link.others)
        work = (snap, link.options, size.width, size.height, self._look())
        if self._cost < CHEAP_SECONDS:
            self._take(*_build(*work))
        else:
            self._busy = True
            self.run_worker(self._draw_aside(work), group="chart", exit_on_error=True)

    async def _draw_aside(self, work: tuple[Any, ...]) -> None:
        try:
            built = await asyncio.to_thread(_build, *work)
        finally:
            self._busy = False
        if not self._is_whole:
            return  # the app was left meanwhile
        self._take(*built)
        if self._again:
            self._again = False
            self._draw()

    def _take(self, plan: Plan, cells: Any, seconds: float) -> None:
        self._plan, self._cost = plan, seconds
        self.view.show(cells, self._cursor_column())
        self._show_texts()

    def _has_points(self, live: LiveRun) -> bool:
        return live.progress is not None or bool(live.last)

    def _look(self) -> dict[str, Any]:
        from cifar_tui.tui.theme import palette

        marker = self._marker()
        return {
            "marker": "hd" if marker == "block" else marker,
            "colour": not self.app.no_color,
            "palette": palette(self.app.theme),
            "dark": self.app.current_theme.dark,
        }

    def _marker(self) -> str:
        marker = self.link.options.marker
        if marker != "auto":
            return marker
        encoding = (getattr(sys.__stdout__, "encoding", None) or "utf-8").lower().replace("-", "")
        if encoding != "utf8":
            return "ascii"
        return "block" if os.environ.get("TERM") == "linux" else "braille"

    def _empty_note(self) -> list[str]:
        live = self._live
        if live is not None and live.is_live:
            doing = live.phase.text or live.phase.phase if live.phase is not None else "starting"
            return ["Waiting for the first step", safe_text(doing, 60)]
        return ["No curve yet", "space starts the recipe, 4 opens a run"]

    # ---- border texts ----

    def _show_texts(self) -> None:
        from cifar_tui.tui.widgets import chart_texts

        width = self.size.width if self.is_mounted else 0
        title = chart_texts.title(self.shown, self._plan, self._look())
        if self.link.cursor is not None and self._plan is not None:
            below = chart_texts.cursor(self.shown, self._plan, self.link.cursor, width)
        else:
            below = chart_texts.state(replace(self.link.options, marker=self._marker()), width)
        texts = (title.markup, below.markup)
        if texts != self._texts:
            self._texts = texts
            self.border_title, self.border_subtitle = title, below

    # ---- cursor ----

    def _columns(self) -> int:
        from cifar_tui.charts.frame import LEFT, RIGHT

        return self.view.size.width - LEFT - RIGHT

    def _cursor_column(self) -> int | None:
        """The column of the view that the cursor stands in, or None."""
        from cifar_tui.charts.frame import LEFT
        from cifar_tui.tui.widgets.chart_plan import column_of

        if self._plan is None or self.link.cursor is None:
            return None
        column = column_of(self._plan, self.link.cursor)
        return LEFT + column if column is not None and 0 <= column < self._columns() else None

    def _to_column(self, column: int) -> None:
        from cifar_tui.tui.widgets.chart_plan import step_of

        if self._plan is not None and self._plan.scale is not None:
            self.link.move(step_of(self._plan, min(max(column, 0), self._columns() - 1)))

    def copy_text(self) -> str:
        """The values at the cursor, else the newest, as text; empty without a curve."""
        from cifar_tui.tui.widgets import chart_texts

        if self._plan is None:
            return ""
        step = self.link.cursor if self.link.cursor is not None else math.inf
        return chart_texts.table(self.shown, self._plan, step)


def _build(snap: Any, options: Any, width: int, height: int, look: dict[str, Any]) -> tuple[Plan, Any, float]:
    """Plan and draw a chart; also how long it took. For any thread."""
    from cifar_tui.tui.widgets import chart_plan, chart_view

    start = time.perf_counter()
    plan = chart_plan.plan(snap, options, width, height, **look)
    cells = chart_view.draw(plan)
    return plan, cells, time.perf_counter() - start
