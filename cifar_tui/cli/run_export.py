"""``cifar-tui runs export``: the curves of a run as a file."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cifar_tui.cli import common
from cifar_tui.errors import CannotCreateError, UsageError, from_os_error
from cifar_tui.text import did_you_mean, safe_text

if TYPE_CHECKING:
    from cifar_tui.events import Event
    from cifar_tui.runs.directory import RunDirectory

FORMATS = ("plot-points", "csv")
# One spelling everywhere: these are the fields of the events.
COLUMNS = (
    "step",
    "epoch",
    "split",
    "loss",
    "accuracy",
    "top5",
    "penalty",
    "examples",
    "moving_loss",
    "moving_accuracy",
    "mean_loss",
    "mean_accuracy",
    "learning_rate",
    "steps_per_second",
    "images_per_second",
    "seconds",
    "evaluation_seconds",
    "time",
)


def export(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Id of a run, see: cifar-tui runs list.")],
    file: Annotated[
        str, typer.Argument(metavar="[FILE]", help="Where to; - for standard output [default: -].")
    ] = "-",
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="csv, or plot-points (training_plot_points.json of the original notebook).",
        ),
    ] = "csv",
    force: Annotated[bool, typer.Option("--force", help="Replace a file that exists.")] = False,
    runs_dir: common.RunsDir = None,
) -> None:
    """Write the curves of a run to a file.

    csv has a line for each evaluation and each point of the training curve, and columns named as in the JSON
    events; split is train, test, validation, or train-batch for the training steps. What does not apply is
    empty.
    """
    if format_ not in FORMATS:
        raise UsageError(f'--format is "{safe_text(format_, 40)}"', hint=did_you_mean(format_, FORMATS))
    from cifar_tui.runs.directory import RunDirectory

    found = RunDirectory.open(common.runs_dir(runs_dir), run)
    target = None if file == "-" else Path(file).expanduser()
    if target is not None and target.is_dir():
        raise CannotCreateError(f"{target} is a folder, expected the name of a file")
    if target is not None and target.exists() and not force:
        raise CannotCreateError(
            f"{target} exists already",
            state="nothing changed",
            hint="add --force to replace it, or name another",
        )
    text, count = _points(found) if format_ == "plot-points" else _csv(found)
    if target is None:
        sys.stdout.write(text)
        return
    from cifar_tui.fsio import replace_bytes

    try:
        replace_bytes(target, text.encode("utf-8"))
    except OSError as error:
        raise from_os_error(error, "write", target) from None
    common.say(f"wrote {safe_text(target)}: {count} points")


def _points(run: RunDirectory) -> tuple[str, int]:
    from cifar_tui.fsio import dump_json
    from cifar_tui.runs.reader import read_events
    from cifar_tui.runs.series import training_plot_points

    points = training_plot_points(read_events(run.events_path).events)
    return "".join(dump_json(point) + "\n" for point in points), len(points)


def _csv(run: RunDirectory) -> tuple[str, int]:
    import csv
    import io

    from cifar_tui.runs.reader import read_events

    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    found = rows(read_events(run.events_path).events)
    writer.writerows(found)
    return out.getvalue(), len(found)


def rows(events: list[Event]) -> list[dict[str, Any]]:
    """The rows of the csv by column, in order of step; what a later start superseded is left out."""
    from cifar_tui.events import Evaluation, Progress, RunStarted
    from cifar_tui.runs.series import BATCH

    found: list[dict[str, Any]] = []
    for event in events:
        if isinstance(event, RunStarted):
            found = [row for row in found if row["step"] <= event.step]
        elif isinstance(event, Evaluation):
            row = {name: _value(getattr(event, name, None)) for name in COLUMNS}
            found.append(row | {"seconds": "", "evaluation_seconds": event.seconds})
        elif isinstance(event, Progress) and event.loss is not None:
            found.append({name: _value(getattr(event, name, None)) for name in COLUMNS} | {"split": BATCH})
    found.sort(key=lambda row: int(row["step"]))
    return found


def _value(value: object) -> object:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    return value
