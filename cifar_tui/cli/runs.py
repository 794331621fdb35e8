"""``cifar-tui runs``: what was trained."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cifar_tui.cli import common, compare, plot, run_control, run_export
from cifar_tui.errors import UsageError
from cifar_tui.text import did_you_mean, human_bytes, safe_text

if TYPE_CHECKING:
    from cifar_tui.runs.summary import RunSummary

app = common.new_app(help="Runs: list, show, compare, plot, pause, stop, rename, delete, export.")
SORTS = ("created", "best", "name")

Run = Annotated[str, typer.Argument(metavar="RUN", help="Id of a run, see: cifar-tui runs list.")]


@app.command("list", epilog="Example: cifar-tui runs list --sort best")
def list_command(
    sort: Annotated[
        str, typer.Option("--sort", metavar="KEY", help="created (newest first), best or name.")
    ] = "created",
    runs_dir: common.RunsDir = None,
    as_json: common.Json = False,
) -> None:
    """List the runs, newest first."""
    if sort not in SORTS:
        raise UsageError(f'--sort is "{safe_text(sort, 40)}"', hint=did_you_mean(sort, SORTS))
    from cifar_tui.runs.summary import summaries
    from cifar_tui.runs.summary_index import SummaryIndex

    folder = common.runs_dir(runs_dir)
    index = SummaryIndex.read(folder)
    with _no_collections():
        found = summaries(folder, index)
    if sort == "best":
        found.sort(key=lambda each: -1 if each.best_test_accuracy is None else each.best_test_accuracy)
        found.reverse()
    elif sort == "name":
        found.sort(key=lambda each: each.run.casefold())
    if as_json:
        common.print_json([each.to_json() for each in found])
    elif found:
        print(_list_table(found), flush=True)
    else:
        common.say(
            f"there are no runs in {safe_text(folder)} yet; the first one: "
            + common.command("demo", runs_dir=runs_dir)
        )
    index.save()  # the list is in sight already


@app.command(epilog="Example: cifar-tui runs show fnn-cifar10-1")
def show(run: Run, runs_dir: common.RunsDir = None, as_json: common.Json = False) -> None:
    """Show a run: config, results, checkpoints."""
    from cifar_tui.cli.run_details import details, details_text
    from cifar_tui.runs.directory import RunDirectory

    found = details(RunDirectory.open(common.runs_dir(runs_dir), run))
    if as_json:
        common.print_json(found)
    else:
        print(details_text(found))


app.command("compare", epilog="Example: cifar-tui runs compare fnn-cifar10-1 first-try")(compare.compare)
app.command("plot", epilog="Example: cifar-tui runs plot fnn-cifar10-1 first-try --metric loss")(plot.plot)
app.command("pause", epilog="Example: cifar-tui runs pause fnn-cifar10-1")(run_control.pause)
app.command("unpause", epilog="Example: cifar-tui runs unpause fnn-cifar10-1")(run_control.unpause)
app.command("stop", epilog="Example: cifar-tui runs stop fnn-cifar10-1 --evaluate")(run_control.stop)
app.command("change", epilog="Example: cifar-tui runs change fnn-cifar10-1 --steps 20000")(run_control.change)


@app.command(epilog="Example: cifar-tui runs rename fnn-cifar10-1 first-try")
def rename(
    run: Run,
    new: Annotated[str, typer.Argument(metavar="NEW", help="Its new id.")],
    runs_dir: common.RunsDir = None,
    as_json: common.Json = False,
) -> None:
    """Give a run another id."""
    from cifar_tui.runs.directory import RunDirectory, rename_run

    renamed = rename_run(RunDirectory.open(common.runs_dir(runs_dir), run), new)
    if as_json:
        common.print_json({"run": renamed.id, "was": run, "path": str(renamed.path)})
    else:
        print(renamed.id)


@app.command(epilog="Example: cifar-tui runs delete first-try --yes")
def delete(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Ids of runs.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    runs_dir: common.RunsDir = None,
    as_json: common.Json = False,
) -> None:
    """Delete runs with their checkpoints.

    Asks first on a terminal; elsewhere it needs --yes. Nothing is deleted where one of the runs is not there
    or a process trains in it.
    """
    from cifar_tui.runs.directory import RunDirectory, delete_run
    from cifar_tui.runs.lock import RunLock, holder

    folder = common.runs_dir(runs_dir)
    found = [RunDirectory.open(folder, run) for run in dict.fromkeys(runs)]
    for run in found:
        if holder(run) is not None:
            with RunLock(run):  # says who holds it
                pass
    sizes = [folder_bytes(run.path) for run in found]
    if not yes:
        _ask([run.id for run in found], sum(sizes), runs_dir)
    for run, size in zip(found, sizes, strict=True):
        delete_run(run)
        common.say(f"deleted {run.id} ({human_bytes(size)})")
    if as_json:
        common.print_json({"deleted": [run.id for run in found], "bytes": sum(sizes)})


app.command("export", epilog="Example: cifar-tui runs export fnn-cifar10-1 curves.csv --format csv")(
    run_export.export
)


def folder_bytes(path: Path) -> int:
    """Size of the files in a folder and below; what vanishes meanwhile or cannot be read counts as 0."""
    total = 0
    for inner in path.rglob("*"):
        try:
            if inner.is_file() and not inner.is_symlink():
                total += inner.stat().st_size
        except OSError:
            continue
    return total


def dataset_text(dataset: str, state: str) -> str:
    """The dataset of a run, marked where it is not the official one."""
    return dataset if state in {"", "ready", dataset} else f"{dataset} ({state})"


def percent(value: float | None) -> str:
    """A fraction as a percentage with two digits; "-" where there is none."""
    return "-" if value is None else f"{value:.2%}"


def local_time(text: str) -> str:
    """An RFC 3339 time as local date and minute; the text itself where it is none."""
    from datetime import datetime

    try:
        return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError):
        return text[:20]


def _list_table(found: list[RunSummary]) -> str:
    header = ["run", "state", "step", "target", "%", "model", "dataset", "best test", "created"]
    rows, colours = [], {}
    for number, each in enumerate(found):
        done = f"{min(1.0, each.step / each.target):.0%}" if each.target else "-"
        counts = [f"{each.step:,}", f"{each.target:,}", done]
        dataset = dataset_text(each.dataset, each.dataset_state)
        best = percent(each.best_test_accuracy)
        rows.append([each.run, each.state, *counts, each.model, dataset, best, local_time(each.created)])
        colours[number, 1] = common.STATE_COLOURS.get(each.state, "")
    drawn = common.table(header, rows, right=(2, 3, 4, 7), colours=colours)
    if not common.on_terminal():
        return drawn
    # A narrow terminal loses what can be looked up best; ids are never cut, so that they can be copied.
    for name in ("%", "model", "created", "target", "dataset"):
        if _width(drawn) <= common.terminal_width():
            break
        place = header.index(name)
        header.pop(place)
        for row in rows:
            row.pop(place)
        right = [header.index(each) for each in ("step", "target", "%", "best test") if each in header]
        drawn = common.table(header, rows, right=right, colours=colours)
    return drawn


def _width(text: str) -> int:
    import re

    return max(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in text.split("\n"))


@contextlib.contextmanager
def _no_collections() -> Iterator[None]:
    """Thousands of summaries are no garbage, and every full collection would look at all of them."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def _ask(names: list[str], size: int, runs_dir: str | None) -> None:
    """Ask on the terminal whether to delete.

    Raises:
        UsageError: there is no terminal to ask on, or the answer is no.
    """
    words = f"{len(names)} runs" if len(names) > 1 else f'run "{names[0]}"'
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            f"deleting {words} needs a yes, and there is no terminal to ask on",
            state="nothing was deleted",
            hint=common.command(f"runs delete {' '.join(names)} --yes", runs_dir=runs_dir),
        )
    if len(names) > 1:
        common.say("\n".join(f"  {name}" for name in names))
    if not typer.confirm(f"delete {words} with checkpoints ({human_bytes(size)})?", err=True):
        common.say("nothing was deleted")
        raise typer.Exit(0)
