"""The engine that runs is in the record, in the banner of a command, and on the screen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cifar_tui import events
from cifar_tui.cli.console import banner
from cifar_tui.cli.run_details import details, details_text
from cifar_tui.engine import fused, native_build
from cifar_tui.recipe import resolve
from cifar_tui.runs.checkpoints import CheckpointStore
from cifar_tui.runs.directory import RunDirectory
from cifar_tui.runs.reader import read_events
from cifar_tui.session import Session, TrainRequest
from cifar_tui.tui.live import LiveRun
from cifar_tui.tui.widgets.header import device_text

FLAGS = {"dataset": "synthetic", "steps": "12", "batch_size": "20", "num_nodes": "16", "threads": "1"}


def trained(folder: Path, **values: str) -> RunDirectory:
    request = TrainRequest(
        data_dir=folder / "data",
        runs_dir=folder / "runs",
        recipe=resolve(flags=FLAGS | {"device": "cpu"} | values),
        name="one",
        offline=True,
    )
    session = Session(request)
    session.run()
    assert session.error is None
    return RunDirectory.open(folder / "runs", "one")


def started(run: RunDirectory) -> events.RunStarted:
    return next(
        event for event in read_events(run.events_path).events if isinstance(event, events.RunStarted)
    )


@pytest.mark.parametrize("engine", ["eager", "fused", *(["native"] if native_build.can_compile() else [])])
def test_the_record_the_banner_and_the_screen_name_the_engine(
    tmp_path: Path,
    dataset: dict[str, Any],
    engine: str,
) -> None:
    run = trained(tmp_path, engine=engine)
    assert run.meta()["device"]["engine"] == engine
    event = started(run)
    assert event.device["engine"] == engine
    assert banner(event).endswith(f"cpu (1 thread), engine {engine}")
    live = LiveRun()
    live.add(event)
    assert device_text(live) == f"cpu 1 thread {engine}"
    assert f"engine       {engine}\n" in details_text(details(run))
    store = CheckpointStore(run.checkpoints, 10)
    assert store.newest_good(None)[1]["engine"] == engine


def test_a_fall_is_in_the_record_and_on_the_screen(
    tmp_path: Path,
    dataset: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_args: Any) -> None:
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(fused.FusedStep, "adopt", broken)
    run = trained(tmp_path, norm="batch")
    found = read_events(run.events_path).events
    (note,) = [event for event in found if isinstance(event, events.Note) and event.id == "W-ENGINE"]
    assert "no such kernel" in note.text
    assert run.meta()["device"]["engine"] == "eager"
    live = LiveRun()
    live.device = {"device": "cuda:0", "name": "NVIDIA H100 80GB HBM3", "engine": "graph"}
    assert device_text(live) == "cuda:0 H100 80GB HBM3 graph"
    live.add(note)
    assert device_text(live) == "cuda:0 H100 80GB HBM3 eager"


def test_a_run_of_an_earlier_version_names_no_engine() -> None:
    live = LiveRun()
    assert device_text(live) == ""
    live.device = {"device": "cpu", "name": "a processor", "threads": 2}
    assert device_text(live) == "cpu 2 threads"
