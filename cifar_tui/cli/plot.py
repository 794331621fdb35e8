"""``cifar-tui runs plot``: curves of runs, drawn in the terminal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cifar_tui.cli import common
from cifar_tui.cli.compare import Runs
from cifar_tui.errors import UsageError
from cifar_tui.text import did_you_mean, safe_text

if TYPE_CHECKING:
    from cifar_tui.charts import ChartSpec, Line
    from cifar_tui.runs.directory import RunDirectory
    from cifar_tui.runs.series import Curve

    Curves = dict[tuple[str, str], Curve]

METRICS = ("both", "loss", "accuracy")
SPLITS = ("test", "train", "validation", "train-batch")
PROGRESS = 5000  # points of the training curve that are read
_MOST = 8


def plot(
    runs: Runs,
    metric: Annotated[str, typer.Option("--metric", metavar="NAME", help="loss, accuracy or both.")] = "both",
    split: Annotated[
        str | None,
        typer.Option(
            "--split",
            metavar="NAME",
            help="test, train, validation or train-batch [default: all of one run, test of several].",
        ),
    ] = None,
    linear: Annotated[bool, typer.Option("--linear", help="A linear x axis, not a logarithmic one.")] = False,
    runs_dir: common.RunsDir = None,
    as_json: common.Json = False,
) -> None:
    """Draw loss and accuracy of runs against the step.

    With --json the series themselves are printed: step and value by run, split and metric.
    """
    for flag, value, valid in (("--metric", metric, METRICS), ("--split", split, SPLITS)):
        if value is not None and value not in valid:
            raise UsageError(f'{flag} is "{safe_text(value, 40)}"', hint=did_you_mean(value, valid))
    from cifar_tui.runs.directory import RunDirectory

    folder = common.runs_dir(runs_dir)
    found = [RunDirectory.open(folder, run) for run in dict.fromkeys(runs)]
    curves = [(run.id, _curves(run)) for run in found]
    splits = [split] if split is not None else list(SPLITS if len(found) == 1 else SPLITS[:1])
    metrics = list(METRICS[1:]) if metric == "both" else [metric]
    if as_json:
        common.print_json([_series(run, known, splits, metrics) for run, known in curves])
        return
    if len(found) > _MOST:
        raise UsageError(f"{len(found)} runs are too many for one chart, expected at most {_MOST}")
    drawn = [text for name in metrics if (text := _draw(curves, splits, name, linear))]
    if drawn:
        print("\n\n".join(drawn), flush=True)
    else:
        common.say("there is nothing to draw yet: no evaluation after step 0")


def _curves(run: RunDirectory) -> Curves:
    from cifar_tui.runs.reader import read_events
    from cifar_tui.runs.series import curves

    return curves(read_events(run.events_path, progress_limit=PROGRESS).events)


def _key(split: str, metric: str) -> tuple[str, str]:
    """The curve of a split; of the training steps the moving average."""
    return split, f"moving_{metric}" if split == "train-batch" else metric


def _series(run: str, known: Curves, splits: list[str], metrics: list[str]) -> dict[str, Any]:
    series = []
    for split in splits:
        for metric in metrics:
            curve = known.get(_key(split, metric))
            if curve is not None:
                values = [value if math.isfinite(value) else None for value in curve.value.tolist()]
                name = _key(split, metric)[1]
                series.append({"split": split, "metric": name, "step": curve.step.tolist(), "value": values})
    return {"run": run, "series": series}


def _draw(curves: list[tuple[str, Curves]], splits: list[str], metric: str, linear: bool) -> str:
    from cifar_tui import charts
    from cifar_tui.cli.console import Screen

    screen = Screen.current()
    columns, height = screen.size()
    width = max(40, min(columns, 160))
    lines = _lines(curves, splits, metric, linear, width)
    if not lines:
        return ""
    several = len(curves) > 1
    title = metric.capitalize() + (f" on {splits[0]}" if several else f" of {curves[0][0]}")
    spec: ChartSpec = charts.ChartSpec(
        title=title,
        lines=lines,
        width=width,
        height=max(10, min(20, height // 2 - 1)),
        log_x=not linear,
        unit="fraction" if metric == "accuracy" else "loss",
        marker="braille" if screen.unicode else "ascii",
        colour=screen.colour,
    )
    return "\n".join(row.rstrip() for row in charts.draw(spec).split("\n"))


def _lines(
    curves: list[tuple[str, Curves]], splits: list[str], metric: str, linear: bool, width: int
) -> list[Line]:
    from cifar_tui import charts
    from cifar_tui.runs.series import decimate

    lines = []
    for number, (run, known) in enumerate(curves):
        for split in reversed(splits):
            curve = known.get(_key(split, metric))
            if curve is None or not (curve.step > 0).any():
                continue
            thin = decimate(curve, width, log_x=not linear)
            one = len(curves) == 1
            label = ("~batch" if split == "train-batch" else split) if one else run
            role = ("batch" if split == "train-batch" else split) if one else f"other:{number}"
            lines.append(charts.Line(label, thin.step.astype(float), thin.value, role))
    return lines
