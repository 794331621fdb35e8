"""The rows of the list of runs: which are shown, in what order, and how they are drawn.

Only the rows in sight are drawn, so that ten thousand runs cost nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.segment import Segment
from rich.style import Style
from textual.events import Resize
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from cifar_tui.tui.widgets.picture_views import colour, padded
from cifar_tui.tui.widgets.runs_columns import BY_AGE, COLUMNS, SIGNS, TEXTS, Column, haystack, natural

if TYPE_CHECKING:
    from cifar_tui.runs.summary import RunSummary

HEADER_ROWS = 1
EDGE = 4  # cells of the mark and of the sign of the state
MOST_MARKED = 6


class RunsList(ScrollView):
    """Runs, one a row, with a cursor and marks."""

    class Moved(Message):
        """The cursor is on another run, or None, or the run under it changed."""

        def __init__(self, run: RunSummary | None) -> None:
            super().__init__()
            self.run = run

    class Changed(Message):
        """Order or filter changed."""

    class Marked(Message):
        """Other runs are marked; their ids, in the order of marking."""

        def __init__(self, ids: tuple[str, ...]) -> None:
            super().__init__()
            self.ids = ids

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._all: list[RunSummary] = []  # in the order of the column
        self._hay: list[str] = []  # of each run in `_all`; empty until something is looked for
        self._shown: list[RunSummary] = []
        self._cursor = 0
        self._filter = ""
        self._sort = BY_AGE
        self._down = True
        self._marks: list[str] = []
        self._remembered: list[str] = []  # marks of the last time, until there are runs
        self.open_run = ""

    def on_mount(self) -> None:
        """Sort and mark as the last time."""
        settings = getattr(self.app, "settings", None)
        name = getattr(settings, "runs_sort", "")
        self._remembered = getattr(settings, "runs_marks", "").split()
        for place, column in enumerate(COLUMNS):
            if column.name == name.removeprefix("-"):
                self.sort_by(place, name.startswith("-"))

    # ---- content ----

    def show(self, runs: Sequence[RunSummary]) -> None:
        """Show these runs; the cursor stays on the run it was on."""
        self._all = list(runs)
        self._order()
        known = {run.run for run in runs}
        wanted = self._marks or self._remembered
        if runs:
            self._remembered = []
        if wanted != self._marks or any(mark not in known for mark in wanted):
            self._mark([mark for mark in wanted if mark in known][:MOST_MARKED])

    def update_runs(self, runs: Sequence[RunSummary]) -> None:
        """Show what became of some of the runs, each in its row."""
        changed = {run.run: run for run in runs}
        if not any(changed.get(run.run, run) != run for run in self._all):
            return
        self._all = [changed.get(run.run, run) for run in self._all]
        self._order()

    @property
    def current(self) -> RunSummary | None:
        """The run under the cursor."""
        return self._shown[self._cursor] if self._cursor < len(self._shown) else None

    @property
    def shown(self) -> list[RunSummary]:
        """The runs that pass the filter, in order."""
        return list(self._shown)

    @property
    def total(self) -> int:
        """How many runs there are, shown or not."""
        return len(self._all)

    @property
    def marks(self) -> tuple[str, ...]:
        """The ids of the marked runs."""
        return tuple(self._marks)

    @property
    def order(self) -> tuple[str, bool]:
        """Name of the column that sorts, and whether the greatest comes first."""
        return COLUMNS[self._sort].name, self._down

    def put_cursor(self, id: str) -> None:
        """Put the cursor on a run, where it is shown."""
        place = next((place for place, run in enumerate(self._shown) if run.run == id), None)
        if place is not None:
            self._go(place)

    def filter(self, words: str) -> None:
        """Show only runs that hold all the words in their id, title, state, model or dataset."""
        self._filter = words
        self._remember(runs_filter=words)
        self._choose()

    def sort_by(self, column: int, down: bool | None = None) -> None:
        """Sort by a column; numbers and ages begin with the greatest, texts with a."""
        text = COLUMNS[column].name in TEXTS
        self._sort, self._down = column, (not text) if down is None else down
        self._remember(runs_sort="-" * self._down + COLUMNS[column].name)
        self._order()

    def _remember(self, **changes: str) -> None:
        settings = getattr(self.app, "settings", None)
        if settings is not None:
            settings.set(**changes)

    def _order(self) -> None:
        self._all.sort(key=lambda run: natural(run.run))
        if self._sort or self._down:
            self._all.sort(key=COLUMNS[self._sort].key, reverse=self._down)
        self._hay = []
        self._choose()

    def _choose(self) -> None:
        words = self._filter.casefold().split()
        kept = self.current.run if self.current is not None else None
        if words:
            self._hay = self._hay or [haystack(run) for run in self._all]
            pairs = zip(self._all, self._hay, strict=True)
            self._shown = [run for run, hay in pairs if all(word in hay for word in words)]
        else:
            self._shown = self._all
        self._cursor = next((place for place, run in enumerate(self._shown) if run.run == kept), 0)
        self._lay_out()
        self._follow()
        self.refresh()
        self.refresh_bindings()
        self.post_message(self.Changed())
        self.post_message(self.Moved(self.current))

    def _mark(self, ids: list[str]) -> None:
        self._marks = ids
        if not self._remembered:
            self._remember(runs_marks=" ".join(ids))
        self.refresh()
        self.post_message(self.Marked(tuple(ids)))

    @property
    def _width(self) -> int:
        return self.scrollable_content_region.width

    def _lay_out(self) -> None:
        self.virtual_size = Size(1, len(self._shown) + HEADER_ROWS)

    def _follow(self) -> None:
        room = max(1, self.size.height - HEADER_ROWS)
        top = self.scroll_offset.y
        if self._cursor < top:
            top = self._cursor
        elif self._cursor >= top + room:
            top = self._cursor - room + 1
        if top != self.scroll_offset.y:
            self.scroll_to(y=top, animate=False, force=True)

    def on_resize(self, _event: Resize) -> None:
        """Other columns may fit."""
        self._lay_out()
        self._follow()

    def _go(self, place: int) -> None:
        self._cursor = max(0, min(place, len(self._shown) - 1))
        self._follow()
        self.refresh()
        self.refresh_bindings()
        self.post_message(self.Moved(self.current))

    def _toggle(self, place: int) -> None:
        if place >= len(self._shown):  # the filter hides every run
            return
        id = self._shown[place].run
        if id in self._marks:
            self._mark([mark for mark in self._marks if mark != id])
        elif len(self._marks) < MOST_MARKED:
            self._mark([*self._marks, id])
        else:
            self.app.notify(f"at most {MOST_MARKED} runs can be marked; u takes all marks away", markup=False)

    # ---- drawing ----

    def _columns(self) -> list[tuple[int, Column, int]]:
        """Place in `COLUMNS`, column and width of those that fit."""
        width = self._width - EDGE
        shown = [(place, column) for place, column in enumerate(COLUMNS) if width >= column.least]
        fixed = sum(column.width + 2 for _, column in shown if column.width)
        rest = max(6, min(48, width - fixed - 1))
        return [(place, column, column.width or rest) for place, column in shown]

    def render_line(self, y: int) -> Strip:
        """One row of cells of what is seen."""
        base, width = self.rich_style, self._width
        if y == 0:
            return self._heading(base).adjust_cell_length(width, base)
        place = y - HEADER_ROWS + self.scroll_offset.y
        if place >= len(self._shown):
            return Strip.blank(width, base)
        run = self._shown[place]
        here = place == self._cursor
        back = Style(bgcolor=colour(self, "field")) if here else Style()
        muted, ink = Style(color=colour(self, "muted")), Style(color=colour(self, "foreground"))
        sign, tone = SIGNS.get(run.state, ("?", "muted"))
        mark = self._marks.index(run.run) if run.run in self._marks else None
        segments = [
            Segment("  " if mark is None else "◆ ", base + self._mark_style(mark) + back),
            Segment(f"{sign} ", base + Style(color=colour(self, tone)) + back),
        ]
        for _, column, room in self._columns():
            style = base + (ink if column.name in {"run", "best test"} else muted) + back
            if column.name == "state":
                style += Style(color=colour(self, tone))
            if column.name == "run" and (here or run.run == self.open_run):
                style += Style(bold=True, color=colour(self, "accent") if here and self.has_focus else None)
            if column.name == "best test" and run.best_test_accuracy is not None:
                style += Style(bold=True)
            segments.append(Segment(padded(column.text(run), room, column.right), style))
            segments.append(Segment("  ", base + back))
        return Strip(segments).adjust_cell_length(width, base + back)

    def _mark_style(self, mark: int | None) -> Style:
        if mark is None:
            return Style()
        from cifar_tui.charts import role_colour

        red, green, blue = role_colour(f"other:{mark}", "default", self.app.current_theme.dark)
        return Style(color=f"#{red:02x}{green:02x}{blue:02x}", bold=True)

    def _heading(self, base: Style) -> Strip:
        muted = base + Style(color=colour(self, "muted"))
        accent = base + Style(color=colour(self, "accent"), bold=True)
        segments = [Segment(" " * EDGE, base)]
        for place, column, room in self._columns():
            name = column.name
            if place == self._sort:
                name += " ▾" if self._down else " ▴"
            style = accent if place == self._sort else muted
            segments += [Segment(padded(name, room, column.right), style), Segment("  ", base)]
        return Strip(segments)
