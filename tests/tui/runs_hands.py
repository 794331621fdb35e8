"""What a user does in the room of runs, by keys alone or by mouse."""

from __future__ import annotations

import re
from pathlib import Path

from cifar_tui.runs.directory import list_runs
from tests.tui.journey import DOWN, HOME, SLOW, Hands
from tests.tui.terminal import Terminal


class RunsHands(Hands):
    """Chooses, marks, compares, resumes, forks, renames, deletes and sorts runs.

    Args:
        terminal: with the app in it.
        runs: the folder of the runs.
        mouse: click on what can be clicked.
    """

    def __init__(self, terminal: Terminal, runs: Path, *, mouse: bool) -> None:
        super().__init__(terminal, mouse=mouse)
        self.runs = runs

    def go_to_run(self, name: str) -> None:
        """To the list of runs, and the cursor on one of them."""
        terminal = self.terminal
        if not self.has_frame("Runs"):
            self.room(4, "Runs")
            self.wait_focus("Runs")
        terminal.wait_until(lambda: self.row_of(name), f"{name} in the list", SLOW)
        self.wait_silent()  # a cursor that still moves is no place to act from
        if self.is_at(name):
            return
        if self.mouse:
            self.click(f" {name} ", rows=self.list_rows)
        else:
            terminal.press(HOME)
            self.wait_silent()
            if not self.is_at(name):
                self.press_until(DOWN, lambda: self.is_at(name))
        terminal.wait_until(lambda: self.is_at(name), f"the cursor on {name}")

    @property
    def list_rows(self) -> tuple[int, int]:
        """Rows of the screen that hold the list of runs, without its heading."""
        _left, _right, top, bottom = self.terminal.box("Runs")
        return top + 2, bottom

    def row_of(self, name: str) -> int | None:
        """Where a run stands in the list; None where it does not."""
        spot = self.spot(f" {name} ", self.list_rows, last=False) if self.has_frame("Runs") else None
        return None if spot is None else spot[1]

    def is_at(self, name: str) -> bool:
        """Whether a run is under the cursor: the pane below tells of it."""
        return self.has_frame("Run") and self.terminal.inside("Run").split()[:1] == [name]

    def ask(self, key: str, button: str) -> None:
        """Something of the run under the cursor: its key, or its button below the list."""
        _left, _right, top, bottom = self.terminal.box("Run")
        self.do(key, f" {button} ", rows=(top + 1, bottom))

    def compare_two(self) -> None:
        """Mark two runs; only the setting in which they differ is shown, with both values."""
        terminal = self.terminal
        for number, name in enumerate(("first", "second"), 1):
            self.mark(name)
            terminal.wait_for(f"{number} marked")
        if self.tabs:
            self.footer("v", "Compare")
        terminal.wait_for("Only what differs", SLOW)
        terminal.wait_for(r"learning_rate +1e-0?4 +0\.01\b|learning_rate +0\.0001 +0\.01\b", SLOW)
        assert "num_nodes" not in terminal.text
        if self.tabs:
            self.footer("v", "Compare")
            self.wait_focus("Runs")
        for name in ("first", "second"):
            self.mark(name)
        terminal.wait_until(lambda: "marked" not in terminal.text, "the marks to go")

    def mark(self, name: str) -> None:
        """Mark a run, or not: space, or a click at the left edge."""
        terminal = self.terminal
        self.go_to_run(name)
        before = self.is_marked(name)
        if self.mouse:
            row = self.row_of(name)
            assert row is not None
            terminal.click_at(terminal.box("Runs")[0] + 2, row)
        else:
            terminal.press(" ")
        terminal.wait_until(lambda: self.is_marked(name) != before, f"the mark of {name}")

    def is_marked(self, name: str) -> bool:
        """Whether the row of a run has a mark."""
        row = self.row_of(name)
        return row is not None and "◆" in self.terminal.row(row)

    def resume(self, name: str, stopped: int) -> None:
        """It trains here from where it stopped, until it is stopped again."""
        self.go_to_run(name)
        self.ask("r", "Resume")
        self.terminal.wait_for("● training", SLOW)
        self.terminal.wait_until(lambda: self.step() > stopped, "the step to go on", SLOW)
        self.footer("s", "Stop")
        self.terminal.wait_for("■ stopped", SLOW)

    def fork(self, name: str) -> str:
        """A new run that begins with the weights of another; returns its name."""
        terminal, before = self.terminal, {run.id for run in list_runs(self.runs)}
        self.go_to_run(name)
        self.ask("f", "Fork")
        terminal.wait_for(f"Fork {name}")
        self.do("n", "From its newest checkpoint")
        terminal.wait_for("What does it do differently")
        terminal.press("learning_rate=0.02\r")
        terminal.wait_for(rf"begins at step \d+ of {name}", SLOW)
        (new,) = {run.id for run in list_runs(self.runs)} - before
        terminal.wait_until(lambda: self.is_at(new), f"the cursor on {new}", SLOW)
        return new

    def rename(self, name: str, new: str) -> None:
        """Another name for the run."""
        terminal = self.terminal
        self.go_to_run(name)
        self.ask("n", "Rename")
        terminal.wait_for(f"Rename {name}")
        terminal.press("\x15")  # delete to the start; on its own, as letters that follow at once overtake it
        terminal.wait_for('"" is no name')
        terminal.press(f"{new}\r")
        terminal.wait_until(lambda: self.is_at(new), f"the cursor on {new}", SLOW)
        assert not (self.runs / name).exists()

    def delete(self, name: str) -> None:
        """It asks, and the run is gone."""
        terminal = self.terminal
        self.go_to_run(name)
        self.ask("d", "Delete")
        terminal.wait_for(f"Delete {name}\\?")
        self.do("d", "Delete it")
        terminal.wait_for(f"{name} deleted", SLOW)
        terminal.wait_until(lambda: self.row_of(name) is None, f"{name} to go from the list", SLOW)

    def sort_by_name(self) -> None:
        """Another order of the list."""
        if self.mouse:
            top = self.terminal.box("Runs")[2]
            self.click("run ", rows=(top + 1, top + 2))
        else:
            self.press_until("o", lambda: ", by run up" in self.terminal.text)
        self.terminal.wait_for(", by run up")

    def listed(self) -> list[str]:
        """The runs as they stand in the list."""
        rows = range(*self.list_rows)
        found = (re.search(r"│ +\S ([\w-]+) ", self.terminal.row(y)) for y in rows)
        return [match[1] for match in found if match]
