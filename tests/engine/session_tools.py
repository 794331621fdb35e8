"""What the tests of sessions share."""

from __future__ import annotations

from pathlib import Path

from cifar_tui import events
from cifar_tui.runs.directory import RunDirectory
from cifar_tui.runs.reader import read_events
from cifar_tui.session import Session


def finish(session: Session) -> events.RunEnded:
    ended = session.run()
    if session.error is not None:
        raise session.error
    assert ended is not None
    return ended


def run_of(tmp_path: Path, name: str) -> RunDirectory:
    return RunDirectory.open(tmp_path / "runs", name)


def last_start(run: RunDirectory) -> events.RunStarted:
    return [e for e in read_events(run.events_path).events if isinstance(e, events.RunStarted)][-1]
