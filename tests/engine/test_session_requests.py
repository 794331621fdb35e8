"""A training that other processes steer: what they ask for happens and is on record."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cifar_tui import events
from cifar_tui.datasets import store
from cifar_tui.datasets.places import DatasetStatus
from cifar_tui.engine.control import Control
from cifar_tui.errors import LockedError, UsageError
from cifar_tui.recipe import resolve
from cifar_tui.runs.directory import RunDirectory
from cifar_tui.runs.liveness import look
from cifar_tui.runs.lock import RunLock, read_lock
from cifar_tui.runs.reader import Tail, read_events
from cifar_tui.runs.requests import ask, wait_taken
from cifar_tui.session import Session, TrainRequest, attend
from cifar_tui.session.attend import Attendant

from .conftest import tiny

WAIT = 30.0


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = tiny()
    status = DatasetStatus("synthetic", "ready", 200, 50, 10, 0, None, "")
    monkeypatch.setattr(store, "status", lambda *_args: status)
    monkeypatch.setattr(store, "load", lambda *_args, **_options: dataset)


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def request_for(root: Path, **options: Any) -> TrainRequest:
    flags = {
        "dataset": "synthetic", "steps": "100000000", "batch_size": "20", "num_nodes": "16",
        "evaluate": "end", "threads": "1",
    }  # fmt: skip
    places = {"data_dir": root / "data", "runs_dir": root / "runs"}
    if "resume" in options:
        return TrainRequest(**places, **options)
    return TrainRequest(**places, recipe=resolve(flags=flags), name="a", **options)


@pytest.fixture
def training(tmp_path: Path) -> Iterator[tuple[Session, RunDirectory]]:
    """A session that trains in a thread, as an app's or a command's does."""
    session = Session(request_for(tmp_path))
    thread = threading.Thread(target=session.run)
    thread.start()
    run = RunDirectory(tmp_path / "runs", "a")
    try:
        until(lambda: (session.trainer is not None and session.trainer.step > 5) or not thread.is_alive())
        assert thread.is_alive(), session.error
        yield session, run
    finally:
        session.control.stop()
        thread.join(WAIT)
    assert not thread.is_alive()


def said(run: RunDirectory, id: str) -> list[str]:
    return [
        event.text
        for event in read_events(run.events_path).events
        if isinstance(event, events.Note) and event.id == id
    ]


def test_fault_089_two_watchers_steer_one_training_and_both_see_it(
    training: tuple[Session, RunDirectory],
) -> None:
    session, run = training
    trainer = session.trainer
    assert trainer is not None
    views = [Tail.follow(run.events_path), Tail.follow(run.events_path)]
    assert look(run).state == "running"
    with pytest.raises(LockedError):
        RunLock(run, patience=0).acquire()

    ask(run, "pause")
    until(lambda: look(run).state == "paused")
    step = trainer.step
    ask(run, "learning_rate", rate=0.002)  # from the other one
    ask(run, "resume")
    until(lambda: trainer.step > step)
    until(lambda: look(run).state == "running")
    assert trainer.rate_factor == pytest.approx(20)

    ask(run, "checkpoint")
    ask(run, "evaluate")
    found: list[events.Event] = []
    other: list[events.Event] = []

    def seen() -> bool:
        found.extend(views[0].poll())
        other.extend(views[1].poll())
        kinds = {(event.kind, getattr(event, "reason", "")) for event in found}
        return {("checkpoint", "demand"), ("evaluation", "")} <= kinds and len(other) >= len(found)

    until(seen)
    ask(run, "stop", evaluate=True)
    until(lambda: session.ended is not None)
    until(lambda: not look(run).live)
    found.extend(views[0].poll())
    other.extend(views[1].poll())
    for view in views:
        view.close()
    assert found == other == read_events(run.events_path).events
    rates = [note.values for note in found if isinstance(note, events.Note) and note.id == "I-LEARNING-RATE"]
    assert rates == [{"learning_rate": 0.002}]
    ended = found[-1]
    assert isinstance(ended, events.RunEnded)
    assert ended.state == "stopped"
    assert "asked" in ended.reason
    assert ended.test is not None, "it was evaluated before the end"
    assert look(run).state == "stopped"
    assert [text.partition(" asked to ")[2] for text in said(run, "I-REQUEST")] == [
        "pause",
        "go on at learning rate 0.002",
        "resume",
        "write a checkpoint",
        "evaluate",
        "stop after an evaluation",
    ]


def test_a_new_target_ends_the_training_there(training: tuple[Session, RunDirectory]) -> None:
    session, run = training
    assert session.trainer is not None
    ask(run, "pause")
    until(lambda: look(run).state == "paused")
    target = session.trainer.step + 7
    ask(run, "target", step=target)
    ask(run, "resume")
    until(lambda: session.ended is not None)
    assert session.ended is not None
    assert (session.ended.state, session.ended.step) == ("done", target)
    until(lambda: look(run).state == "done")


def test_an_unknown_request_is_refused_on_record_and_the_training_goes_on(
    training: tuple[Session, RunDirectory],
) -> None:
    session, run = training
    assert session.trainer is not None
    folder = run.path / "requests"
    folder.mkdir(exist_ok=True)
    (folder / "00000000000000000001-1-1.json").write_text(
        '{"schema": 1, "request": "\x7f\\u001b[31mexplode", "values": {}}'
    )
    until(lambda: said(run, "W-REQUEST"))
    (text,) = said(run, "W-REQUEST")
    assert "explode" in text
    assert text.isprintable()
    step = session.trainer.step
    until(lambda: session.trainer is not None and session.trainer.step > step)


def test_a_request_that_was_left_before_the_start_is_not_served(
    training: tuple[Session, RunDirectory], tmp_path: Path
) -> None:
    session, run = training
    session.control.stop()
    until(lambda: session.ended is not None and not look(run).live)
    with pytest.raises(UsageError):
        ask(run, "stop")
    (run.path / "requests").mkdir(exist_ok=True)
    left = run.path / "requests" / "00000000000000000001-1-1.json"
    left.write_text('{"schema": 1, "request": "stop", "values": {}}')
    again = Session(request_for(tmp_path, resume="a"))
    thread = threading.Thread(target=again.run)
    thread.start()
    until(lambda: again.trainer is not None and session.ended and again.trainer.step > session.ended.step + 5)
    assert not left.exists()
    assert said(run, "I-REQUEST") == []
    assert wait_taken(run, ask(run, "stop"), WAIT)
    thread.join(WAIT)
    assert again.ended is not None
    assert again.ended.state == "stopped"


def test_nothing_is_said_after_the_last_word(training: tuple[Session, RunDirectory]) -> None:
    session, run = training
    ask(run, "stop")
    with pytest.raises(UsageError):
        for _ in range(10_000):
            ask(run, "pause")
            time.sleep(0.01)
    until(lambda: session.ended is not None and not look(run).live)
    assert isinstance(read_events(run.events_path).events[-1], events.RunEnded)


def test_a_training_that_says_nothing_has_no_heartbeat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attend, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(attend, "BEAT_SECONDS", 0.01)
    monkeypatch.setattr(attend, "HUNG_SECONDS", 0.1)
    run = RunDirectory.create(tmp_path, {}, name="a", stem="a")

    def beats() -> bool:
        before = run.lock_path.stat().st_mtime_ns
        time.sleep(0.1)
        return run.lock_path.stat().st_mtime_ns != before

    with RunLock(run) as lock, Attendant(run, lock, Control(), lambda _event: None) as attendant:
        until(beats)
        attendant.saw(events.Phase(phase="train"))
        until(lambda: read_lock(run).doing == "training")
        until(lambda: not beats())
        attendant.saw(events.Phase(phase="evaluate"))  # which may take its time
        until(beats)
        assert read_lock(run).doing == "evaluating"
        attendant.stop()
        assert not beats()
