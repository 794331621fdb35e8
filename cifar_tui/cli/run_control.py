"""``cifar-tui runs pause``, ``unpause``, ``stop`` and ``change``: steer a run that another process trains."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cifar_tui.cli import common
from cifar_tui.errors import StorageError, UsageError
from cifar_tui.text import safe_text

if TYPE_CHECKING:
    from cifar_tui.runs.directory import RunDirectory
    from cifar_tui.runs.liveness import Liveness

TAKEN_SECONDS = 15.0  # a step of a large model, or loading torch
_POLL = 0.1

Run = Annotated[str, typer.Argument(metavar="RUN", help="Id of a run that is being trained.")]


def pause(run: Run, runs_dir: common.RunsDir = None, as_json: common.Json = False) -> None:
    """Pause a run under way; see also unpause."""
    _show(_ask(run, runs_dir, "pause", {}, until=lambda state: state.state == "paused"), as_json)


def unpause(run: Run, runs_dir: common.RunsDir = None, as_json: common.Json = False) -> None:
    """Let a paused run go on."""
    _show(_ask(run, runs_dir, "resume", {}, until=lambda state: state.state != "paused"), as_json)


def stop(
    run: Run,
    evaluate: Annotated[bool, typer.Option("--evaluate", help="Evaluate before the end.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it has saved and ended.")] = True,
    runs_dir: common.RunsDir = None,
    as_json: common.Json = False,
) -> None:
    """Stop a run under way: it saves and ends.

    The process that trains it finishes its step first.
    """
    until = (lambda state: not state.live) if wait else None
    _show(_ask(run, runs_dir, "stop", {"evaluate": evaluate}, until=until, seconds=None), as_json)


def change(
    run: Run,
    steps: Annotated[int | None, typer.Option("--steps", metavar="N", help="Train to this step.")] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", metavar="X", help="Go on at this learning rate.")
    ] = None,
    checkpoint: Annotated[bool, typer.Option("--checkpoint", help="Write a checkpoint now.")] = False,
    evaluate: Annotated[bool, typer.Option("--evaluate", help="Evaluate now.")] = False,
    runs_dir: common.RunsDir = None,
    as_json: common.Json = False,
) -> None:
    """Change a run under way, or have it save.

    A new target or learning rate counts from the next steps on; --checkpoint and --evaluate happen now.
    """
    wanted: list[tuple[str, dict[str, object]]] = []
    if steps is not None:
        wanted.append(("target", {"step": steps}))
    if learning_rate is not None:
        wanted.append(("learning_rate", {"rate": learning_rate}))
    wanted += [("evaluate", {})] * evaluate + [("checkpoint", {})] * checkpoint
    if not wanted:
        raise UsageError(
            "nothing to change",
            hint=common.command(f"runs change {safe_text(run, 64)} --learning-rate 1e-4", runs_dir=runs_dir),
        )
    from cifar_tui.runs.requests import check

    for name, values in wanted:
        check(name, values)  # all are good, or none is sent
    found = [_ask(run, runs_dir, name, values) for name, values in wanted]
    if as_json:
        common.print_json(found)
        return
    for each in found:
        _say(each)


def _ask(
    run_id: str,
    runs_dir: str | None,
    request: str,
    values: dict[str, object],
    *,
    until: Any = None,
    seconds: float | None = TAKEN_SECONDS,
) -> dict[str, Any]:
    """Send a request, and wait until it is taken and its effect is seen.

    Returns:
        `run`, `request`, `values`, `id`, and the `state` and `pid` after it.

    Raises:
        UsageError: nobody trains the run.
        StorageError: its process does not take the request.
    """
    from cifar_tui.runs import requests
    from cifar_tui.runs.directory import RunDirectory

    run = RunDirectory.open(common.runs_dir(runs_dir), run_id)
    id = requests.ask(run, request, **values)
    _wait_taken(run, id, runs_dir)
    state = _wait(run, until, seconds)
    found: dict[str, Any] = {"run": run.id, "request": request, "values": values, "id": id}
    return {**found, "state": state.state, "pid": state.pid}


def _show(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        common.print_json(found)
    else:
        _say(found)


def _say(found: dict[str, Any]) -> None:
    common.say(f"{found['run']}: {_said(found['request'], found['values'])}; it is {found['state']}")


def _wait_taken(run: RunDirectory, id: str, runs_dir: str | None) -> None:
    from cifar_tui.runs import requests
    from cifar_tui.runs.liveness import look

    deadline = time.monotonic() + TAKEN_SECONDS
    while not requests.wait_taken(run, id, 1.0):
        if not look(run).live:
            return  # it ended meanwhile
        if time.monotonic() >= deadline:
            raise StorageError(
                f'the process that trains run "{run.id}" did not take the request '
                f"within {TAKEN_SECONDS:.0f} s",
                state="the request waits",
                hint=common.command(f"watch {run.id} --plain", runs_dir=runs_dir),
                id="E-RUN-BUSY",
            )


def _wait(run: RunDirectory, until: Any, seconds: float | None) -> Liveness:
    """The state of a run, once it is as expected; `seconds` None waits as long as its process lives."""
    from cifar_tui.runs.liveness import look

    deadline = None if seconds is None else time.monotonic() + seconds
    while True:
        state = look(run)
        if until is None or until(state) or not state.live:
            return state
        if deadline is not None and time.monotonic() > deadline:
            return state
        time.sleep(_POLL)


def _said(request: str, values: dict[str, Any]) -> str:
    return {
        "pause": "asked to pause",
        "resume": "asked to go on",
        "stop": "asked to stop" + (" after an evaluation" if values.get("evaluate") else ""),
        "evaluate": "asked to evaluate",
        "checkpoint": "asked to write a checkpoint",
        "target": f"asked to train to step {values.get('step')}",
        "learning_rate": f"asked for learning rate {values.get('rate')}",
    }[request]
