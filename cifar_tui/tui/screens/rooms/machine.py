"""Room 5: what happened in the open run, and what the machine does."""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rich.style import Style
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.events import Resize, Show
from textual.message import Message
from textual.widgets import RichLog, Static

from cifar_tui.errors import CifarTuiError
from cifar_tui.text import safe_text
from cifar_tui.tui.machine_data import LogLine, Sample, Sampler, clock, log_lines
from cifar_tui.tui.messages import CopyRequested
from cifar_tui.tui.places import runs_folder
from cifar_tui.tui.screens.rooms import machine_text
from cifar_tui.tui.widgets.picture_views import colour

if TYPE_CHECKING:
    from cifar_tui.tui.live import LiveRun

HISTORY = 120
PANES = (("CPU", "machine-cpu"), ("Memory", "machine-memory"), ("GPU", "machine-gpu"), ("Run", "machine-run"))
_SIGNS = {"info": ("•", "muted"), "warning": ("▲", "warning"), "error": ("✕", "bad")}
_SHOWS = ("all", "warnings and errors")
_HEAD = 20  # columns of a line's time, sign and source


def _counted(count: int, name: str) -> str:
    return f"{count} {name}" if count == 1 else f"{count} {name}s"


class RoomMachine(Vertical):
    """Processor, memory and device above the log of the run."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("w", "warnings", "Warnings", id="log.warnings", tooltip="Only warnings and errors, or all"),
        Binding("y", "copy", "Copy", id="log.copy", tooltip="Copy the log as text"),
    ]
    HELP_TEXT = (
        "The log of the open run: starts, evaluations, checkpoints, warnings, the end. Above it what the "
        "machine does, measured once a second while this room is in sight."
    )

    class _Sampled(Message):
        bubble = False

        def __init__(self, sample: Sample) -> None:
            super().__init__()
            self.sample = sample

    class _Logged(Message):
        bubble = False

        def __init__(self, run: str, lines: list[LogLine]) -> None:
            super().__init__()
            self.run, self.lines = run, lines

    def __init__(self, *, runs_dir: Path | None = None, id: str | None = None) -> None:
        super().__init__(id=id, classes="room")
        self._runs_dir = runs_dir
        self._sampler: Sampler | None = None
        self._samples: deque[Sample] = deque(maxlen=HISTORY)
        self._lines: list[LogLine] = []
        self._written: list[LogLine] = []
        self._log_width = 0
        self._run = ""
        self._live: LiveRun | None = None
        self._show = 0
        self._phase = ""
        self._measured = 0.0

    def compose(self) -> ComposeResult:
        """Gauges over the log."""
        with Horizontal(id="machine-top"):
            for title, name in PANES:
                pane = Static(id=name, classes="pane")
                pane.border_title = title
                yield pane
        log = RichLog(id="machine-log", classes="pane", max_lines=2000, wrap=True, markup=False, min_width=40)
        log.border_title = "Log"
        yield log

    def on_mount(self) -> None:
        """Measure while the room is in sight."""
        self.query_one("#machine-gpu").display = False
        self.set_interval(1.0, self._measure)
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self._write_log(again=True))
        self._measure()
        self._paint_run()
        self._write_log()

    def focus_first(self) -> None:
        """Focus the log."""
        self.query_one("#machine-log").focus()

    # ---- for the app ----

    def show_live(self, live: LiveRun, kinds: frozenset[str]) -> None:
        """Follow the open run."""
        self._live = live
        if live.run_id != self._run:
            self._run, self._lines = live.run_id, []
            self._write_log()
        if kinds & {"run_started", "evaluation", "checkpoint", "note", "run_ended", "status"}:
            self._read_log()
        phase = f"{live.phase.phase} {live.phase.text}" if live.phase is not None else ""
        if phase != self._phase or kinds - {"progress", "phase"}:
            self._phase = phase
            self._paint_run()

    # ---- threads ----

    def on_show(self, _event: Show) -> None:
        """Measure at once."""
        self._measure()

    def _measure(self) -> None:
        now = time.monotonic()
        if (not self.is_on_screen and self._samples) or now - self._measured < 0.5:
            return
        self._measured = now
        if self._sampler is None:
            self._sampler = Sampler(self._runs_dir or runs_folder(self.app))
        sampler = self._sampler
        self.run_worker(
            lambda: self.post_message(self._Sampled(sampler.take())),
            thread=True,
            exclusive=True,
            group="machine",
            exit_on_error=False,
        )

    def _read_log(self) -> None:
        if not self._run:
            notes = list(self._live.notes) if self._live is not None else []
            self._lines = log_lines(notes)
            self._write_log()
            return
        folder, run = self._runs_dir or runs_folder(self.app), self._run
        self.run_worker(
            lambda: self._read(folder, run),
            thread=True,
            exclusive=True,
            group="machine-log",
            exit_on_error=False,
        )

    def _read(self, folder: Path, run: str) -> None:
        """In a thread."""
        from cifar_tui.runs.reader import read_events

        try:
            found = read_events(folder / run / "events.jsonl", progress_limit=1).events
            self.post_message(self._Logged(run, log_lines(found)))
        except CifarTuiError as error:
            self.post_message(self._Logged(run, [LogLine(0.0, "error", "log", error.message)]))

    def on_room_machine__sampled(self, message: _Sampled) -> None:
        """A second went by."""
        message.stop()
        self._samples.append(message.sample)
        self._paint_machine()

    def on_room_machine__logged(self, message: _Logged) -> None:
        """The log was read."""
        message.stop()
        if message.run == self._run:
            self._lines = message.lines
            self._write_log()

    # ---- painting ----

    def _chosen(self) -> list[LogLine]:
        if self._show == 0:
            return self._lines
        return [line for line in self._lines if line.level != "info"]

    def _write_log(self, again: bool = False) -> None:
        log = self.query_one("#machine-log", RichLog)
        lines = self._chosen()
        known, width = self._written, self._width_of_log()
        if again or width != self._log_width or lines[: len(known)] != known or not known:
            log.clear()
            known = []
        for line in lines[len(known) :]:
            log.write(self._text(line), width=width)
        if not lines:
            log.write(self._empty(), width=width)
        self._written, self._log_width = list(lines), width
        warnings = sum(line.level == "warning" for line in self._lines)
        errors = sum(line.level == "error" for line in self._lines)
        log.border_title = Content(f"Log, {safe_text(self._run, 40)}" if self._run else "Log")
        log.border_subtitle = Content(
            f"{_SHOWS[self._show]}: {len(lines)}   "
            f"{_counted(warnings, 'warning')}, {_counted(errors, 'error')}"
        )

    def _width_of_log(self) -> int:
        return max(2 * _HEAD, self.query_one("#machine-log").scrollable_content_region.width)

    def _empty(self) -> Text:
        muted, accent = Style(color=colour(self, "muted")), Style(color=colour(self, "accent"), bold=True)
        if self._show:
            return Text.assemble(("No warnings.  ", muted), ("w", accent), " all lines")
        if self._run:
            return Text.assemble(("Nothing was recorded yet.", muted))
        return Text.assemble(
            ("No run is open.  ", muted), ("1", accent), " start one   ", ("4", accent), " open one"
        )

    def _text(self, line: LogLine) -> Text:
        sign, tone = _SIGNS.get(line.level, ("•", "muted"))
        muted = Style(color=colour(self, "muted"))
        style = Style(color=colour(self, "foreground" if line.level == "info" else tone))
        body = Text(safe_text(line.text, 400), style).wrap(self.app.console, self._width_of_log() - _HEAD)
        return Text.assemble(
            (f"{clock(line.time)} ", muted),
            (f"{sign} ", Style(color=colour(self, tone))),
            (f"{line.source:<9}", muted),
            Text("\n" + " " * _HEAD).join(body),
        )

    def _paint_machine(self) -> None:
        samples = list(self._samples)
        for name, build in (("#machine-cpu", machine_text.cpu), ("#machine-memory", machine_text.memory)):
            pane = self.query_one(name, Static)
            pane.update(build(samples, max(16, pane.content_size.width)))
        card = self.query_one("#machine-gpu", Static)
        card.display = samples[-1].gpu is not None
        if card.display:
            card.update(machine_text.gpu(samples, max(16, card.content_size.width)))
        self.set_class(card.display, "-gpu")

    def _paint_run(self) -> None:
        pane = self.query_one("#machine-run", Static)
        pane.update(machine_text.run(self._live, self._phase, max(16, pane.content_size.width)))

    # ---- keys ----

    def action_warnings(self) -> None:
        """Only warnings and errors, or all."""
        self._show = 1 - self._show
        self._write_log(again=True)

    def action_copy(self) -> None:
        """The log as text."""
        lines = [
            f"{clock(line.time)} {line.level} {line.source} {safe_text(line.text)}" for line in self._chosen()
        ]
        if lines:
            self.post_message(CopyRequested("\n".join(lines) + "\n", "log"))
        else:
            self.app.notify("the log is empty", markup=False)

    def on_resize(self, event: Resize) -> None:
        """Narrow screens have no room for the box of the run."""
        self.set_class(event.size.width < 100, "-narrow")
        self.set_class(event.size.width < 150, "-medium")
        if self._samples:
            self.call_after_refresh(self._paint_machine)
        self.call_after_refresh(self._paint_run)
        self.call_after_refresh(self._write_log)
