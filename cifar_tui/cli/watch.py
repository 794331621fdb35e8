"""``cifar-tui watch``: a run that another process trains."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from cifar_tui.cli import common
from cifar_tui.cli.report_text import Places
from cifar_tui.errors import (
    CifarTuiError,
    DivergedError,
    InterruptedBySignal,
    NotThereError,
    SystemResourceError,
    UsageError,
)
from cifar_tui.text import safe_text

if TYPE_CHECKING:
    from cifar_tui.cli.console import View
    from cifar_tui.events import Event, RunEnded
    from cifar_tui.runs.directory import RunDirectory
    from cifar_tui.runs.liveness import Liveness

app = common.new_app()
POLL_SECONDS = 0.25
LOOK_SECONDS = 1.0
HISTORY = 1000  # progress events of the past that are read


@app.command(epilog="Example: cifar-tui watch fnn-cifar10-1 --plain")
def watch(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Id of a run, see: cifar-tui runs list.")],
    plain: Annotated[
        bool, typer.Option("--plain", help="Lines in place of the app; so it is off a terminal too.")
    ] = False,
    data_dir: common.DataDir = None,
    runs_dir: common.RunsDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the events as JSON, one a line.")] = False,
) -> None:
    """Watch a run that another process trains.

    On a terminal the app opens on the run. With --plain, --json, or off a terminal, its events are printed
    until it ends; the exit code is then that of the training. Ctrl+C leaves; the run goes on. See also
    cifar-tui runs pause, stop and change.
    """
    from cifar_tui.runs.directory import RunDirectory

    found = RunDirectory.open(common.runs_dir(runs_dir), run)
    if not (plain or as_json) and common.on_terminal():
        from cifar_tui.cli.start import run_app

        raise typer.Exit(run_app(data_dir, runs_dir, watch=found.id))
    _stream(found, Places(data_dir, runs_dir), as_json)


def _stream(run: RunDirectory, places: Places, as_json: bool) -> None:
    from cifar_tui.cli.console import JsonView, Screen
    from cifar_tui.cli.report_text import training_report

    view: View = JsonView() if as_json else _plain_view()
    try:
        ended = follow(run, view, places)
    except KeyboardInterrupt:
        raise InterruptedBySignal(
            signal.SIGINT,
            f'watched run "{run.id}" no longer; it goes on',
            hint=places.command("runs", "stop", run.id, data=False),
        ) from None
    finally:
        view.close()
    if not as_json:
        common.say(f"{ended.state}: {safe_text(ended.reason)}\n")
        print(training_report(ended, _splits(run, ended), Screen.current(), run_path=run.path), flush=True)
    if ended.exit:
        raise _failure(run, ended, places)


def follow(
    run: RunDirectory, view: View, places: Places, *, sleep: Callable[[float], None] = time.sleep
) -> RunEnded:
    """Show the newest training of a run until it ends; returns its last event.

    Args:
        run: the run.
        view: gets the events, of the past those since the newest start.
        places: folders for the commands in hints.
        sleep: waits for some seconds.

    Raises:
        NotThereError: the run vanished.
        SystemResourceError: its process ended without a last word.
        UsageError: it was never trained, and nobody trains it.
    """
    from cifar_tui.events import RunEnded, RunStarted
    from cifar_tui.runs.liveness import look

    ended: RunEnded | None = None
    started, looked, told = False, 0.0, ""
    state = look(run)
    for event in _events(run, state):
        if event is not None:
            started = started or isinstance(event, RunStarted)
            ended = event if isinstance(event, RunEnded) else None
            view.take(event)
            continue
        # Nothing more is there. Whoever is found dead may have said more before that: one look back.
        if not state.live:
            if ended is not None:
                return ended
            raise _no_end(run, state, places, started)
        sleep(POLL_SECONDS)
        if time.monotonic() - looked >= LOOK_SECONDS or ended is not None:
            looked = time.monotonic()
            state = look(run)
            told = _tell(view, run, state, told)
            if state.state == "damaged" and not run.path.exists():
                raise NotThereError(f'run "{run.id}" was deleted or renamed', where=run.root)
    raise AssertionError("the events of a run have no end")


def _events(run: RunDirectory, state: Liveness) -> Iterator[Event | None]:
    """The events since the newest start, and those that come; None whenever no more are there."""
    from cifar_tui.events import RunEnded, RunStarted
    from cifar_tui.runs.reader import Tail

    read, tail = Tail.after(run.events_path, progress_limit=HISTORY)
    past = read.events
    first = max((n for n, event in enumerate(past) if isinstance(event, RunStarted)), default=0)
    if not (state.doing == "starting" and past and isinstance(past[-1], RunEnded)):  # else it is begun anew
        yield from past[first:]
    resets = tail.resets
    try:
        while True:
            found = tail.poll()
            if tail.resets != resets:  # the file was made anew, and begins with what was shown
                resets = tail.resets
                found = [event for event in found if not isinstance(event, RunStarted)]
            yield from found
            yield None
    finally:
        tail.close()


def _tell(view: View, run: RunDirectory, state: Liveness, before: str) -> str:
    """Say once when a run is paused, stalls or goes on; returns its state."""
    if state.state == before or not state.live:
        return state.state
    if state.state == "paused":
        view.say(f"paused; it goes on with: cifar-tui runs unpause {run.id}")
    elif state.state == "stalled":
        view.say(f"stalled: process {state.pid or 'unknown'} has said nothing for {state.silent:.0f} s")
    elif before in {"paused", "stalled"}:
        view.say("it goes on")
    elif state.doing == "starting":
        view.say(f"process {state.pid or 'unknown'} prepares the training")
    return state.state


def _no_end(run: RunDirectory, state: Liveness, places: Places, started: bool) -> CifarTuiError:
    if state.state == "damaged":
        run.meta()  # says what is damaged
    if not started:
        return UsageError(
            f'run "{run.id}" was not trained yet, and nobody trains it',
            hint=places.command("train", "--resume", run.id),
            id="E-RUN-IDLE",
        )
    return SystemResourceError(
        f'the process that trained run "{run.id}" ended without a last word',
        where=run.path,
        state="its checkpoints are intact",
        hint=places.command("train", "--resume", run.id),
        id="E-RUN-CRASHED",
    )


def _failure(run: RunDirectory, ended: RunEnded, places: Places) -> CifarTuiError:
    """The error with which the training itself ended."""
    from cifar_tui.cli.detach import ForeignError

    resume = places.command("train", "--resume", run.id)
    if ended.state == "diverged":
        return DivergedError(
            f"training diverged: {ended.reason}",
            state=f'the checkpoint of step {ended.step:,} is kept in run "{run.id}"',
            hint=places.command("runs", "show", run.id, data=False),
        )
    values = {
        "message": f'run "{run.id}" {ended.state} at step {ended.step:,}: {ended.reason}',
        "hint": resume,
        "exit": ended.exit,
        "error": {"id": "E-SIGNAL" if ended.exit > 128 else "E-RUN-FAILED"},
    }
    return ForeignError(values)


def _splits(run: RunDirectory, ended: RunEnded) -> dict[str, dict[str, object]]:
    """The full reports of the last evaluation, where they are of the end."""
    from cifar_tui.runs.report import read_report

    try:
        report = read_report(run) or {}
    except CifarTuiError:
        return {}
    splits = report.get("splits")
    return splits if report.get("step") == ended.step and isinstance(splits, dict) else {}


def _plain_view() -> View:
    from cifar_tui.cli.plain_view import PlainView

    return PlainView()
