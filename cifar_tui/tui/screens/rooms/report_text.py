"""The tables of the report room as lines of text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from textual.content import Content

from cifar_tui.charts.cells import cell_width, plain
from cifar_tui.text import safe_text
from cifar_tui.tui.answer_data import Said, percent
from cifar_tui.tui.report_data import ClassRow, RunReport, SplitReport
from cifar_tui.tui.widgets.lines import Part, bar, ends, stack
from cifar_tui.tui.widgets.picture_views import padded

if TYPE_CHECKING:
    from cifar_tui.tui.examination import Examination

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


def summary(report: RunReport, width: int, *, short: bool = False) -> list[Content]:
    """One row a split; unless `short`, then the gap, the calibration error and the worst class."""
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
    return lines if short else [*lines, *_facts(report, width)]


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
            left.append((f"   penalty {shown.penalty:.3f}", "$muted"))
        rows = [row for row in shown.classes() if row.support]
        if rows:
            right.append((f"worst: {plain(rows[0].name)} {rows[0].recall:.1%}", "$warning"))
    return [Content(""), ends(left, right, width)]


_NAME = 11
"""Cells for the name of a class, at least."""


def _name_width(names: Iterable[str], room: int) -> int:
    """Cells for names: as many as the longest needs, where there is `room` for each."""
    return max(_NAME, min(max(map(cell_width, names), default=0), room))


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
    name = _name_width(report.names, _NAME + (width - 72) // 2 if wide else width - 29)
    heads = [("  recall  precision     F1", "$muted")]
    if wide:
        heads.append((f"  {'most taken for':<{name + 7}}", "$muted"))
    lines = [ends([(f"{len(rows)} classes", "$muted")], heads, width)]
    room = max(0, width - name - 1 - (name + 36 if wide else 28))
    return [*lines, *(_class_line(row, name, room, wide, width) for row in rows[:CLASS_LIMIT])]


def _class_line(row: ClassRow, name: int, room: int, wide: bool, width: int) -> Content:
    style = "$warning" if row.recall < 0.5 else "$test"
    left: list[Part] = [(padded(row.name, name) + " ", "$foreground"), *bar(row.recall, room, style)]
    right: list[Part] = [
        (f"{row.recall:>8.1%}", "$warning" if row.recall < 0.5 else "bold $foreground"),
        (f"{row.precision:>11.1%}", "$foreground"),
        (f"{row.f1:>7.1%}", "$muted"),
    ]
    if wide:
        right.append((f"  {padded(row.taken_for or '-', name)}{row.taken_count:>6,} ", "$muted"))
    return ends(left, right, width)


def pairs(report: SplitReport, width: int, limit: int = 12) -> list[Content]:
    """The most confused pairs, with bars."""
    found = report.pairs(limit)
    if not found:
        return [Content.assemble(("No mistakes are known.", "$muted"))]
    most = found[0][2]
    name = _name_width((part for true, said, _ in found for part in (true, said)), (width - 11) // 2)
    room = max(0, min(14, width - 2 * name - 3 - 8))
    lines = []
    for true, said, count in found:
        left: list[Part] = [
            (padded(true, name, right=True), "$foreground"),
            (" → ", "$muted"),
            (padded(said, name), "$foreground"),
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


def picture(found: Said, names: Sequence[str], split: str, width: int, others: int | None) -> Content:
    """A picture in words: its number, true and said class, the most likely ones as bars.

    Args:
        found: what the model said.
        names: of the classes.
        split: the evaluated split.
        width: cells.
        others: how many pictures were confused likewise, for a heading over some of them; None without.
    """
    true, said = plain(names[found.true]), plain(names[found.said])
    verdict: list[Part] = [("right  ", "$muted"), (said, "bold $good")]
    if not found.right:
        verdict = [("true ", "$muted"), (true, "bold $good"), ("  said ", "$muted"), (said, "bold $bad")]
    lines = [
        ends([(f"#{found.index:,}", "bold $foreground")], [(split, "$muted")], width),
        ends(verdict, [("%", "$muted")], width),
        Content(""),
    ]
    room = max(0, width - 15 - 6)
    for place, (label, share) in enumerate(found.top):
        style = "$good" if label == found.true else "$bad" if place == 0 else "$muted"
        sign = "✓ " if label == found.true else "✕ " if place == 0 else "  "
        left: list[Part] = [(f"{sign}{padded(names[label], 12)} ", style)]
        left += bar(share if math.isfinite(share) else None, room, style)
        lines.append(ends(left, [(percent(share), style)], width))
    if others:
        like = f"Other {true} taken for {said}" if not found.right else f"Other {true} told rightly"
        lines += [Content(""), ends([(like, "bold $foreground")], [(f"{others:,}", "$muted")], width)]
    return stack(lines)


def no_pictures(title: str) -> Content:
    """What stands where a cell is empty."""
    return Content.assemble(
        (f"{title}: there is none in this split.\n\n", "$foreground"),
        ("esc", "bold $accent"),
        " back to the matrix",
    )


def _phase(found: Examination) -> tuple[str, int, int]:
    """What an evaluation does just now, how much of it is done, and of how much; 0 where it has no count."""
    phase = found.phase
    if phase is not None and phase.phase == "evaluate":
        return f"Evaluating step {phase.step:,} on {safe_text(phase.text, 12)}", phase.done, phase.total
    if phase is not None and phase.phase == "data":
        return f"Reading {safe_text(phase.text, 20)}", 0, 0
    return "Loading torch" if phase is not None else "Reading the checkpoint", 0, 0


def examining(found: Examination, width: int) -> Content:
    """How far an evaluation is, with a bar."""
    text, done, total = _phase(found)
    amount = f"{done:>7,} of {total:,}" if total else ""
    return stack(
        [
            Content.assemble((text, "$foreground")),
            Content.assemble(*bar(done / total if total else 0.0, width)),
            ends([("x", "bold $accent"), (" Cancel", "$foreground")], [(amount, "$muted")], width),
        ]
    )


def examining_line(found: Examination) -> Content:
    """The same for the border of a pane, at a steady width."""
    text, done, total = _phase(found)
    share = f" {done * 100 // total:>3}%" if total else ""
    return Content.assemble((f"{text}{share}", "$foreground"), ("  x", "bold $accent"), " cancel")


def reason(error: BaseException, width: int) -> str:
    """The first line of an error."""
    message = getattr(error, "message", None) or f"{type(error).__name__}: {error}"
    return f"✕ {safe_text(message, width)}"


def failed(error: BaseException) -> Content:
    """Why there are no pictures, and what to do."""
    parts: list[Part] = [(f"{reason(error, 300)}\n", "$bad")]
    if hint := getattr(error, "hint", None):
        parts.append((f"hint: {safe_text(hint, 240)}\n", "$foreground"))
    return Content.assemble(*parts, "\n", ("esc", "bold $accent"), " back to the matrix")


def answers_table(found: Sequence[Said], names: Sequence[str], source: str) -> str:
    """Pictures as text for the clipboard: split, number, true and said class, probability."""
    lines = ["split\tindex\ttrue\tsaid\tprobability"]
    lines += [
        "\t".join([source, str(s.index), plain(names[s.true]), plain(names[s.said]), f"{s.confidence:.4f}"])
        for s in found
    ]
    return "\n".join(lines) + "\n"


def as_text(run: RunReport, report: SplitReport, order: int) -> str:
    """The tables as text for the clipboard."""
    lines = [*summary(run, 76), Content("")]
    lines += [*classes(report, order, 76), Content("")]
    lines += pairs(report, 42)
    return "\n".join(line.plain.rstrip() for line in lines) + "\n"
