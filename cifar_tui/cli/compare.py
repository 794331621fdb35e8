"""``cifar-tui runs compare``: runs side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cifar_tui.cli import common
from cifar_tui.errors import UsageError

if TYPE_CHECKING:
    from cifar_tui.runs.compare import Comparison

Runs = Annotated[list[str], typer.Argument(metavar="RUN...", help="Ids of runs, see: cifar-tui runs list.")]


def compare(runs: Runs, runs_dir: common.RunsDir = None, as_json: common.Json = False) -> None:
    """Compare runs: settings that differ, and results."""
    from cifar_tui.runs.compare import compare as make
    from cifar_tui.runs.directory import RunDirectory

    folder = common.runs_dir(runs_dir)
    found = [RunDirectory.open(folder, run) for run in dict.fromkeys(runs)]
    if len(found) < 2:
        raise UsageError(
            "one run has nothing to be compared with",
            hint=common.command(f"runs compare {found[0].id} OTHER", runs_dir=runs_dir),
        )
    compared = make(found)
    if as_json:
        common.print_json(compared.to_json())
        return
    print(_differences(compared))
    print()
    print(_results(compared))


def _differences(compared: Comparison) -> str:
    from cifar_tui.cli.choices import value_text

    if not compared.differences:
        return "no setting differs"
    rows = [[name, *map(value_text, values)] for name, values in compared.differences.items()]
    return common.table(["setting", *compared.runs], rows, right=range(1, len(compared.runs) + 1))


def _results(compared: Comparison) -> str:
    """Results as rows, runs as columns; the best of each row is bold where stdout may be coloured."""
    from cifar_tui.text import human_seconds

    results = compared.results
    rows: list[list[str]] = []
    colours: dict[tuple[int, int], str] = {}

    def add(name: str, values: list[Any], form: Any, better: Any = None) -> None:
        if all(value is None for value in values):
            return
        if better is not None:
            best = better(value for value in values if value is not None)
            equal = [n for n, value in enumerate(values) if value == best]
            if len(equal) < len(values):
                colours.update({(len(rows), n + 1): "1" for n in equal})
        rows.append([name, *("-" if value is None else form(value) for value in values)])

    add("best test accuracy", [each.best and each.best[0] for each in results], "{:.2%}".format, max)
    add("  at step", [each.best and each.best[1] for each in results], "{:,}".format)
    for split in ("test", "validation", "train"):
        last = [each.last.get(split, {}) for each in results]
        add(f"last {split} accuracy", [each.get("accuracy") for each in last], "{:.2%}".format, max)
        add(f"last {split} top-5", [each.get("top5") for each in last], "{:.2%}".format, max)
        add(f"last {split} loss", [each.get("loss") for each in last], "{:.4f}".format, min)
    add("steps", [each.step for each in results], "{:,}".format)
    add("steps/s", [each.steps_per_second for each in results], "{:,.1f}".format, max)
    add("time in steps", [each.seconds for each in results], human_seconds)
    columns = len(compared.runs)
    return common.table(["result", *compared.runs], rows, right=range(1, columns + 1), colours=colours)
