"""Texts of the room of runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from textual.content import Content

from cifar_tui.text import from_home, human_count, human_seconds, safe_text
from cifar_tui.tui.runs_data import Beside, shown
from cifar_tui.tui.widgets.lines import bar, ends, stack
from cifar_tui.tui.widgets.picture_views import padded
from cifar_tui.tui.widgets.runs_columns import SIGNS, per_second, percent

if TYPE_CHECKING:
    from cifar_tui.runs.summary import RunSummary


def empty(folder: Path, error: BaseException | None, *, looked: bool, nothing: bool) -> Content:
    """What stands where no run is shown, with the next key."""
    if error is not None:
        return Content.assemble((f"✕ {safe_text(error, 300)}", "$bad"))
    if not looked:
        return Content.assemble(("Looking for runs …", "$muted"))
    if nothing:
        return Content.assemble(
            (f"There are no runs yet in {safe_text(folder, 100)}\n\n", "$foreground"),
            ("1", "bold $accent"),
            " Dashboard, then ",
            ("space", "bold $accent"),
            " Start",
        )
    return Content.assemble(("No run holds these words.  ", "$muted"), ("esc", "bold $accent"), " Show all")


def detail(run: RunSummary, width: int, rows: int) -> Content:
    """A run in four lines or, where there is room, a few more."""
    sign, tone = SIGNS.get(run.state, ("?", "muted"))
    best = percent(run.best_test_accuracy)
    if run.best_step is not None:
        best += f" at {run.best_step:,}"
    title = "" if run.title == run.run else f"  {safe_text(run.title, 80)}"
    dataset = f"{run.model} on {run.dataset}" if run.model else "-"
    if run.dataset_state == "unverified":
        dataset += ", unverified data"
    parent = run.parent or {}
    fork = f"fork of {safe_text(parent.get('run', '?'), 40)}" if parent else ""
    rate = per_second(run)
    speed = f", {rate:,.3g} steps/s" if rate is not None else ""
    lines = [
        ends(
            [(safe_text(run.run, 64), "bold $foreground"), (title, "$muted")],
            [(f"{sign} {run.state}", f"${tone}")],
            width,
        ),
        _row("what", safe_text(dataset, 60), fork, width),
        _row("best", best, f"{run.step:,} of {run.target:,} steps", width),
        _row(
            "made",
            safe_text(run.created[:16].replace("T", " "), 30),
            f"trained {human_seconds(run.seconds)}, {run.checkpoints} checkpoints",
            width,
        ),
    ]
    if rows > len(lines):
        lines.insert(1, Content.assemble(*bar(run.step / run.target if run.target else None, width)))
    if rows > len(lines):
        lines.insert(4, _row("last", percent(run.last_test_accuracy), f"at {run.step:,}{speed}", width))
    if rows > len(lines):
        lines.append(_row("folder", safe_text(from_home(run.path), 200), "", width))
    return stack(lines[: max(1, rows)])


def _row(name: str, value: str, right: str, width: int) -> Content:
    return ends([(f"{name:<8}", "$muted"), (value, "$foreground")], [(right, "$muted")], width)


def differs(found: Beside, colours: Sequence[str], width: int) -> Content:
    """A table with a column for each run: the settings that differ, then the results."""
    if found.comparison is None:
        return Content.assemble(("Nothing is known of this run.", "$muted") if found.runs else "")
    count = len(found.runs)
    first = max(9, min(16, width - 9 * count))
    each = max(3, min(24, (width - first) // count - 1))
    heading = [("", "")] + [(run, f"bold {tone}") for run, tone in zip(found.runs, colours, strict=True)]
    lines = [_cells(heading, first, each)] if count > 1 else []
    for name, values in found.comparison.differences.items():
        texts = [shown(value) for value in values]
        usual = max(texts, key=texts.count)
        odd = [
            (text, "bold $foreground" if (count > 2 and text != usual) or count == 2 else "$muted")
            for text in texts
        ]
        lines.append(_cells([(name, "$muted"), *odd], first, each))
    if count > 1 and not found.comparison.differences:
        lines.append(Content.assemble(("The settings are the same.", "$muted")))
    if lines:
        lines.append(Content.assemble(("─" * min(width, first + (each + 1) * count), "$axis")))
    for name, row in _results(found):
        lines.append(_cells([(name, "$muted"), *((text, "$foreground") for text in row)], first, each))
    return stack(lines)


def _results(found: Beside) -> list[tuple[str, list[str]]]:
    assert found.comparison is not None
    results = found.comparison.results

    def last(split: str, name: str) -> list[str]:
        values = [known.last.get(split, {}).get(name) for known in results]
        if name == "loss":
            return ["-" if value is None else f"{value:.4f}" for value in values]
        return [percent(value) for value in values]

    rows = [
        ("best test", [percent(known.best[0] if known.best is not None else None) for known in results]),
        ("best step", [f"{known.best[1]:,}" if known.best is not None else "-" for known in results]),
        ("last test", last("test", "accuracy")),
        ("last train", last("train", "accuracy")),
        ("test loss", last("test", "loss")),
        ("top-5", last("test", "top5")),
        ("parameters", [human_count(count) if count else "-" for count in found.parameters]),
        ("step", [f"{known.step:,}" for known in results]),
        ("trained", [human_seconds(known.seconds) for known in results]),
        (
            "steps/s",
            [
                "-" if known.steps_per_second is None else f"{known.steps_per_second:,.4g}"
                for known in results
            ],
        ),
    ]
    return [(name, row) for name, row in rows if any(text not in {"-", "-:--"} for text in row)]


def _cells(parts: Sequence[tuple[str, str]], first: int, each: int) -> Content:
    found = [(padded(parts[0][0], first), parts[0][1])]
    for text, tone in parts[1:]:
        found += [(" ", ""), (padded(text, each, right=True), tone)]
    return Content.assemble(*found)


def table(runs: Sequence[RunSummary]) -> str:
    """Runs as lines of tab-separated text, with a heading."""
    lines = ["run\tstate\tstep\ttarget\tmodel\tdataset\tbest test\tlast test\tcreated"]
    for run in runs:
        numbers = [
            "" if value is None else f"{value:.4f}"
            for value in (run.best_test_accuracy, run.last_test_accuracy)
        ]
        cells = [run.run, run.state, str(run.step), str(run.target), run.model, run.dataset, *numbers]
        lines.append("\t".join(safe_text(cell, 200) for cell in [*cells, run.created]))
    return "\n".join(lines) + "\n"
