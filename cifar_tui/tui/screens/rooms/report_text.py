"""The tables of the report room as lines of text."""

from __future__ import annotations

from textual.content import Content

from cifar_tui.charts.cells import plain
from cifar_tui.text import safe_text
from cifar_tui.tui.report_data import ClassRow, RunReport, SplitReport
from cifar_tui.tui.widgets.lines import Part, bar, ends
from cifar_tui.tui.widgets.picture_views import padded

ORDERS = ("worst first", "best first", "by name")
_COLOURS = {"train": "$train", "validation": "$validation", "test": "$test"}
CLASS_LIMIT = 100


def empty(run: str, error: BaseException | None) -> Content:
    """What stands where there is no report, with the next key."""
    if error is not None:
        return Content.assemble((f"✕ {safe_text(error, 300)}", "$bad"))
    if run:
        return Content.assemble(
            (f"{safe_text(run, 60)} has no report yet.\n\n", "$foreground"),
            ("e", "bold $accent"),
            " Evaluate now, while it trains\n",
            ("4", "bold $accent"),
            " Open another run",
        )
    return Content.assemble(
        ("No run is open.\n\n", "$foreground"),
        ("1", "bold $accent"),
        " Start a training; its report appears here\n",
        ("4", "bold $accent"),
        " Open a run that was trained before",
    )


def summary(report: RunReport, width: int) -> list[Content]:
    """One row a split, then the gap, the calibration error and the worst class."""
    wide = width >= 70
    heads = [("accuracy", "$muted")]
    if wide:
        heads.append(("    95% interval", "$muted"))
    heads += [("   top-5", "$muted"), ("    loss", "$muted"), ("   images", "$muted")]
    lines = [ends([], heads, width)]
    room = max(4, width - (62 if wide else 46))
    for name, split in report.splits.items():
        colour = _COLOURS[name]
        low, high = split.interval
        right: list[Part] = [(f"{split.accuracy:>8.1%}", "bold $foreground")]
        if wide:
            right.append((f"{f'{low * 100:.1f} to {high * 100:.1f}':>16}", "$muted"))
        loss = "-" if split.loss is None else f"{split.loss:.3f}"
        right += [(f"{split.top5:>8.1%}", "$foreground"), (f"{loss:>8}", "$foreground")]
        right.append((f"{split.examples:>9,}", "$muted"))
        lines.append(
            ends([(f"{name:<11}", f"bold {colour}"), *bar(split.accuracy, room, colour)], right, width)
        )
    return [*lines, *_facts(report, width)]


def _facts(report: RunReport, width: int) -> list[Content]:
    left: list[Part] = []
    train, test = report.splits.get("train"), report.splits.get("test")
    if train is not None and test is not None:
        left.append((f"gap {(train.accuracy - test.accuracy) * 100:.1f} points", "$foreground"))
    shown = report.splits.get(report.best_split)
    right: list[Part] = []
    if shown is not None:
        if shown.ece is not None:
            left.append((f"   ECE {shown.ece * 100:.1f} points", "$muted"))
        if shown.penalty > 5e-4:
            left.append((f"   L2 penalty {shown.penalty:.3f}", "$muted"))
        rows = [row for row in shown.classes() if row.support]
        if rows:
            right.append((f"{plain(rows[0].name)} is worst, {rows[0].recall:.1%}", "$warning"))
    return [Content(""), ends(left, right, width)]


def classes(report: SplitReport, order: int, width: int) -> list[Content]:
    """One row a class: recall with a bar, precision, F1, what it is most often taken for."""
    rows = report.classes()
    if order == 1:
        rows = rows[::-1]
    elif order == 2:
        rows = sorted(rows, key=lambda row: row.name)
    if not rows:
        return [Content.assemble(("This evaluation has no counts by class.", "$muted"))]
    wide = width >= 60
    heads = [("  recall  precision     F1", "$muted")]
    if wide:
        heads.append(("  most taken for    ", "$muted"))
    lines = [ends([(f"{len(rows)} classes", "$muted")], heads, width)]
    room = max(0, width - 12 - (47 if wide else 28))
    return [*lines, *(_class_line(row, room, wide, width) for row in rows[:CLASS_LIMIT])]


def _class_line(row: ClassRow, room: int, wide: bool, width: int) -> Content:
    style = "$warning" if row.recall < 0.5 else "$test"
    left: list[Part] = [(padded(row.name, 11) + " ", "$foreground"), *bar(row.recall, room, style)]
    right: list[Part] = [
        (f"{row.recall:>8.1%}", "$warning" if row.recall < 0.5 else "bold $foreground"),
        (f"{row.precision:>11.1%}", "$foreground"),
        (f"{row.f1:>7.1%}", "$muted"),
    ]
    if wide:
        right.append((f"  {padded(row.taken_for or '-', 11)}{row.taken_count:>6,} ", "$muted"))
    return ends(left, right, width)


def pairs(report: SplitReport, width: int, limit: int = 12) -> list[Content]:
    """The most confused pairs, with bars."""
    found = report.pairs(limit)
    if not found:
        return [Content.assemble(("No mistakes are known.", "$muted"))]
    most = found[0][2]
    room = max(0, min(14, width - 11 - 3 - 11 - 8))
    lines = []
    for true, said, count in found:
        left: list[Part] = [
            (padded(true, 11, right=True), "$foreground"),
            (" → ", "$muted"),
            (padded(said, 11), "$foreground"),
        ]
        right: list[Part] = [*bar(count / most, room, "$bad"), (f"{count:>7,}", "bold $foreground")]
        lines.append(ends(left, right, width))
    return lines


def calibration(report: SplitReport, width: int) -> list[Content]:
    """Confidence against accuracy, by bins of confidence."""
    if not report.bins:
        return [
            Content.assemble(("Known after the evaluation at the end of a run,", "$muted")),
            Content.assemble(("or by  ", "$muted"), ("cifar-tui evaluate RUN", "$foreground")),
        ]
    lines = [ends([("said", "$muted")], [("   right    off    images", "$muted")], width)]
    room = max(0, width - 12 - 25)
    room = 0 if room < 6 else room
    for found in report.bins:
        off = (found.accuracy - found.confidence) * 100
        left: list[Part] = [
            (f"{f'{found.low * 100:.0f} to {found.high * 100:.0f}%':<11} ", "$foreground"),
            *bar(found.accuracy, room, _COLOURS.get(report.split, "$test")),
        ]
        right: list[Part] = [
            (f"{found.accuracy:>7.1%}", "$foreground"),
            (f"{off:>+7.1f}", "$warning" if abs(off) >= 5 else "$muted"),
            (f"{found.count:>10,}", "$muted"),
        ]
        lines.append(ends(left, right, width))
    if report.ece is not None:
        lines.append(ends([], [(f"ECE {report.ece * 100:.1f} points", "$foreground")], width))
    return lines
