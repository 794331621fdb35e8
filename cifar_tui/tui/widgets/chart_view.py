"""The cells of a chart: drawn once, kept, and painted from there; with the cursor laid over them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, ClassVar

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.content import Content
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

if TYPE_CHECKING:
    from cifar_tui.tui.widgets.chart_plan import Plan

Cells = list[list[tuple[str, Style]]]
_SGR = re.compile(r"\x1b\[([0-9;]*)m")
_PLAIN = Style()
_BEHIND_CURSOR = frozenset(" ╌")


@lru_cache(maxsize=256)
def _style(codes: str) -> Style:
    colour, bold = None, False
    numbers = [int(part) for part in codes.split(";") if part]
    if numbers[:1] == [1]:
        bold, numbers = True, numbers[1:]
    if numbers[:2] == [38, 2] and len(numbers) == 5:
        colour = Color.from_rgb(*numbers[2:])
    return Style(color=colour, bold=bold) if colour or bold else _PLAIN


def cells_of(text: str) -> Cells:
    """The cells of a drawn chart, row by row; the cell right of a wide character holds an empty string."""
    from cifar_tui.charts.cells import char_width

    rows: Cells = []
    for line in text.replace("\u00a0", " ").split("\n"):
        row: list[tuple[str, Style]] = []
        style = _PLAIN
        for index, part in enumerate(_SGR.split(line)):
            if index % 2:
                style = _style(part)
                continue
            for character in part:
                width = char_width(character)
                if width == 0 and row:
                    row[-1] = (row[-1][0] + character, row[-1][1])
                else:
                    row.append((character, style))
                    row.extend([("", style)] * (width - 1))
        rows.append(row)
    return rows


def draw(plan: Plan) -> Cells:
    """Draw a plan, without the legend row, and with the signs of what happened on its axis."""
    from cifar_tui import charts
    from cifar_tui.charts.frame import LEFT

    spec = plan.spec
    text = charts.draw(spec)
    if spec.colour and spec.width >= 20 and spec.height >= 5:
        text = text.partition("\n")[2]  # the legend stands in the border
    cells = cells_of(text)
    floor = len(cells) - 2
    signs = {"learning_rate": "◇", "diverged": "✕", "resume": "┃"}
    plain = {"learning_rate": "~", "diverged": "x", "resume": "|"}
    for column, kind, _ in plan.signs:
        sign = plain.get(kind, "^") if spec.marker == "ascii" else signs.get(kind, "▴")
        role = {"learning_rate": "accent", "diverged": "bad"}.get(kind, "ghost")
        style = _PLAIN
        if spec.colour:
            style = Style(color=Color.from_rgb(*charts.role_colour(role, spec.palette, spec.dark)))
        place = LEFT + column
        if 0 <= floor < len(cells) and place < len(cells[floor]):
            cells[floor][place] = (sign, style)
    return cells


class ChartView(Widget):
    """Shows drawn cells. Scrolling, focus and the cursor repaint from what is kept; nothing is drawn here."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"chart--cursor", "chart--note"}
    ALLOW_SELECT = False

    class Resized(Message):
        """There is room for a chart of another size."""

    class Pointed(Message):
        """The mouse points at a column: `column` counts from the left edge of the view."""

        def __init__(self, column: int) -> None:
            super().__init__()
            self.column = column

    def __init__(self) -> None:
        super().__init__()
        self._cells: Cells = []
        self._cursor: int | None = None
        self._note: Sequence[str] = ()
        self._strips: dict[int, Strip] = {}
        self._strip_style = _PLAIN

    @property
    def cells(self) -> Cells:
        """What is shown."""
        return self._cells

    @property
    def note(self) -> str:
        """The text in place of a chart, or an empty string."""
        return "\n".join(self._note)

    def show(self, cells: Cells, cursor: int | None) -> None:
        """Show a drawn chart, and the cursor in a column of the view; repaints the rows that changed."""
        before = self._cells
        if self._note or cursor != self._cursor or len(cells) != len(before):
            self._cells, self._note, self._cursor = cells, (), cursor
            self._strips.clear()
            self.refresh()
            return
        self._cells = cells
        changed = [y for y, row in enumerate(cells) if row != before[y]]
        for y in changed:
            self._strips.pop(y, None)
        if changed:
            self.refresh(*(Region(0, y, self.size.width, 1) for y in changed))

    def show_note(self, lines: Sequence[str]) -> None:
        """Show a few lines of text in place of a chart."""
        if tuple(lines) != self._note:
            self._cells, self._note, self._cursor = [], tuple(lines), None
            self._strips.clear()
            self.refresh()

    def move(self, cursor: int | None) -> None:
        """Move the cursor to a column of the view, or take it away; repaints two columns."""
        if cursor == self._cursor:
            return
        touched = [column for column in (self._cursor, cursor) if column is not None]
        self._cursor = cursor
        self._strips.clear()
        self.refresh(*(Region(column, 0, 1, self.size.height) for column in touched))

    def render_line(self, y: int) -> Strip:
        """One row, from what is kept."""
        base = self.rich_style
        if base != self._strip_style:
            self._strips.clear()
            self._strip_style = base
        strip = self._strips.get(y)
        if strip is None or strip.cell_length != self.size.width:
            strip = self._strips[y] = self._strip(y, base)
        return strip

    def _strip(self, y: int, base: Style) -> Strip:
        width = self.size.width
        if self._note:
            return self._note_strip(y, base)
        row = list(self._cells[y]) if y < len(self._cells) else []
        if self._cursor is not None and 0 <= self._cursor < len(row) and y < len(self._cells) - 2:
            sign, style = row[self._cursor]
            mark = self.get_component_rich_style("chart--cursor", partial=True)
            row[self._cursor] = (
                ("│", mark) if sign in _BEHIND_CURSOR else (sign, style + Style(bgcolor=mark.bgcolor))
            )
        segments = []
        for style, group in groupby(row, key=lambda cell: cell[1]):
            segments.append(Segment("".join(sign for sign, _ in group), base + style))
        return Strip(segments, len(row)).adjust_cell_length(width, base)

    def _note_strip(self, y: int, base: Style) -> Strip:
        width, top = self.size.width, max(0, (self.size.height - len(self._note)) // 2)
        if not top <= y < top + len(self._note):
            return Strip.blank(width, base)
        line = Content(self._note[y - top]).truncate(width, ellipsis=True)
        left = max(0, (width - line.cell_length) // 2)
        style = base + self.get_component_rich_style("chart--note", partial=True)
        return Strip([Segment(" " * left, base), Segment(line.plain, style)]).adjust_cell_length(width, base)

    def on_show(self) -> None:
        """Ask for a chart: none was drawn while this could not be seen."""
        self.post_message(self.Resized())

    def on_resize(self, _: events.Resize) -> None:
        """Ask for a chart that fits."""
        self.post_message(self.Resized())

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Put the cursor where the mouse is."""
        if event.button == 1 and not self._note:
            self.capture_mouse()
            self.post_message(self.Pointed(event.x))

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Drag the cursor."""
        if self.app.mouse_captured is self:
            self.post_message(self.Pointed(event.x))

    def on_mouse_up(self, _: events.MouseUp) -> None:
        """Let go."""
        self.release_mouse()
