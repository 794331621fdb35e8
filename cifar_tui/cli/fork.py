"""``cifar-tui fork``."""

from __future__ import annotations

from typing import Annotated

import typer

from cifar_tui.cli import common
from cifar_tui.cli.options import Asked, SectionedCommand, recipe_options
from cifar_tui.cli.report_text import Places
from cifar_tui.errors import UsageError

app = common.new_app()


@app.command(
    cls=SectionedCommand,
    epilog="Example: cifar-tui fork cnn-synthetic-1 --best --learning-rate 1e-4 --name slower",
)
@recipe_options(preset=False)
def fork(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Id of the run to begin at.")],
    asked: Asked,
    at: Annotated[
        int | None,
        typer.Option("--at", metavar="STEP", help="Begin at this checkpoint [default: the newest]."),
    ] = None,
    best: Annotated[bool, typer.Option("--best", help="Begin at the best checkpoint.")] = False,
    name: common.NewRun = None,
    data_dir: common.DataDir = None,
    runs_dir: common.RunsDir = None,
    as_json: common.Json = False,
) -> None:
    """Make a new run that begins at a checkpoint of another; prints its id.

    The model's shape and the dataset stay; everything else may be changed. The old run is not touched.
    """
    from cifar_tui.runs.directory import RunDirectory
    from cifar_tui.session.fork import fork as make_fork

    if at is not None and best:
        raise UsageError("--at and --best exclude each other", hint="leave one of them out")
    folder = common.runs_dir(runs_dir)
    new, checkpoint, changed = make_fork(
        RunDirectory.open(folder, run),
        folder,
        at=at,
        name=name,
        flags=asked.flags,
        sets=asked.sets,
        file=asked.file,
        best=best,
    )
    if as_json:
        common.print_json(
            {
                "run": new.id,
                "step": checkpoint.step,
                "parent": {"run": run, "step": checkpoint.step},
                "changed": {field: {"old": old, "new": value} for field, (old, value) in changed.items()},
                "path": str(new.path),
            }
        )
        return
    common.say(f"run {new.id} begins at step {checkpoint.step:,} of {run}")
    for field, (old, value) in changed.items():
        common.say(f"  {field}: {old} -> {value}")
    print(new.id, flush=True)
    config = new.meta()["config"]
    steps = [] if config["steps"] > checkpoint.step else ["--steps", str(max(2 * checkpoint.step, 1000))]
    common.say(f"next  {Places(data_dir, runs_dir).command('train', '--resume', new.id, *steps)}")
