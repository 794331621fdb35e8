"""``cifar-tui train``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cifar_tui.cli import common
from cifar_tui.cli.options import Asked, SectionedCommand, recipe_options
from cifar_tui.cli.report_text import Places
from cifar_tui.errors import UsageError

if TYPE_CHECKING:
    from cifar_tui.recipe import Recipe
    from cifar_tui.session import TrainRequest

app = common.new_app()

Title = Annotated[
    str | None, typer.Option("--title", metavar="TEXT", help="Free text kept with the new run.")
]
Resume = Annotated[
    str | None, typer.Option("--resume", metavar="RUN", help="Go on with a run from its newest checkpoint.")
]
At = Annotated[
    int | None,
    typer.Option(
        "--at", metavar="STEP", help="With --resume: from this checkpoint; later ones are discarded."
    ),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="With --resume: refuse one that would not be bit-exact.")
]
PrintConfig = Annotated[
    bool, typer.Option("--print-config", help="Print every value and where it comes from; do not train.")
]
Mirror = Annotated[
    list[str] | None,
    typer.Option("--mirror", metavar="URL", help="Where to download from first; may be repeated."),
]
Detach = Annotated[
    bool, typer.Option("--detach", help="Train in a process of its own that outlives the terminal.")
]
EventsAsJson = Annotated[
    bool, typer.Option("--json", help="Print the events as JSON, one a line; with --detach one object.")
]


@app.command(
    cls=SectionedCommand,
    epilog="Example: cifar-tui train --preset seed-cnn --dataset synthetic --steps 300",
)
@recipe_options()
def train(
    asked: Asked,
    name: common.NewRun = None,
    title: Title = None,
    resume: Resume = None,
    at: At = None,
    strict: Strict = False,
    print_config: PrintConfig = False,
    offline: common.Offline = False,
    mirror: Mirror = None,
    allow_unverified: common.AllowUnverified = False,
    detach: Detach = False,
    data_dir: common.DataDir = None,
    runs_dir: common.RunsDir = None,
    as_json: EventsAsJson = False,
) -> None:
    """Train a model, or go on with a run.

    Values come, later ones winning, from: the schema's default, the optimizer's own default, --preset,
    --config, --set, the flag. A flag given twice counts as given last.

    Ctrl+C finishes the step, saves and ends; a second one leaves at once. A missing dataset is downloaded
    first.

    With --detach the command ends once the training has begun, and prints the id of its run; see also
    cifar-tui watch and cifar-tui runs stop. Errors before the first step are reported as ever.
    """
    from cifar_tui.session import TrainRequest

    _check_combination(asked, resume=resume, name=name, title=title, at=at, strict=strict)
    request = TrainRequest(
        data_dir=common.data_dir(data_dir),
        runs_dir=common.runs_dir(runs_dir),
        recipe=_new_recipe(asked, name) if resume is None else None,
        name=name,
        title=title or "",
        resume=resume,
        at=at,
        changes=asked.flags,
        sets=asked.sets,
        file=asked.file,
        strict=strict,
        allow_unverified=allow_unverified,
        offline=offline,
        mirrors=tuple(mirror or ()),
    )
    places = Places(data_dir, runs_dir)
    if print_config:
        _print_config(request, as_json)
    elif resume is None or not _is_done(request, places, as_json):
        _start(request, places, detach=detach, as_json=as_json)


def _start(request: TrainRequest, places: Places, *, detach: bool, as_json: bool) -> None:
    from cifar_tui.cli import detach as detaching
    from cifar_tui.cli import driving

    begin = detaching.train if detach else driving.train
    begin(request, places, as_json=as_json)


def _check_combination(
    asked: Asked, *, resume: str | None, name: str | None, title: str | None, at: int | None, strict: bool
) -> None:
    if resume is None:
        for flag, given in (("--at", at is not None), ("--strict", strict)):
            if given:
                raise UsageError(f"{flag} goes with --resume", hint="cifar-tui train --resume RUN")
        return
    for flag, value in (("--preset", asked.preset), ("--name", name), ("--title", title)):
        if value is not None:
            raise UsageError(
                f"{flag} is for a new run, --resume goes on with an old one",
                state="nothing changed",
                hint=f"leave {flag} out; or make a new run from it: cifar-tui fork {resume}",
                id="E-RESUME-NEW",
            )


def _new_recipe(asked: Asked, name: str | None) -> Recipe:
    from cifar_tui.recipe import resolve
    from cifar_tui.runs.directory import check_run_id

    if name is not None:
        check_run_id(name)
    return resolve(preset=asked.preset, file=asked.file, sets=asked.sets, flags=asked.flags)


def _effective(request: TrainRequest) -> Recipe:
    if request.recipe is not None:
        return request.recipe
    from cifar_tui.runs.directory import RunDirectory
    from cifar_tui.session.resume import changed_recipe

    assert request.resume is not None
    run = RunDirectory.open(request.runs_dir, request.resume)
    return changed_recipe(run, run.meta(), request)


def _print_config(request: TrainRequest, as_json: bool) -> None:
    from cifar_tui.recipe import describe

    recipe = _effective(request)
    if as_json:
        common.print_json(
            {
                "config": recipe.config.model_dump(),
                "origins": recipe.origins,
                "warnings": list(recipe.warnings),
            }
        )
        return
    for warning in recipe.warnings:
        common.say(f"warning: {warning}")
    print(common.table(["option", "value", "from"], describe(recipe)), flush=True)


def _is_done(request: TrainRequest, places: Places, as_json: bool) -> bool:
    """Say so, without loading torch, where a run has nothing left to do."""
    from cifar_tui import events
    from cifar_tui.runs.directory import RunDirectory
    from cifar_tui.runs.lock import holder
    from cifar_tui.runs.report import fold_run
    from cifar_tui.session.resume import changed_recipe, changes, recorded_config

    assert request.resume is not None
    run = RunDirectory.open(request.runs_dir, request.resume)
    meta = run.meta()
    config = changed_recipe(run, meta, request).config
    found = fold_run(run)
    ended = found.ended
    if request.at is not None or ended is None or ended.state != "done" or holder(run) is not None:
        return False
    extended = changes(recorded_config(run, meta), config).keys() & {
        "epochs",
        "max_seconds",
        "target_accuracy",
    }
    target = found.target if config.epochs is not None else config.steps
    if extended or (target > ended.step and target != found.target):
        return False
    if as_json:
        common.print_json(events.to_json(ended))
        return True
    longer = places.command("train", "--resume", run.id, "--steps", str(max(2 * ended.step, 1000)))
    if ended.step >= target:
        print(f"run {run.id} has reached its target of {target:,} steps; extend it: {longer}", flush=True)
    else:
        print(
            f"run {run.id} is done at step {ended.step:,} ({ended.reason}); extend it: {longer}", flush=True
        )
    return True
