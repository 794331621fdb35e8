"""Texts of the room of runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from textual.content import Content

from cifar_tui.text import human_seconds, safe_text
from cifar_tui.tui.widgets.lines import ends, stack
from cifar_tui.tui.widgets.runs_table import SIGNS, percent

if TYPE_CHECKING:
    from cifar_tui.runs.report import RunSummary


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


def detail(run: RunSummary, width: int) -> Content:
    """A run in four lines."""
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
    lines = [
        ends(
            [(safe_text(run.run, 64), "bold $foreground"), (title, "$muted")],
            [(f"{sign} {run.state}", f"${tone}")],
            width,
        ),
        ends([("what    ", "$muted"), (safe_text(dataset, 60), "$foreground")], [(fork, "$muted")], width),
        ends(
            [("best    ", "$muted"), (best, "$foreground")],
            [(f"{run.step:,} of {run.target:,} steps", "$muted")],
            width,
        ),
        ends(
            [("made    ", "$muted"), (safe_text(run.created, 30), "$foreground")],
            [(f"trained {human_seconds(run.seconds)}, {run.checkpoints} checkpoints", "$muted")],
            width,
        ),
    ]
    return stack(lines)
