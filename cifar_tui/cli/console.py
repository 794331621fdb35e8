"""How a training looks while it runs: on a terminal, in a log, or as JSON. Views fold the same events."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
import time
from dataclasses import dataclass

from cifar_tui import events
from cifar_tui.cli import common
from cifar_tui.cli.progress_line import loss_text, percent_text, phase_line, phase_text, progress_line
from cifar_tui.errors import DivergedError
from cifar_tui.text import human_count, safe_text

ERASE = "\r\x1b[K"
_DIM = "2"
_LEVELS = {"info": ("note", _DIM), "warning": ("warning", "33"), "error": ("error", "31")}
_BUSY = ("evaluate", "save", "compile")


@dataclass(frozen=True)
class Screen:
    """What the output can show.

    Attributes:
        terminal: stdout and stderr are both a terminal that moves its cursor.
        colour: escape sequences for colours may be used.
        unicode: other signs than ASCII may be used.
    """

    terminal: bool
    colour: bool
    unicode: bool

    @classmethod
    def current(cls) -> Screen:
        """That of this process, now."""
        terminal = common.on_terminal() and sys.stderr.isatty() and os.environ.get("TERM", "") != "dumb"
        unicode = (getattr(sys.stdout, "encoding", None) or "ascii").lower().startswith("utf")
        return cls(terminal, terminal and common.use_colour(), unicode)

    def size(self) -> tuple[int, int]:
        """Columns and lines; 80 by 24 where there is no terminal."""
        return shutil.get_terminal_size() if self.terminal else (80, 24)


class View:
    """What every view keeps of the events. By itself it shows nothing.

    Attributes:
        started, progress: the newest events of these kinds.
        saved: step of the newest checkpoint, the best one apart; None before.
    """

    def __init__(self) -> None:
        self.started: events.RunStarted | None = None
        self.progress: events.Progress | None = None
        self.saved: int | None = None

    def take(self, event: events.Event) -> None:
        """Take in the next event."""
        if isinstance(event, events.RunStarted):
            self.started = event
            self.saved = event.step or None
        elif isinstance(event, events.Progress):
            self.progress = event
        elif isinstance(event, events.Checkpoint) and event.reason != "best":
            self.saved = event.step

    def draw(self) -> None:
        """Show what changed; called ten times a second."""

    def say(self, text: str, style: str = "") -> None:
        """Show a line of narration; `style` is an ANSI code for where there are colours."""

    def close(self) -> None:
        """Leave the screen clean."""


class JsonView(View):
    """Every event as a line of JSON on stdout."""

    def take(self, event: events.Event) -> None:
        """Print the event."""
        super().take(event)
        common.print_json(events.to_json(event))


class LogView(View):
    """Plain lines: an evaluation a line on stdout, everything else on stderr."""

    def __init__(self) -> None:
        super().__init__()
        self._rows: dict[str, events.Evaluation] = {}
        self._last_phase: tuple[str, str, int] | None = None

    def take(self, event: events.Event) -> None:
        """Print the event where it is worth a line."""
        super().take(event)
        if isinstance(event, events.RunStarted):
            self.say(banner(event))
            for difference in event.differences:
                self.say(f"warning: not bit-exact with the first part: {safe_text(difference)}")
        elif isinstance(event, events.Note):
            if event.id != DivergedError.id:  # ends the command as an error
                label, style = _LEVELS[event.level]
                self.say(f"{label}: {safe_text(event.text)}", style)
        elif isinstance(event, events.Evaluation):
            self._evaluated(event)
        elif isinstance(event, events.Phase):
            self._phase(event)
        elif isinstance(event, events.RunEnded):
            self._print_row()

    def say(self, text: str, style: str = "") -> None:  # noqa: ARG002
        """Print a line on stderr."""
        common.say(text)

    def close(self) -> None:
        """Print what is left of an evaluation that was cut short."""
        self._print_row()

    def _evaluated(self, event: events.Evaluation) -> None:
        if self._rows and next(iter(self._rows.values())).step != event.step:
            self._print_row()
        self._rows[event.split] = event
        if event.split == "test":  # the last of each evaluation
            self._print_row()

    def _print_row(self) -> None:
        if self._rows:
            rows, self._rows = self._rows, {}
            self._row(rows)

    def _row(self, rows: dict[str, events.Evaluation]) -> None:
        step = next(iter(rows.values())).step
        parts = [f"step {step:>{self._step_width}}"]
        for split, found in rows.items():
            parts.append(f"{split}: loss {loss_text(found.loss)} acc {percent_text(found.accuracy, 2)}")
        print("  ".join(parts), flush=True)

    @property
    def _step_width(self) -> int:
        return len(f"{self.started.target:,}") if self.started else 6

    def _phase(self, event: events.Phase) -> None:
        if event.phase not in {"import", "data", "compile"}:
            return
        tenth = 10 * event.done // event.total if event.total else 0
        key = (event.phase, event.text, tenth)
        if key != self._last_phase:
            self._last_phase = key
            text = phase_text(event)
            self.say(f"{text} {10 * tenth}%" if event.total else text)


class TerminalView(LogView):
    """A progress line that is rewritten in place, below lines that stay."""

    def __init__(self, screen: Screen) -> None:
        super().__init__()
        self._screen = screen
        self._busy: events.Phase | None = None
        self._since = 0.0
        self._shown = ""
        self._header_shown = False

    def take(self, event: events.Event) -> None:
        """Keep or print the event."""
        super().take(event)
        if isinstance(event, events.Checkpoint) and event.reason in {"interval", "demand"}:
            self.say(self._saved_text(event), _DIM)

    def say(self, text: str, style: str = "") -> None:
        """Print a line above the progress line, broken at spaces where it is too long."""
        self._clear()
        lines = textwrap.wrap(text, self._screen.size()[0], subsequent_indent="  ", break_on_hyphens=False)
        common.say(self._styled("\n".join(lines), style))

    def draw(self) -> None:
        """Rewrite the progress line, where it changed."""
        width = self._screen.size()[0] - 1  # a sign in the last column makes some terminals wrap
        text = self._line(width)
        if text != self._shown:
            sys.stderr.write(f"\r{text}\x1b[K")
            sys.stderr.flush()
            self._shown = text

    def close(self) -> None:
        """Remove the progress line."""
        super().close()
        self._clear()

    def _line(self, width: int) -> str:
        unicode, colour = self._screen.unicode, self._screen.colour
        busy = self._busy
        if self.progress is None:
            seconds = time.monotonic() - self._since
            return phase_line(busy, width, seconds, unicode=unicode) if busy is not None else ""
        activity = ""
        if busy is not None and busy.phase in _BUSY:
            activity = phase_text(busy)
            if busy.total:
                activity += f" {busy.done / busy.total:4.0%}"
        return progress_line(self.progress, width, activity=activity, unicode=unicode, colour=colour)

    def _clear(self) -> None:
        if self._shown:
            sys.stderr.write(ERASE)
            sys.stderr.flush()
            self._shown = ""

    def _phase(self, event: events.Phase) -> None:
        if self._busy is None or (self._busy.phase, self._busy.text) != (event.phase, event.text):
            self._since = time.monotonic()
        self._busy = event

    def _row(self, rows: dict[str, events.Evaluation]) -> None:
        self._clear()
        width = max(6, self._step_width)
        if not self._header_shown:
            self._header_shown = True
            names = [f"{split[:5] + ' loss':>10}{'acc':>8}" for split in rows]
            print(self._styled(f"{'step':>{width}}  " + "  ".join(names), _DIM), flush=True)
        cells = [f"{loss_text(found.loss):>10}{percent_text(found.accuracy):>8}" for found in rows.values()]
        print(f"{next(iter(rows.values())).step:>{width},}  " + "  ".join(cells), flush=True)

    def _saved_text(self, event: events.Checkpoint) -> str:
        median = f" [median step {event.median_step_us:.0f} us]" if event.median_step_us else ""
        return f"saved checkpoint@{event.step}{median}"

    def _styled(self, text: str, style: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if style and self._screen.colour else text


def make_view(screen: Screen, as_json: bool) -> View:
    """The view for this output."""
    if as_json:
        return JsonView()
    return TerminalView(screen) if screen.terminal else LogView()


def banner(event: events.RunStarted) -> str:
    """One line about what begins: run, model, dataset, device and target."""
    device = event.device
    where = safe_text(device.get("device", "?"))
    if where == "cpu":
        threads = device.get("threads", "?")
        where += f" ({threads} thread{'' if threads == 1 else 's'})"
    elif device.get("name"):
        where += f" ({safe_text(device['name'], 40)})"
    if device.get("engine"):
        where += f", engine {safe_text(device['engine'], 20)}"
    config, dataset = event.config, event.dataset
    name = safe_text(dataset.get("name", ""))
    if dataset.get("state") == "unverified":
        name += " (unverified)"
    start = f"from step {event.step:,} to {event.target:,}" if event.step else f"{event.target:,} steps"
    run = f"run {event.run}: " if event.run else ""
    return (
        f"{run}{safe_text(config.get('model', ''))}, {human_count(event.parameters)} parameters, "
        f"on {name}, {start}, {where}"
    )
