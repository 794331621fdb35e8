"""The confusion matrix as shaded cells that can be walked."""

from __future__ import annotations

from typing import ClassVar

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.events import Click
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from cifar_tui.charts.cells import cell_width, clip, plain
from cifar_tui.tui import theme
from cifar_tui.tui.report_data import SplitReport
from cifar_tui.tui.theme import RGB
from cifar_tui.tui.widgets.picture_views import colour, padded, short_name

LABEL = 11
CELL = 6
SMALL_CELL = 3
"""Width of a cell with more than twelve classes: numbers for names, and percent of the row for counts."""
_RECALL, _WIDE_RECALL = 4, 7
"""Width that the recall of each class takes at least and at most, where there is room for it."""


class ConfusionMatrix(ScrollView, can_focus=True):
    """True classes by row, named classes by column. Green: right; red: wrong; each with its own scale."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "walk(0,-1)", "Left", id="matrix.left", show=False),
        Binding("right", "walk(0,1)", "Right", id="matrix.right", show=False),
        Binding("up", "walk(-1,0)", "Up", id="matrix.up", show=False),
        Binding("down", "walk(1,0)", "Down", id="matrix.down", show=False),
        Binding("enter", "open", "Pictures", id="matrix.open", tooltip="The pictures behind the cell"),
        Binding("enter", "open_group", "Its classes", id="matrix.group", tooltip="The classes of the group"),
        Binding("m", "worst", "Worst cell", id="matrix.worst", tooltip="To the greatest red cell"),
        Binding(
            "p", "percent", "Counts or %", id="matrix.percent", tooltip="Counts, or % of the row", show=False
        ),
    ]
    HELP_TEXT = (
        "Each row is a true class, each column what the model said. The green diagonal is right, red cells "
        "are mistakes; the count is always written. Arrows walk, the line below says the cell in "
        "words, enter shows its pictures."
    )

    class Moved(Message):
        """The cursor is on another cell."""

        def __init__(self, row: int, column: int) -> None:
            super().__init__()
            self.row, self.column = row, column

    class Opened(Message):
        """Enter on a cell."""

        def __init__(self, row: int, column: int) -> None:
            super().__init__()
            self.row, self.column = row, column

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._report: SplitReport | None = None
        self._cursor = (0, 0)
        self._percent = False
        self._right = (0, 1)
        self._wrong = 1
        self.can_open = False
        self.of_groups = False
        self._longest = 0  # cells of the longest name

    @property
    def on_group(self) -> bool:
        """Whether the cursor is on a group whose classes can be shown."""
        return self.of_groups and self._cursor[0] == self._cursor[1]

    def show(self, report: SplitReport | None) -> None:
        """Show the counts of a report; None or one without counts for an empty matrix."""
        self._report = report if report is not None and report.confusion else None
        size = len(self._report.confusion) if self._report is not None else 0
        self._longest = max(map(cell_width, self._report.names), default=0) if self._report is not None else 0
        if self._report is not None:
            rows = self._report.confusion
            diagonal = [rows[index][index] for index in range(size)]
            self._right = (min(diagonal), max(*diagonal, 1) if size > 1 else max(diagonal[0], 1))
            others = [n for i, row in enumerate(rows) for j, n in enumerate(row) if i != j]
            self._wrong = max([*others, 1])
        self._cursor = (min(self._cursor[0], max(0, size - 1)), min(self._cursor[1], max(0, size - 1)))
        self._fit()
        self.refresh()

    def _fit(self) -> None:
        size = len(self._report.confusion) if self._report is not None else 0
        self.virtual_size = Size(self.label + self._cells, size + 1 if size else 0)

    def on_resize(self) -> None:
        """Names take the columns that are left."""
        self._fit()

    @property
    def label(self) -> int:
        """Width of the names of rows: long ones take what cells and recall leave."""
        if self._report is None or self.cell == CELL:
            return LABEL
        return max(LABEL, min(self._longest + 4, self.size.width - self._cells - _RECALL - 1))

    @property
    def cell(self) -> int:
        """Width of a cell."""
        wide = self._report is None or len(self._report.confusion) <= 12
        return CELL if wide else SMALL_CELL

    @property
    def percent(self) -> bool:
        """Percent of the row are written, not counts; counts do not fit into small cells."""
        return self._percent or self.cell == SMALL_CELL

    @property
    def cursor(self) -> tuple[int, int]:
        """Row and column of the cursor."""
        return self._cursor

    def said(self) -> list[tuple[str, str]]:
        """The cell under the cursor in words, as text and style."""
        if self._report is None:
            return []
        row, column = self._cursor
        counts, names = self._report.confusion, self._report.names
        count, total = counts[row][column], sum(counts[row])
        share = f"{count / total:.1%}" if total else "-"
        verdict = ("right", "$good") if row == column else ("wrong", "$bad")
        return [
            (plain(names[row]), "bold $accent"),
            (" said ", "$muted"),
            (plain(names[column]), "bold $accent"),
            (f"  {count:,} of {total:,}, {share}  ", "$foreground"),
            verdict,
        ]

    def legend(self) -> list[tuple[str, str]]:
        """The two scales of the shades, as text and style."""
        if self._report is None:
            return []
        panel = self._rgb("panel")
        parts: list[tuple[str, str]] = []
        low, high = self._right
        scales = (
            ("wrong ", "bad", (0.12, 0.3, 0.5, 0.75, 1.0), 0.7, f" 0 to {self._wrong:,}"),
            ("     right ", "good", (0.35, 0.5, 0.67, 0.84, 1.0), 0.8, f" {low:,} to {high:,}"),
        )
        for name, ink, shares, most, text in scales:
            parts.append((name, "$muted"))
            for share in shares:
                red, green, blue = theme.mix(panel, self._rgb(ink), share * most)
                parts.append(("   ", f"on rgb({red},{green},{blue})"))
            parts.append((text, "$muted"))
        return parts

    # ---- drawing ----

    def render_line(self, y: int) -> Strip:
        """One row of cells of what is seen."""
        width, base = self.size.width, self.rich_style
        report = self._report
        line = y if y == 0 else y + self.scroll_offset.y
        if report is None or line > len(report.confusion):
            return Strip.blank(width, base)
        strip = self._header(report, base) if line == 0 else self._row(report, line - 1, base)
        label, cells = strip.divide([self.label, max(self.label + 1, strip.cell_length)])[:2]
        moved = cells.crop(self.scroll_offset.x, self.scroll_offset.x + max(0, width - self.label))
        return Strip.join([label, moved]).adjust_cell_length(width, base)

    def _header(self, report: SplitReport, base: Style) -> Strip:
        muted = base + Style(color=colour(self, "muted"))
        accent = base + Style(color=colour(self, "accent"), bold=True)
        segments = [Segment(padded("true", self.label), muted)]
        for column, name in enumerate(report.names):
            short = short_name(name) if self.cell == CELL else str(column)
            text = clip(short, self.cell - 1)
            text = " " * (self.cell - 1 - cell_width(text)) + text + " "
            segments.append(Segment(text, accent if column == self._cursor[1] else muted))
        if self._spare >= _RECALL:
            width = min(_WIDE_RECALL, self._spare)
            segments.append(Segment(f"{'recall' if width == _WIDE_RECALL else 'rec':>{width}}", muted))
        return Strip(segments)

    def _row(self, report: SplitReport, row: int, base: Style) -> Strip:
        here = row == self._cursor[0]
        name = report.names[row] if self.cell == CELL else f"{row:>2} {report.names[row]}"
        accent = Style(color=colour(self, "accent"), bold=True)
        segments = [Segment(padded(name, self.label - 1) + " ", base + accent if here else base)]
        total = sum(report.confusion[row])
        for column, count in enumerate(report.confusion[row]):
            if self.percent:
                text = f"{count / total * 100:.{1 if self.cell == CELL else 0}f}" if total else "-"
            else:
                text = str(count) if len(str(count)) < self.cell else f"{count // 1000}k"
            text = f"{text:>{self.cell - 1}} "[: self.cell]
            segments.append(Segment(text, self._style(row, column, count)))
        if self._spare >= _RECALL:
            recall = f"{report.confusion[row][row] / total:.0%}" if total else "-"
            width = min(_WIDE_RECALL, self._spare)
            segments.append(Segment(f"{recall:>{width}}", base + Style(bold=here)))
        return Strip(segments)

    @property
    def _cells(self) -> int:
        """Columns of all cells."""
        return len(self._report.confusion) * self.cell if self._report is not None else 0

    @property
    def _spare(self) -> int:
        """Columns right of the cells."""
        return self.size.width - self.label - self._cells

    def _style(self, row: int, column: int, count: int) -> Style:
        if (row, column) == self._cursor:
            return Style(color=colour(self, "background"), bgcolor=colour(self, "accent"), bold=True)
        panel = self._rgb("panel")
        if row == column:
            low, high = self._right
            share = 0.35 + 0.65 * (count - low) / (high - low) if high > low else 1.0
            back = theme.mix(panel, self._rgb("good"), share * 0.8)
            return Style(color=Color.from_rgb(*self._ink(back)), bgcolor=Color.from_rgb(*back), bold=True)
        share = (count / self._wrong) ** 0.7
        back = theme.mix(panel, self._rgb("bad"), share * 0.7)
        front = theme.mix(self._rgb("muted"), self._ink(back), min(1.0, share * 2.2))
        return Style(color=Color.from_rgb(*front), bgcolor=Color.from_rgb(*back))

    def _rgb(self, name: str) -> RGB:
        code = colour(self, name)
        return theme.channels(code if code.startswith("#") else theme.USUAL[name])

    def _ink(self, back: RGB) -> RGB:
        """What is read best on a shade."""
        own, screen = self._rgb("foreground"), self._rgb("background")
        return own if theme.text_is_read(back, own, screen) else screen

    # ---- keys and mouse ----

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Nothing to do without counts; enter only where a group can be opened."""
        if action in {"worst", "walk"}:
            return self._report is not None
        if action == "percent":
            return self._report is not None and self.cell == CELL
        if action in {"open", "open_group"}:
            return self._report is not None and self.can_open and self.on_group == (action == "open_group")
        return super().check_action(action, parameters)

    def _go(self, row: int, column: int) -> None:
        if self._report is None:
            return
        last = len(self._report.confusion) - 1
        self._cursor = (max(0, min(row, last)), max(0, min(column, last)))
        spot = Region(self._cursor[1] * self.cell, self._cursor[0], self.label + self.cell, 2)
        self.scroll_to_region(spot, animate=False, force=True)
        self.refresh()
        self.refresh_bindings()
        self.post_message(self.Moved(*self._cursor))

    def action_walk(self, down: int, right: int) -> None:
        """To a neighbouring cell."""
        self._go(self._cursor[0] + down, self._cursor[1] + right)

    def action_worst(self) -> None:
        """To the greatest mistake."""
        if self._report is not None:
            rows = self._report.confusion
            cells = [(n, -i, -j) for i, row in enumerate(rows) for j, n in enumerate(row) if i != j]
            _, row, column = max(cells, default=(0, 0, 0))
            self._go(-row, -column)

    def action_page_down(self) -> None:
        """The matrix is small: the room around it scrolls."""
        self._scroll_room(1)

    def action_page_up(self) -> None:
        """The same upwards."""
        self._scroll_room(-1)

    def _scroll_room(self, pages: int) -> None:
        room = next((node for node in self.ancestors if isinstance(node, VerticalScroll)), None)
        if room is not None:
            room.scroll_relative(y=pages * max(1, room.size.height - 2), animate=False)

    def action_percent(self) -> None:
        """Counts, or percent of the row."""
        self._percent = not self._percent
        self.refresh()
        self.post_message(self.Moved(*self._cursor))

    def action_open(self) -> None:
        """Ask for what is behind the cell."""
        self.post_message(self.Opened(*self._cursor))

    def action_open_group(self) -> None:
        """Ask for the classes of the group."""
        self.action_open()

    def on_click(self, event: Click) -> None:
        """A click walks there, a second one opens."""
        spot = event.get_content_offset(self)
        if spot is not None and spot.y > 0 and spot.x >= self.label:
            column = (spot.x - self.label + self.scroll_offset.x) // self.cell
            self._go(spot.y - 1 + self.scroll_offset.y, column)
            if event.chain > 1 and self.can_open:
                self.action_open()
