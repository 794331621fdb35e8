"""The two lines on top: where one is, and how far the run is."""

from __future__ import annotations

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from cifar_tui.text import human_bytes, human_seconds, safe_text
from cifar_tui.tui.live import LiveRun
from cifar_tui.tui.theme import colours_now

ROOMS = ("Dashboard", "Data", "Report", "Runs", "Log")
_SHORTEST = 8  # cells that the name of a run keeps at least
TITLES = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "synthetic": "Synthetic"}
STATES = {
    "idle": ("○", "idle", "muted"),
    "starting": ("◌", "starting", "accent"),
    "training": ("●", "training", "good"),
    "paused": ("‖", "paused", "warning"),
    "evaluating": ("●", "evaluating", "good"),
    "saving": ("●", "saving", "good"),
    "done": ("✓", "done", "good"),
    "stopped": ("■", "stopped", "warning"),
    "diverged": ("✕", "diverged", "bad"),
    "failed": ("✕", "failed", "bad"),
}
_PHASES = {
    "import": "loading torch",
    "data": "loading data",
    "build": "building the model",
    "compile": "preparing the step",
    "train": "training",
    "evaluate": "evaluating",
    "save": "saving",
}


def device_text(live: LiveRun, *, short: bool = False) -> str:
    """Device and engine in a few words: ``cpu 2 threads fused``, ``cuda:0 H100 graph``; "" before.

    `short` leaves the engine out, which room 5 names too.
    """
    device = str(live.device.get("device", ""))
    if not device:
        return ""
    engine = "" if short else str(live.device.get("engine", ""))
    if device == "cpu":
        threads = live.device.get("threads")
        return f"cpu {threads} thread{'' if threads == 1 else 's'} {engine}".strip()
    name = str(live.device.get("name", "")).removeprefix("NVIDIA ")[: max(0, 28 - len(device) - len(engine))]
    return " ".join(part for part in (device, name, engine) if part)


def phase_text(live: LiveRun) -> str:
    """What the run is busy with, in words."""
    phase = live.phase
    if phase is None:
        return STATES[live.status][1]
    words = _PHASES.get(phase.phase, phase.phase)
    if phase.phase == "data" and phase.unit == "bytes" and phase.total:
        share = f"{100 * phase.done / phase.total:3.0f}%"
        return f"{phase.text.split()[0]} {share} of {human_bytes(phase.total)}"
    if phase.phase == "evaluate" and phase.text:
        return f"evaluating {phase.text}"
    return "paused" if live.status == "paused" else words


