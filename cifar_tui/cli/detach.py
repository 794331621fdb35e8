"""``train --detach``: a training in a process of its own, which outlives the terminal.

This side starts it, shows what it says until its first step, and leaves; `detached` is the other side. They
talk over a pipe, one JSON object a line: events, then ``{"started": ...}`` or ``{"failed": ...}``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cifar_tui.cli import common
from cifar_tui.cli.report_text import Places
from cifar_tui.cli.signals import SignalWatch
from cifar_tui.errors import CifarTuiError, InterruptedBySignal, SystemResourceError
from cifar_tui.fsio import dump_json
from cifar_tui.processes import own_environment
from cifar_tui.text import safe_text

if TYPE_CHECKING:
    from cifar_tui.cli.console import View
    from cifar_tui.session import TrainRequest

LOG = "train.log"
_CHILD = "import sys; from cifar_tui.cli.detached import main; sys.exit(main(int(sys.argv[1])))"
_PATHS = ("data_dir", "runs_dir", "file")
_TICK_SECONDS = 0.1
_CHUNK = 1 << 16


class ForeignError(CifarTuiError):
    """An error of another process, with its id and exit code."""

    def __init__(self, values: dict[str, Any]) -> None:
        def text(name: str) -> str | None:
            value = values.get(name)
            return value if isinstance(value, str) and value else None

        super().__init__(
            text("message") or "the training failed",
            where=text("where"),
            state=text("state"),
            hint=text("hint"),
        )
        about = values.get("error")
        if isinstance(about, dict) and isinstance(about.get("id"), str):
            self.id = about["id"]
        code = values.get("exit")
        self.exit_code = code if isinstance(code, int) and 0 < code < 256 else 1  # type: ignore[misc]


def train(request: TrainRequest, places: Places, *, as_json: bool) -> None:
    """Start a training in a process of its own, and print its run once it trains.

    Raises:
        CifarTuiError: it did not begin; the error is that of the training.
    """
    from cifar_tui.cli.console import Screen, View, make_view

    view = View() if as_json else make_view(Screen.current(), as_json=False)
    process, reader = _spawn(request, places)
    try:
        with SignalWatch() as watch:
            last = _listen(process, reader, view, watch)
    finally:
        view.close()
        os.close(reader)
    if "started" in last:
        process.returncode = 0  # it goes on without us, and is not ours to wait for
        _say_started(last["started"], places, as_json)
        return
    code = process.wait()
    if watch.number:
        raise InterruptedBySignal(
            watch.number, f"stopped by {watch.name} before the training began", state="nothing changed"
        )
    if "failed" in last:
        raise ForeignError(last["failed"])
    how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
    raise SystemResourceError(
        f"the process of the training ended {how} before its first step",
        state="nothing is being trained",
        hint="try it without --detach",
        id="E-DETACH",
    )


def _spawn(request: TrainRequest, places: Places) -> tuple[subprocess.Popen[bytes], int]:
    reader, writer = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _CHILD, str(writer)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=None if _has_descriptor(sys.stderr) else subprocess.DEVNULL,
            env=own_environment(),
            pass_fds=(writer,),
            start_new_session=True,
        )
    except OSError as error:
        os.close(reader)
        raise SystemResourceError(
            f"cannot start a process: {error.strerror}", hint="try it without --detach", id="E-DETACH"
        ) from error
    finally:
        os.close(writer)
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError), process.stdin:
        process.stdin.write(dump_json(pack(request, places)).encode("ascii"))
    return process, reader


def _has_descriptor(stream: Any) -> bool:
    try:
        return int(stream.fileno()) >= 0
    except (AttributeError, OSError, ValueError):
        return False


def _listen(process: subprocess.Popen[bytes], reader: int, view: View, watch: SignalWatch) -> dict[str, Any]:
    """Show what the training says; returns its last word before it goes on alone, {} where there is none."""
    told, rest = False, b""
    while True:
        ready, _, _ = select.select([reader], [], [], _TICK_SECONDS)
        if watch.number and not told:
            told = True
            if watch.number != signal.SIGHUP:  # the terminal was closed: that is what it is made for
                process.send_signal(signal.SIGTERM)
                view.say(f"{watch.name}: stopping before the training begins")
        if ready:
            data = os.read(reader, _CHUNK)
            if not data:
                return {}
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                values = json.loads(line)
                if "started" in values or "failed" in values:
                    return dict(values)
                _show(view, values)
        view.draw()


def _show(view: View, values: object) -> None:
    from cifar_tui.events import from_json

    with contextlib.suppress(ValueError):
        view.take(from_json(values))


def _say_started(values: dict[str, Any], places: Places, as_json: bool) -> None:
    run = str(values["run"])
    commands = {
        "watch": places.command("watch", run, data=False),
        "stop": places.command("runs", "stop", run, data=False),
    }
    if as_json:
        common.print_json({**values, "host": socket.gethostname(), **commands})
        return
    common.say(
        f"run {run} is trained by process {values['pid']}, which needs no terminal\n"
        f"  watch  {commands['watch']}\n"
        f"  stop   {commands['stop']}\n"
        f"  log    {safe_text(values['log'])}"
    )
    print(run, flush=True)


def pack(request: TrainRequest, places: Places) -> dict[str, Any]:
    """A request as JSON values, for `unpack` in another process."""
    values = {field.name: getattr(request, field.name) for field in dataclasses.fields(request)}
    recipe = request.recipe
    if recipe is not None:
        values["recipe"] = {
            "config": recipe.config.model_dump(),
            "origins": recipe.origins,
            "warnings": list(recipe.warnings),
            "preset": recipe.preset,
        }
    for name in _PATHS:
        values[name] = None if values[name] is None else str(values[name].absolute())
    values["changes"] = dict(request.changes)
    return {"request": values, "places": [places.data_dir, places.runs_dir]}


def unpack(packed: dict[str, Any]) -> tuple[TrainRequest, Places]:
    """What `pack` packed."""
    from cifar_tui.config import RunConfig
    from cifar_tui.recipe import Recipe
    from cifar_tui.session import TrainRequest

    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in packed["request"].items()
    }
    recipe = values["recipe"]
    if recipe is not None:
        config = RunConfig(**recipe["config"])
        values["recipe"] = Recipe(config, recipe["origins"], tuple(recipe["warnings"]), recipe["preset"])
    for name in _PATHS:
        values[name] = None if values[name] is None else Path(values[name])
    return TrainRequest(**values), Places(*packed["places"])
