"""The process that ``train --detach`` leaves behind: it trains, and writes what it says to its log."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from cifar_tui import events
from cifar_tui.cli.console import LogView
from cifar_tui.cli.detach import LOG, unpack
from cifar_tui.errors import CifarTuiError
from cifar_tui.fsio import FILE_MODE, dump_json


class Starter:
    """The process that waits for the first step; it may be gone."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor
        os.set_inheritable(descriptor, False)

    @property
    def listens(self) -> bool:
        """Whether nothing final was said yet."""
        return self._descriptor is not None

    def tell(self, values: dict[str, Any]) -> None:
        """Send an object."""
        if self._descriptor is None:
            return
        data = memoryview((dump_json(values) + "\n").encode("ascii"))
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError:  # it was closed with its terminal: the training is what counts
            self.leave()

    def leave(self) -> None:
        """Say no more."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None


class DetachedView(LogView):
    """Tells the starter what happens until the first step; after that lines go to the run's log."""

    def __init__(self, starter: Starter, runs_dir: Path) -> None:
        super().__init__()
        self._starter, self._runs_dir = starter, runs_dir
        self._logging = False

    def take(self, event: events.Event) -> None:
        """Pass the event on, or write it down."""
        if isinstance(event, events.RunStarted) and not self._logging:
            self._starter.tell(events.to_json(event))
            log = to_log(self._runs_dir / event.run)
            self._logging = True
            self._write(event)
            said = {"run": event.run, "pid": os.getpid(), "step": event.step, "target": event.target}
            said |= {"path": str(self._runs_dir / event.run), "log": str(log)}
            self._starter.tell({"started": said})
            self._starter.leave()
        elif self._logging:
            self._write(event)
        else:
            self._starter.tell(events.to_json(event))

    def say(self, text: str, style: str = "") -> None:
        """A line of the log; before the first step the starter has words of its own."""
        if not self._logging:
            return
        with contextlib.suppress(OSError):
            super().say(text, style)

    def _write(self, event: events.Event) -> None:
        with contextlib.suppress(OSError):  # a full disk must not end the training for the sake of its log
            super().take(event)


def to_log(folder: Path) -> Path:
    """Let stdout and stderr go to the log of a run, or nowhere where it cannot be written."""
    path = folder / LOG
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, FILE_MODE)
    except OSError:
        path = Path(os.devnull)
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    with contextlib.suppress(OSError):
        print(time.strftime("---- %Y-%m-%d %H:%M:%S %z"), f"process {os.getpid()}", flush=True)
    return path


def main(descriptor: int) -> int:
    """Train what standard input asks for; returns the exit code.

    Args:
        descriptor: where the starter listens.
    """
    from cifar_tui.cli import driving
    from cifar_tui.cli.main import show_bug

    starter = Starter(descriptor)
    request, places = unpack(json.load(sys.stdin.buffer))
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.close(nowhere)
    os.chdir("/")  # no disk is kept from being taken away
    try:
        driving.train(request, places, view=DetachedView(starter, request.runs_dir))
    except CifarTuiError as error:
        if starter.listens:
            starter.tell({"failed": error.to_json()})
        else:
            _print(error.block())
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - a bug of ours, shown as every command shows it
        code = show_bug(error)
        bug = CifarTuiError(f"a bug in cifar-tui: {type(error).__name__}: {error}")
        starter.tell({"failed": bug.to_json()})
        return code
    return 0


def _print(text: str) -> None:
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)
