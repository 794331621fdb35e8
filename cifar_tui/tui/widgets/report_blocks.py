"""The report laid out in cells: table, facts, worst classes, most confused pairs, confusion map."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from textual.content import Content

from cifar_tui.charts.cells import fit
from cifar_tui.tui import theme
from cifar_tui.tui.widgets.lines import bar

if TYPE_CHECKING:
    from cifar_tui.tui.widgets.report_numbers import Report, Row

Lines = list[Content]
MAP_CLASSES = 20
_SHORT = 9  # rows below which the lists stand beside the table
_STYLES = {
    "~train": "$train",
    "mean": "$muted",
    "train": "$train",
    "test": "$test",
    "validation": "$validation",
}


def arrange(report: Report, width: int, height: int, ink: Mapping[str, str], colour: bool = True) -> Lines:
    """The report in at most `height` lines of at most `width` cells.

    Args:
        report: what to show.
        width: cells across.
        height: lines.
        ink: "good", "bad", "panel", "foreground" and "background" as ``#rrggbb``.
        colour: without it the map holds digits: tenths of the pictures of a class.
    """
    if width < 30 or height < 2:
        return _tiny(report, width)[: max(height, 1)]
    if height < _SHORT:
        left = table(report, height, notes=width >= 90)
        rest = width - _widest(left) - 2
        lists = _lists(report, rest, height) if rest >= 24 else []
        return beside(left, lists, width)[:height]
    map_width = _label_width(report) + 2 * len(report.names) if report.names else 0
    wide = bool(map_width) and len(report.names) <= MAP_CLASSES and width - map_width - 2 >= 40
    if wide and height < 30:
        left = _stack(report, width - map_width - 2, height)
        return beside(left, confusion_map(report, ink, height, colour), width)[:height]
    return _tall(report, width, height, ink, colour)[:height]


def beside(left: Lines, right: Lines, width: int) -> Lines:
    """Two columns: the right one at the right edge."""
    room = width - _widest(right)
    lines = []
    for number in range(max(len(left), len(right))):
        first = left[number] if number < len(left) else Content("")
        second = right[number] if number < len(right) else Content("")
        if not second.cell_length:
            lines.append(first)
            continue
        first = first.truncate(max(room - 1, 0), ellipsis=True)
        lines.append(Content.assemble(first, " " * max(room - first.cell_length, 0), second))
    return lines


def _widest(lines: Lines) -> int:
    return max((line.cell_length for line in lines), default=0)


def _stack(report: Report, width: int, height: int) -> Lines:
    """Table, facts and lists below each other."""
    fact_lines = facts(report, width)
    lines = table(report, max(3, height - len(fact_lines) - (3 if report.worst else 0))) + fact_lines
    room = height - len(lines)
    if report.worst and room > 1:
        if room > 6:
            lines.append(Content(""))
            room -= 1
        lines += _lists(report, width, room)
    return lines


def _tall(report: Report, width: int, height: int, ink: Mapping[str, str], colour: bool) -> Lines:
    lines = [*table(report, 8), *facts(report, width)]
    if not report.names:
        return lines
    few = len(report.names) <= MAP_CLASSES
    below = len(report.names) + 2 if few else 7
    room = height - len(lines) - 1
    count = min(
        max(len(report.worst), len(report.confused)) + 1, room - below - 1 if room > below + 4 else room
    )
    lines += [Content(""), *_lists(report, width, count)]
    if height - len(lines) <= below:
        return lines
    if not few:
        return [*lines, Content(""), *histogram(report, width)]
    cell = 4 if _label_width(report) + 4 * len(report.names) <= width else 2
    title = Content.assemble(("Confusion", "$muted"))
    return [*lines, Content(""), title, *confusion_map(report, ink, height, colour, cell)]


def _tiny(report: Report, width: int) -> Lines:
    """One number a line."""
    ranks = {"test": 0, "train": 1, "~train": 2}
    rows = sorted((row for _, row in report.rows), key=lambda row: ranks.get(row.name, 9))
    known = [row for row in rows if row.accuracy is not None]
    lines = [
        Content.assemble((f"{row.name} ", _STYLES.get(row.name, "")), percent(row.accuracy).strip())
        for row in known
    ]
    return [line.truncate(max(width, 1)) for line in lines] or [Content("no numbers"[: max(width, 1)])]


# ---- numbers ----


def loss(value: float | None) -> str:
    """A loss in seven cells."""
    if value is None or not math.isfinite(value):
        return "-".rjust(7)
    return f"{value:7.3f}" if abs(value) < 1000 else f"{value:7.1e}"


def percent(value: float | None) -> str:
    """A fraction as percent, in six cells."""
    return "-".rjust(6) if value is None or not math.isfinite(value) else f"{100 * value:5.1f}%"


def table(report: Report, height: int, notes: bool = True) -> Lines:
    """Splits by loss, accuracy and top-5; as many rows as there is room for, the most important ones."""
    chosen = sorted(report.rows[: max(height - 1, 1)], key=lambda item: item[0])
    lines = [Content.assemble((f"{'':10}{'loss':>7} {'accuracy':>9}{'top-5':>7}", "$muted"))]
    return lines + [_row(row, notes) for _, row in chosen]


def _row(row: Row, notes: bool) -> Content:
    quiet = row.name in {"mean", "best", "notebook"}
    number = "$muted" if quiet else ""
    name = _STYLES.get(row.name, "$muted")
    parts: list[Any] = [
        (f"{row.name:10}", name if quiet else f"{name} bold"),
        (loss(row.loss), number),
        (f"{percent(row.accuracy):>10}", number if quiet else "bold"),
        (f"{percent(row.top5) if row.top5 is not None else '':>7}", number),
    ]
    if row.note and notes:
        parts.append((f" {row.note}", "$muted"))
    return Content.assemble(*parts)


def facts(report: Report, width: int) -> Lines:
    """Further numbers with their names, as many a line as fit."""
    lines: Lines = []
    parts: list[Any] = []
    used = 0
    for name, value in report.facts:
        size = len(name) + 1 + len(value) + (2 if parts else 0)
        if parts and used + size > width:
            lines.append(Content.assemble(*parts))
            parts, used, size = [], 0, size - 2
        parts += ["  " if parts else "", (name, "$muted"), " ", (value, "bold")]
        used += size
    return [*lines, Content.assemble(*parts)] if parts else lines


# ---- lists ----


def _lists(report: Report, width: int, height: int) -> Lines:
    """Worst classes and most confused pairs side by side, with a heading."""
    if not report.worst or height < 2:
        return []
    half = (width - 2) // 2
    left = worst(report, half if report.confused else width, height - 1)
    right = confused(report, width - half - 2, height - 1)
    return beside(left, right, width) if width >= 38 else left


def worst(report: Report, width: int, count: int) -> Lines:
    """The classes with the fewest right answers, with bars in the colour of the test split."""
    name_width = min(max((len(name) for name in report.names), default=0), max(6, width - 16), 14)
    lines = [Content.assemble((fit("Worst classes", width).rstrip(), "$muted"))]
    for number, recall in report.worst[:count]:
        parts: list[Any] = [fit(report.names[number], name_width), " ", percent(recall)]
        room = min(width - name_width - 9, 20)
        if room >= 4:
            parts += ["  ", *bar(recall, room, "$test")]
        lines.append(Content.assemble(*parts))
    return lines


def confused(report: Report, width: int, count: int) -> Lines:
    """The pairs of classes that are taken for each other most often."""
    name_width = min(max((len(name) for name in report.names), default=0), max(3, (width - 9) // 2))
    size = 2 * name_width + 9
    lines = [Content.assemble((fit("Most confused", size), "$muted"))]
    for true, guess, times in report.confused[:count]:
        names = [fit(report.names[number], name_width) for number in (true, guess)]
        first = (
            " " * (name_width - len(names[0].rstrip())) + names[0].rstrip()
            if names[0].isascii()
            else names[0]
        )
        lines.append(Content.assemble(first, (" → ", "$muted"), names[1], (f"{times:>6,}", "bold")))
    return lines


def histogram(report: Report, width: int) -> Lines:
    """How many classes reach which share of right answers: for more classes than a map can show."""
    shares = [recall for _, recall in report.worst]
    middle = statistics.median(shares) if shares else None
    heading = f"{len(report.names)} classes, median recall {percent(middle).strip()}"
    lines = [Content.assemble((heading, "$muted"))]
    bins = [0] * 5
    for share in shares:
        bins[min(int(share * 5), 4)] += 1
    for number, count in enumerate(bins):
        label = f"{20 * number:>3}-{20 * number + 20}%".ljust(9)
        drawn = bar(count / max(*bins, 1), max(4, min(width - 16, 40)), "$test")
        lines.append(Content.assemble((label, "$muted"), *drawn, f"{count:>5}"))
    return lines


# ---- the map ----


def _label_width(report: Report) -> int:
    return min(max((len(name) for name in report.names), default=0), 8) + 3


def confusion_map(report: Report, ink: Mapping[str, str], height: int, colour: bool, cell: int = 2) -> Lines:
    """Rows are true classes, columns guesses: green for right, red for wrong, each by its share of the row.

    Cells of four hold the count; a heading of column numbers is left out where a row is missing.
    """
    label = _label_width(report)
    count = len(report.names)
    top = max((times for _, _, times in report.confused), default=1)
    lines: Lines = []
    if height > count:
        numbers = "".join(f"{number % 100:>{cell}}" for number in range(count))
        lines.append(Content.assemble(" " * label, (numbers, "$muted")))
    for true, row in enumerate(report.confusion):
        name = fit(report.names[true], label - 3)
        parts: list[Any] = [
            (" " * (label - 3 - len(name.rstrip())) + name.rstrip(), ""),
            (f"{true:>2} ", "$muted"),
        ]
        support = sum(row) or 1
        for guess, times in enumerate(row):
            share = times / support if guess == true else times / top
            text = f"{times:>{cell}}" if cell > 2 else "  " if colour else f"{_tenth(times / support):>2}"
            parts.append((text, _shade(ink, "good" if guess == true else "bad", share, times / support)))
        lines.append(Content.assemble(*parts))
    return lines


def _tenth(share: float) -> str:
    return "." if share < 0.05 else str(min(9, round(share * 10)))


def _shade(ink: Mapping[str, str], role: str, strength: float, share: float) -> str:
    strength = 0.0 if share < 0.02 else min(1.0, max(0.0, strength))
    base, full = theme.channels(ink["panel"]), theme.channels(ink[role])
    start = 0.06 if role == "bad" else 0.15
    share_of_full = start + (0.9 - start) * strength if strength else 0.0
    back = theme.mix(base, full, share_of_full)
    own, screen = theme.channels(ink["foreground"]), theme.channels(ink["background"])
    best = "foreground" if theme.text_is_read(back, own, screen) else "background"
    return f"${best if strength > 0.1 else 'muted'} on #{bytes(back).hex()}"
