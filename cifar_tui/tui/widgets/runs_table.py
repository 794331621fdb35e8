"""The list of runs with its keys and what the mouse does in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.events import Click
from textual.message import Message

from cifar_tui.runs.liveness import LIVE
from cifar_tui.tui.widgets.runs_columns import COLUMNS, SIGNS, age, natural, percent
from cifar_tui.tui.widgets.runs_list import EDGE, HEADER_ROWS, RunsList

if TYPE_CHECKING:
    from cifar_tui.runs.summary import RunSummary


class RunsTable(RunsList, can_focus=True):
    """Runs, one a row; sorted by any column, filtered by words, marked for a comparison."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "ask('open')", "Open", id="runs.open", tooltip="Show this run in the dashboard"),
        Binding("enter", "ask('watch')", "Watch", id="runs.watch", tooltip="Watch this run as it trains"),
        Binding("space", "mark", "Mark", id="runs.mark", tooltip="Mark this run for the comparison, or not"),
        Binding("p", "ask('pause')", "Pause", id="runs.pause", tooltip="Pause this run's training"),
        Binding("p", "ask('unpause')", "Go on", id="runs.unpause", tooltip="Let this run's training go on"),
        Binding("s", "ask('stop')", "Stop", id="runs.stop", tooltip="Stop this run's training and save"),
        Binding("r", "ask('resume')", "Resume", id="runs.resume", tooltip="Go on with this run"),
        Binding(
            "x",
            "ask('extend')",
            "Extend",
            id="runs.extend",
            show=False,
            tooltip="Train it for more steps",
        ),
        Binding(
            "f",
            "ask('fork')",
            "Fork",
            id="runs.fork",
            show=False,
            tooltip="A new run from its weights",
        ),
        Binding("o", "sort", "Sort", id="runs.sort", show=False, tooltip="Sort by the next column"),
        Binding("O", "reverse", "Reverse", id="runs.reverse", show=False, tooltip="The other way round"),
        Binding("t", "ask('report')", "Report", id="runs.report", show=False, tooltip="Open its report"),
        Binding("n", "ask('rename')", "Rename", id="runs.rename", show=False, tooltip="Give it another name"),
        Binding(
            "d",
            "ask('delete')",
            "Delete",
            id="runs.delete",
            show=False,
            tooltip="Delete it; asks first",
        ),
        Binding("delete", "ask('delete')", "Delete", id="runs.delete_key", show=False),
        Binding("u", "unmark", "Unmark all", id="runs.unmark", show=False, tooltip="Take all marks away"),
        Binding("up,k", "move(-1)", "Up", id="runs.up", show=False),
        Binding("down,j", "move(1)", "Down", id="runs.down", show=False),
        Binding("pageup", "page(-1)", "Page up", id="runs.page_up", show=False),
        Binding("pagedown", "page(1)", "Page down", id="runs.page_down", show=False),
        Binding("home", "jump(0)", "First", id="runs.first", show=False),
        Binding("end", "jump(-1)", "Last", id="runs.last", show=False),
    ]
    HELP_TEXT = (
        "Every run in the runs folder, those in training too, whichever process trains them. Enter shows one "
        "in the dashboard, or watches it while it trains; p and s pause and stop it. Space marks runs for "
        "the comparison. A click on a heading sorts by it, a second one turns the order round; a click at "
        "the left edge marks."
    )

    class Asked(Message):
        """Something is asked of a run: "open", "watch", "pause", "delete" and so on."""

        def __init__(self, run: RunSummary, what: str) -> None:
            super().__init__()
            self.run, self.what = run, what

    def can(self, what: str) -> bool:
        """Whether something can be asked of the run under the cursor."""
        run = self.current
        if run is None:
            return False
        live = run.state in LIVE
        if what in {"watch", "stop"}:
            return live
        if what in {"pause", "unpause"}:
            return live and (run.state == "paused") == (what == "unpause")
        if what == "open":
            return not live
        if what == "resume":
            return not live and run.state != "damaged" and not 0 < run.target <= run.step
        if what == "extend":
            fit = run.checkpoints > 0 if run.state == "new" else run.state not in {"damaged", "diverged"}
            return not live and fit
        if what == "fork":
            return run.state != "damaged" and run.checkpoints > 0
        if what in {"rename", "delete"}:
            return not live
        return run.state != "damaged"

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Most need a run."""
        if action == "ask":
            return self.can(str(parameters[0]) if parameters else "")
        if action in {"mark", "move", "page", "jump"}:
            return self.current is not None
        if action == "unmark":
            return bool(self._marks)
        if action in {"sort", "reverse"}:
            return len(self._all) > 1
        return super().check_action(action, parameters)

    def action_ask(self, what: str) -> None:
        """Ask something of the run under the cursor."""
        if self.current is not None and self.can(what):
            self.post_message(self.Asked(self.current, what))

    def action_mark(self) -> None:
        """Mark the run, or not, and go to the next one."""
        self._toggle(self._cursor)
        self._go(self._cursor + 1)

    def action_unmark(self) -> None:
        """Take all marks away."""
        self._mark([])

    def action_sort(self) -> None:
        """Sort by the next column in sight."""
        places = [place for place, _, _ in self._columns()]
        if not places:  # the terminal is too narrow for any
            return
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
            left = EDGE
            for place, _, room in self._columns():
                if left <= spot.x < left + room + 2:
                    self.sort_by(place, not self._down if place == self._sort else None)
                    return
                left += room + 2
            return
        place = spot.y - HEADER_ROWS + self.scroll_offset.y
        if place < len(self._shown):
            self._go(place)
            if spot.x < 2:
                self._toggle(place)
            elif event.chain > 1:
                self.action_ask("open")
                self.action_ask("watch")


__all__ = ["COLUMNS", "SIGNS", "RunsTable", "age", "natural", "percent"]
