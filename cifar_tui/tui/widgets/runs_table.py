"""The list of runs: a table that draws only the rows in sight, so that ten thousand runs cost nothing."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Click, Resize
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from cifar_tui.tui.widgets.picture_views import colour, padded

if TYPE_CHECKING:
    from cifar_tui.runs.report import RunSummary

SIGNS = {
    "running": ("▶", "good"),
    "done": ("✓", "good"),
    "stopped": ("■", "muted"),
    "interrupted": ("!", "warning"),
    "diverged": ("✕", "bad"),
    "failed": ("✕", "bad"),
    "damaged": ("✕", "bad"),
    "new": ("○", "muted"),
}
HEADER_ROWS = 1


class Column(NamedTuple):
    """A column of the table.

    Attributes:
        name: its heading.
        width: cells; 0 takes what is left.
        text: what stands in it.
        key: what it is sorted by.
        right: whether it is right-aligned.
        least: columns that the whole table needs before this one is shown.
    """

    name: str
    width: int
    text: Callable[[RunSummary], str]
    key: Callable[[RunSummary], Any]
    right: bool = False
    least: int = 0


def percent(share: float | None) -> str:
    """A share in percent, or a dash."""
    return "-" if share is None else f"{share:.1%}"


def age(created: str, now: float) -> str:
    """How long ago, such as ``5 min``; "" where it is not known."""
    try:
        seconds = max(0.0, now - datetime.fromisoformat(created).timestamp())
    except ValueError:
        return ""
    for limit, size, unit in ((90, 1, "s"), (5400, 60, "min"), (129_600, 3600, "h"), (1e10, 86_400, "d")):
        if seconds < limit:
            return f"{int(seconds // size)} {unit}"
    return ""


def progress(run: RunSummary) -> str:
    """Steps done of the target."""
    return f"{run.step:,} / {run.target:>7,}" if run.target else f"{run.step:,}"


def natural(name: str) -> list[tuple[int, int, str]]:
    """A key that puts ``cnn-10`` after ``cnn-9``."""
    parts = re.split(r"(\d+)", name.casefold())
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts]


COLUMNS: tuple[Column, ...] = (
    Column("run", 0, lambda run: run.run, lambda run: natural(run.run)),
    Column("state", 11, lambda run: run.state, lambda run: run.state, least=70),
    Column("step / target", 18, progress, lambda run: run.step, right=True, least=56),
    Column("model", 10, lambda run: run.model, lambda run: run.model, least=84),
    Column("dataset", 10, lambda run: run.dataset, lambda run: run.dataset, least=96),
    Column(
        "best test",
        9,
        lambda run: percent(run.best_test_accuracy),
        lambda run: -1.0 if run.best_test_accuracy is None else run.best_test_accuracy,
        right=True,
    ),
    Column("age", 7, lambda run: age(run.created, time.time()), lambda run: run.created, right=True),
)
_AGE = len(COLUMNS) - 1


class RunsTable(ScrollView, can_focus=True):
    """Runs, one a row; sorted by any column, filtered by words."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Open", id="runs.open", tooltip="Show this run in the dashboard"),
        Binding("r", "resume", "Resume", id="runs.resume", tooltip="Go on with this run"),
        Binding("d", "delete", "Delete", id="runs.delete", tooltip="Delete this run; asks first"),
        Binding("delete", "delete", "Delete", id="runs.delete_key", show=False),
        Binding("o", "sort", "Sort", id="runs.sort", tooltip="Sort by the next column"),
        Binding("O", "reverse", "Reverse", id="runs.reverse", show=False, tooltip="The other way round"),
        Binding("up,k", "move(-1)", "Up", id="runs.up", show=False),
        Binding("down,j", "move(1)", "Down", id="runs.down", show=False),
        Binding("pageup", "page(-1)", "Page up", id="runs.page_up", show=False),
        Binding("pagedown", "page(1)", "Page down", id="runs.page_down", show=False),
        Binding("home", "jump(0)", "First", id="runs.first", show=False),
        Binding("end", "jump(-1)", "Last", id="runs.last", show=False),
    ]
    HELP_TEXT = (
        "Every run in the runs folder. Enter shows one in the dashboard, r goes on with it from its newest "
        "checkpoint. A click on a heading sorts by it, a second one turns the order round."
    )

    class Moved(Message):
        """The cursor is on another run, or None."""

        def __init__(self, run: RunSummary | None) -> None:
            super().__init__()
            self.run = run

    class Asked(Message):
        """Something is asked of the run under the cursor: "open", "resume" or "delete"."""

        def __init__(self, run: RunSummary, what: str) -> None:
            super().__init__()
            self.run, self.what = run, what

    class Changed(Message):
        """Order or filter changed."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._all: list[RunSummary] = []
        self._shown: list[RunSummary] = []
        self._cursor = 0
        self._filter = ""
        self._sort = _AGE
        self._down = True
        self.open_run = ""

    # ---- content ----

    def show(self, runs: list[RunSummary]) -> None:
        """Show these runs; the cursor stays on the run it was on."""
        self._all = runs
        self._choose()

    @property
    def current(self) -> RunSummary | None:
        """The run under the cursor."""
        return self._shown[self._cursor] if self._cursor < len(self._shown) else None

    @property
    def shown(self) -> list[RunSummary]:
        """The runs that pass the filter, in order."""
        return list(self._shown)

    @property
    def order(self) -> tuple[str, bool]:
        """Name of the column that sorts, and whether the greatest comes first."""
        return COLUMNS[self._sort].name, self._down

    def filter(self, words: str) -> None:
        """Show only runs that hold all the words in their id, title, state, model or dataset."""
        self._filter = words
        self._choose()

    def sort_by(self, column: int, down: bool | None = None) -> None:
        """Sort by a column; numbers and ages begin with the greatest, texts with a."""
        text = COLUMNS[column].name in {"run", "state", "model", "dataset"}
        self._sort, self._down = column, (not text) if down is None else down
        self._choose()

    def _choose(self) -> None:
        words = self._filter.casefold().split()
        kept = self.current.run if self.current is not None else None
        found = [run for run in self._all if all(word in _haystack(run) for word in words)]
        found.sort(key=lambda run: natural(run.run))
        found.sort(key=COLUMNS[self._sort].key, reverse=self._down)
        self._shown = found
        self._cursor = next((place for place, run in enumerate(found) if run.run == kept), 0)
        self._lay_out()
        self._follow()
        self.refresh()
        self.refresh_bindings()
        self.post_message(self.Changed())
        self.post_message(self.Moved(self.current))

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

    # ---- drawing ----

    def _columns(self) -> list[tuple[int, Column, int]]:
        """Place in `COLUMNS`, column and width of those that fit."""
        width = self._width - 2
        shown = [(place, column) for place, column in enumerate(COLUMNS) if width >= column.least]
        fixed = sum(column.width + 2 for _, column in shown if column.width)
        rest = max(6, min(48, width - fixed))
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
        segments = [Segment(f"{sign} ", base + Style(color=colour(self, tone)) + back)]
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

    def _heading(self, base: Style) -> Strip:
        muted = base + Style(color=colour(self, "muted"))
        accent = base + Style(color=colour(self, "accent"), bold=True)
        segments = [Segment("  ", base)]
        for place, column, room in self._columns():
            name = column.name
            if place == self._sort:
                name += " ▾" if self._down else " ▴"
            style = accent if place == self._sort else muted
            segments += [Segment(padded(name, room, column.right), style), Segment("  ", base)]
        return Strip(segments)

    # ---- keys and mouse ----

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Most need a run."""
        run = self.current
        if action in {"open", "delete", "move", "page", "jump"}:
            return run is not None
        if action == "resume":
            return run is not None and run.state not in {"running", "damaged"}
        if action in {"sort", "reverse"}:
            return len(self._all) > 1
        return super().check_action(action, parameters)

    def _go(self, place: int) -> None:
        self._cursor = max(0, min(place, len(self._shown) - 1))
        self._follow()
        self.refresh()
        self.refresh_bindings()
        self.post_message(self.Moved(self.current))

    def _ask(self, what: str) -> None:
        if self.current is not None:
            self.post_message(self.Asked(self.current, what))

    def action_open(self) -> None:
        """Show the run."""
        self._ask("open")

    def action_resume(self) -> None:
        """Go on with the run."""
        self._ask("resume")

    def action_delete(self) -> None:
        """Ask whether to delete the run."""
        self._ask("delete")

    def action_sort(self) -> None:
        """Sort by the next column in sight."""
        places = [place for place, _, _ in self._columns()]
        here = places.index(self._sort) if self._sort in places else -1
        self.sort_by(places[(here + 1) % len(places)])

    def action_reverse(self) -> None:
        """The other way round."""
        self.sort_by(self._sort, not self._down)

    def action_move(self, by: int) -> None:
        """Up or down."""
        self._go(self._cursor + by)

    def action_page(self, by: int) -> None:
        """A screen up or down."""
        self._go(self._cursor + by * max(1, self.size.height - 2))

    def action_jump(self, place: int) -> None:
        """To the first or the last."""
        self._go(len(self._shown) - 1 if place < 0 else place)

    def on_click(self, event: Click) -> None:
        """A click on a heading sorts, on a run chooses it; a double click opens it."""
        spot = event.get_content_offset(self)
        if spot is None:
            return
        if spot.y == 0:
            left = 2
            for place, _, room in self._columns():
                if left <= spot.x < left + room + 2:
                    self.sort_by(place, not self._down if place == self._sort else None)
                    return
                left += room + 2
            return
        place = spot.y - HEADER_ROWS + self.scroll_offset.y
        if place < len(self._shown):
            self._go(place)
            if event.chain > 1:
                self.action_open()


def _haystack(run: RunSummary) -> str:
    return f"{run.run} {run.title} {run.state} {run.model} {run.dataset}".casefold()