class HeaderLine(Widget):
    """Brand, rooms, chips; run, bar, step, epoch, ETA and rate. Every number keeps its place."""

    DEFAULT_CSS = """
    HeaderLine { dock: top; height: 2; width: 100%; background: $background; color: $foreground; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.room = 1
        self.data_chip = ""
        self.download_chip = ""
        self._live = LiveRun()
        self._lines = [Text(), Text()]
        self._strips: dict[int, Strip] = {}
        self._strip_style = Style()
        self._of_first: tuple[object, ...] = ()  # all that the first line is made of
        self._spots: list[tuple[int, int, int]] = []  # first and last column of a room's name, and its number

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002
        """Two rows."""
        return 2

    def show_live(self, live: LiveRun, kinds: frozenset[str] = frozenset()) -> None:  # noqa: ARG002
        """Show where a run is."""
        self._live = live
        self.update_text()

    def show_room(self, room: int) -> None:
        """Mark a room as the present one."""
        self.room = room
        self.update_text()

    def show_data(self, text: str) -> None:
        """The dataset chip while no run names its dataset."""
        self.data_chip = text
        self.update_text()

    def show_download(self, text: str) -> None:
        """A chip for a download under way; "" for none."""
        self.download_chip = text
        self.update_text()

    def update_text(self) -> None:
        """Build the lines anew, and paint only where they differ."""
        width = self.size.width
        if width < 1:
            return
        live = self._live
        chips = (self.data_chip, self.download_chip, live.status, bool(live.config), dict(live.dataset))
        of_first = (width, self.room, colours_now(self.app), *chips, dict(live.device))
        if of_first != self._of_first:
            self._of_first = of_first
            self._show(0, self._first(width))
        self._show(1, self._second(width))

    def _show(self, y: int, line: Text) -> None:
        if line != self._lines[y] or line.spans != self._lines[y].spans:
            self._lines[y] = line
            self._strips.pop(y, None)
            self.refresh(Region(0, y, self.size.width, 1))

    def render_line(self, y: int) -> Strip:
        """A line, from what is kept: the second one changes several times a second."""
        base = self.rich_style
        if base != self._strip_style:
            self._strips.clear()
            self._strip_style = base
        width = self.size.width
        strip = self._strips.get(y)
        if strip is None or strip.cell_length != width:
            segments = Segment.apply_style(self._lines[y].render(self.app.console), base)
            strip = self._strips[y] = Strip(segments).adjust_cell_length(width, base)
        return strip

    def on_resize(self, _event: events.Resize) -> None:
        """The lines are made for a width."""
        self.update_text()

    def on_mount(self) -> None:
        """Follow the theme."""
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self.update_text())

    def on_click(self, event: events.Click) -> None:
        """A click on a room's name goes there."""
        if event.y == 0:
            for first, last, number in self._spots:
                if first <= event.x < last:
                    self.app.call_later(self.app.run_action, f"room({number})")

    def _colour(self, name: str) -> str:
        return self.app.theme_variables.get(name, "")

    def _style(self, name: str, *, bold: bool = False, background: str = "") -> Style:
        colour = self._colour(name)
        if colour.startswith("#"):
            colour = colour[:7]
        back = self._colour(background) if background else ""
        return Style(color=colour or None, bold=bold or None, bgcolor=back[:7] or None)

    # ---- the first line ----

    def _first(self, width: int) -> Text:
        chips = self._chips(width)
        line = Text(" cifar-tui " if width >= 60 else " ◆ ", style=self._style("foreground", bold=True))
        line.append("   " if width >= 100 else " ")
        self._spots = []
        for number, name in enumerate(ROOMS, 1):
            begin = line.cell_len
            here = number == self.room
            line.append(str(number), style=self._style("accent", bold=True))
            if width >= 76 or here:
                style = self._style("foreground", bold=True) + Style(underline=True)
                line.append(" ")
                line.append(name, style=style if here else self._style("muted"))
            self._spots.append((begin, line.cell_len, number))
            line.append("   " if width >= 100 else "  ")
        for chip in list(chips):
            if line.cell_len + sum(part.cell_len + 1 for part in chips) <= width:
                break
            if len(chips) > 1:
                chips.remove(chip)
        right = Text(" ").join(chips)
        room = width - line.cell_len - right.cell_len
        if room < 0:
            line.truncate(max(0, width - right.cell_len))
            room = max(0, width - line.cell_len - right.cell_len)
        line.append(" " * room)
        line.append_text(right)
        line.truncate(width)
        return line

    def _chips(self, width: int) -> list[Text]:
        live = self._live
        sign, words, colour = STATES[live.status]
        chips = []
        if self.download_chip:
            chips.append(self._chip(self.download_chip, "accent"))
        if width >= 100:
            name = str(live.dataset.get("name") or "")
            title = safe_text(TITLES.get(name, name), 20) if live.config else ""
            if title:
                state = live.dataset.get("state")
                unsure = state not in {"ready", "synthetic", None}
                chips.append(
                    self._chip(f"{title} {state}" if unsure else title, "warning" if unsure else "foreground")
                )
            elif self.data_chip:
                chips.append(
                    self._chip(self.data_chip, "warning" if "no data" in self.data_chip else "foreground")
                )
            device = device_text(live, short=width < 140)
            if device:
                chips.append(self._chip(safe_text(device, 30), "foreground"))
        chips.append(self._chip(f"{sign} {words:<8}", colour))
        return chips

    def _chip(self, text: str, colour: str) -> Text:
        return Text(f" {text} ", style=self._style(colour, background="field"))

    # ---- the second line ----

    def _second(self, width: int) -> Text:
        live = self._live
        if live.is_empty and not live.is_live:
            return Text(" no run yet", style=self._style("muted"))
        right = self._numbers(width)
        watched = Text()
        if live.watched:
            watched.append("  watched" if width >= 70 else " ◉", style=self._style("accent"))
        phase = Text()
        if width >= 70 or live.status in {"starting", "evaluating", "saving"}:
            phase.append(f"  {phase_text(live):<{10 if live.step else 0}}", style=self._style("muted"))
        room = width - right.cell_len - watched.cell_len - phase.cell_len - 3
        if room < _SHORTEST and live.step:  # the state stands in the line above as well
            room += phase.cell_len
            phase = Text()
        name = safe_text(live.run_id or "new run", max(_SHORTEST, min(24, room)))
        left = Text.assemble(" ", (name, self._style("foreground", bold=True)), watched, phase)
        room = width - left.cell_len - right.cell_len - 2
        middle = Text(" ")
        if room >= 8:
            middle.append_text(self._bar(room - 1))
        elif room > 0:
            middle.append(" " * room)
        line = Text.assemble(left, middle, " ", right)
        line.truncate(width)
        return line

    def _bar(self, width: int) -> Text:
        live = self._live
        share = min(1.0, live.step / live.target) if live.target else 0.0
        if live.step == 0 and live.phase is not None and live.phase.total:
            share = min(1.0, live.phase.done / live.phase.total)
        half = round(share * width * 2)
        colour = {"diverged": "bad", "failed": "bad", "paused": "warning"}.get(live.status, "accent")
        bar = Text("━" * (half // 2) + "╸" * (half % 2), style=self._style(colour))
        bar.append("━" * (width - bar.cell_len), style=self._style("axis"))
        return bar

    def _numbers(self, width: int) -> Text:
        live, progress = self._live, self._live.progress
        target = f"{live.target:,}" if live.target else "-"
        share = f"{100 * min(1.0, live.step / live.target):.0f}%" if live.target else "-"
        text = Text()
        text.append(f"{share:>4}", style=self._style("foreground", bold=True))
        text.append(f"  {live.step:>{len(target)},}", style=self._style("foreground"))
        text.append(f" / {target}", style=self._style("muted"))
        if width >= 100:
            text.append("   epoch ", style=self._style("muted"))
            text.append(f"{live.epoch:>5.1f}", style=self._style("foreground"))
        if width >= 60:
            over = live.ended is not None
            seconds = live.seconds if over else (progress.seconds_left if progress else None)
            text.append("   ran " if over else "   ETA ", style=self._style("muted"))
            text.append(f"{human_seconds(seconds):>5}", style=self._style("foreground", bold=True))
        if width >= 72:
            rate = progress.steps_per_second if progress else 0.0
            if live.ended is not None:
                rate = live.ended.steps_per_second
            text.append(f"  {rate_text(rate):>6}", style=self._style("foreground"))
            text.append(" steps/s ", style=self._style("muted"))
        return text


def rate_text(rate: float) -> str:
    """Steps a second in at most six cells."""
    if rate <= 0:
        return "-"
    return f"{rate:,.0f}" if rate >= 1000 else f"{rate:.1f}"
