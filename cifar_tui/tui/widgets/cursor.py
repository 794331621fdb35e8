"""What all charts of an app share: how they are drawn, the cursor, and the other runs they show."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakKeyDictionary, WeakSet

from cifar_tui.tui.places import runs_folder
from cifar_tui.tui.widgets.chart_options import ChartOptions

if TYPE_CHECKING:
    from textual.app import App

    from cifar_tui.tui.live import LiveRun
    from cifar_tui.tui.settings import Settings
    from cifar_tui.tui.widgets.chart_data import Other

_SETTING_NAMES = {"pair": "chart_pair"}
_links: WeakKeyDictionary[App[Any], ChartLink] = WeakKeyDictionary()


class Chart(Protocol):
    """What the link tells the charts."""

    def options_changed(self) -> None:
        """They are drawn in another way."""

    def others_changed(self) -> None:
        """Other runs are shown."""

    def cursor_moved(self) -> None:
        """The cursor stands elsewhere, or is gone."""

    def run_worker(self, work: Any, *, group: str, exclusive: bool, exit_on_error: bool) -> Any:
        """As every widget does."""


class ChartLink:
    """Joins the charts of an app.

    Attributes:
        options: how they are drawn.
        cursor: step at which it stands, or None.
        overlays: marked runs.
        best: the best other run of the same model and dataset, or None.
    """

    def __init__(self, app: App[Any], settings: Settings | None = None) -> None:
        self.options = ChartOptions()
        self.cursor: float | None = None
        self.overlays: list[Other] = []
        self.best: Other | None = None
        self._app = app
        self._charts: WeakSet[Any] = WeakSet()
        self._settings: Settings | None = None
        self._best_key: tuple[str, ...] = ()
        self._marked: tuple[str, ...] = ()
        if settings is not None:
            self._recall(settings)

    @classmethod
    def of(cls, app: App[Any], settings: Settings | None = None) -> ChartLink:
        """The link of an app; made at the first call, with what the settings remember."""
        link = _links.get(app)
        if link is None:
            link = _links[app] = cls(app, settings)
        elif settings is not None and link._settings is None:
            link._recall(settings)
        return link

    @property
    def others(self) -> list[Other]:
        """The other runs to show, the ghost first."""
        return ([self.best] if self.best is not None else []) + self.overlays

    @property
    def charts(self) -> list[Any]:
        """The charts that are there."""
        return list(self._charts)

    def attach(self, chart: Chart) -> None:
        """A chart is there."""
        self._charts.add(chart)

    def detach(self, chart: Chart) -> None:
        """A chart is gone."""
        self._charts.discard(chart)

    def change(self, **changes: Any) -> None:
        """Draw all charts in another way, and remember it."""
        options = replace(self.options, **changes)
        if options == self.options:
            return
        self.options = options
        if self._settings is not None:
            self._settings.set(**{_SETTING_NAMES.get(name, name): value for name, value in changes.items()})
        self._tell(lambda chart: chart.options_changed())

    def move(self, step: float | None) -> None:
        """Put the cursor of all charts at a step, or take it away."""
        if step != self.cursor:
            self.cursor = step
            self._tell(lambda chart: chart.cursor_moved())

    def watch(self, live: LiveRun, chart: Chart) -> None:
        """Look for the best other run once the model and dataset of a run are known; in a thread."""
        config = live.config or {}
        key = (live.run_id, str(config.get("model", "")), str(config.get("dataset", "")))
        if key == self._best_key:
            return
        if key[1:] != self._best_key[1:]:
            self.best = None
        self._best_key = key
        if config:
            chart.run_worker(self._find_best(key), group="chart-best", exclusive=True, exit_on_error=False)

    def mark(self, ids: Sequence[str], chart: Chart) -> None:
        """Show marked runs over the charts; read in a thread."""
        if tuple(ids) == self._marked:
            return
        self._marked = tuple(ids)
        chart.run_worker(
            self._read_marked(self._marked), group="chart-marked", exclusive=True, exit_on_error=False
        )

    async def _find_best(self, key: tuple[str, ...]) -> None:
        from cifar_tui.tui.widgets import ghosts

        run_id, model, dataset = key
        found = await asyncio.to_thread(ghosts.best_of, runs_folder(self._app), model, dataset, run_id)
        if key == self._best_key and (found is not None or self.best is not None):
            self.best = found
            self._tell(lambda chart: chart.others_changed())

    async def _read_marked(self, ids: tuple[str, ...]) -> None:
        from cifar_tui.tui.widgets import ghosts

        found = await asyncio.to_thread(ghosts.marked, runs_folder(self._app), ids)
        if ids == self._marked:
            self.overlays = found
            self._tell(lambda chart: chart.others_changed())

    def _tell(self, what: Callable[[Chart], None]) -> None:
        for chart in self.charts:
            what(chart)

    def _recall(self, settings: Settings) -> None:
        self._settings = settings
        usual = ChartOptions()
        self.options = ChartOptions(
            log_x=settings.log_x,
            x_axis=settings.x_axis if settings.x_axis in {"step", "epoch", "time"} else usual.x_axis,
            smoothing=settings.smoothing,
            marker=settings.marker
            if settings.marker in {"auto", "braille", "block", "ascii"}
            else usual.marker,
            pair=settings.chart_pair if settings.chart_pair in {"main", "rates"} else usual.pair,
        )
