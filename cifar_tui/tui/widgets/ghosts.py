"""Curves of other runs, read from disk: the best of its kind, and those that are marked. For any thread."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from cifar_tui import events
from cifar_tui.errors import CifarTuiError
from cifar_tui.runs.directory import RunDirectory
from cifar_tui.runs.reader import read_events
from cifar_tui.runs.series import SeriesBuilder
from cifar_tui.runs.summary import summaries
from cifar_tui.tui.widgets.chart_data import Other

_POINTS = 4000


def load(run: RunDirectory, label: str, role: str) -> Other | None:
    """The curves of a run; None where they cannot be read or have no point."""
    try:
        found = read_events(run.events_path, progress_limit=_POINTS).events
    except CifarTuiError:
        return None
    series = SeriesBuilder()
    seconds, per_epoch = 0.0, 0
    for event in found:
        series.add(event)
        if isinstance(event, events.RunStarted):
            per_epoch = event.steps_per_epoch
        elif isinstance(event, events.Progress | events.RunEnded):
            seconds = event.seconds
    return Other(label, role, series, seconds, per_epoch) if series.curves() else None


def best_of(runs_dir: Path, model: str, dataset: str, without: str) -> Other | None:
    """The run of this model and dataset that is best on the test split; None where there is none.

    Args:
        runs_dir: the folder of all runs.
        model: its name.
        dataset: its name.
        without: id of a run that does not count.
    """
    try:
        known = summaries(runs_dir)
    except CifarTuiError:
        return None
    fitting = [
        row
        for row in known
        if (row.model, row.dataset) == (model, dataset)
        and row.run != without
        and row.best_test_accuracy is not None
        and row.state != "damaged"
    ]
    best = max(fitting, key=lambda row: row.best_test_accuracy or 0.0, default=None)
    return None if best is None else load(RunDirectory(runs_dir, best.run), f"best {best.run}", "ghost")


def marked(runs_dir: Path, ids: Sequence[str]) -> list[Other]:
    """The runs that are marked, each in its own colour; those that cannot be read are left out."""
    found = []
    for number, run_id in enumerate(ids):
        with contextlib.suppress(CifarTuiError):
            other = load(RunDirectory.open(runs_dir, run_id), run_id, f"other:{number}")
            if other is not None:
                found.append(other)
    return found
