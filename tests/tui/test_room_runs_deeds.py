"""The room of runs: runs in training elsewhere, and what is done to runs."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cifar_tui.errors import UsageError
from cifar_tui.runs import requests
from cifar_tui.runs.directory import RunDirectory, list_runs
from cifar_tui.runs.lock import RunLock
from cifar_tui.runs.recorder import Recorder
from cifar_tui.tui.app import CifarTuiApp
from cifar_tui.tui.messages import RunOpened, RunResumed
from cifar_tui.tui.runs_data import RunsReader
from cifar_tui.tui.screens.rooms.runs import RoomRuns
from cifar_tui.tui.screens.rooms.runs_deeds import changes
from cifar_tui.tui.settings import Settings
from cifar_tui.tui.widgets.runs_table import RunsTable
from tests.tui.pane_app import screen_text
from tests.tui.room_tools import app_with, line_with
from tests.tui.run_maker import ended, evaluation, make_run, started
from tests.tui.waiting import until

# ---- runs in training ----


@pytest.fixture
def held(tmp_path: Path) -> Iterator[tuple[RunDirectory, RunLock]]:
    """A run that somebody trains at this moment."""
    run = make_run(tmp_path / "runs", "far", step=400, report=False)
    with Recorder(run) as recorder:
        recorder.append(dataclasses.replace(started("far"), step=400))
    with RunLock(run) as lock:
        lock.beat("training")
        yield run, lock


async def test_a_run_in_training_shows_its_state_and_its_steps_as_they_grow(
    tmp_path: Path, held: tuple[RunDirectory, RunLock]
) -> None:
    run, lock = held
    room = RoomRuns()
    app = app_with(room, tmp_path)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: "running" in line_with(app, "far "))
        with Recorder(run) as recorder:
            recorder.append(evaluation(700, accuracy=0.91))
        await until(pilot, lambda: "700 /" in line_with(app, "far ") and "91.0%" in app.text)
        lock.beat("paused")
        await until(pilot, lambda: "paused" in line_with(app, "far "))
        with Recorder(run) as recorder:
            recorder.append(ended("far", 800, "stopped"))
        lock.release()
        await until(pilot, lambda: "stopped" in line_with(app, "far "))
        assert "800 /" in line_with(app, "far ")


async def test_enter_watches_p_pauses_and_s_stops_a_run_of_another_process(
    tmp_path: Path, held: tuple[RunDirectory, RunLock]
) -> None:
    run, lock = held
    room = RoomRuns()
    app = app_with(room, tmp_path)
    inbox = requests.Inbox(run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "running" in line_with(app, "far "))
        room.focus_first()
        taken: list[requests.Request] = []

        async def asked() -> str:
            await until(pilot, lambda: bool(taken.extend(inbox.take()) or taken))
            return taken.pop().name

        await pilot.press("enter")
        assert isinstance(app.asked[0], RunOpened) and app.asked[0].run_id == "far"
        await pilot.press("p")
        assert await asked() == "pause"
        lock.beat("paused")
        await until(pilot, lambda: "paused" in line_with(app, "far "))
        await pilot.press("p")
        assert await asked() == "resume"
        await pilot.click("#runs-do-stop")
        assert await asked() == "stop"
        await until(pilot, lambda: any("far saves and stops" in each.message for each in app._notifications))
        await pilot.press("d", "n", "x", "r")  # none of which is for a run in training
        assert len(app.screen_stack) == 1 and len(app.asked) == 1


def test_a_look_reads_only_runs_that_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c"):
        make_run(tmp_path, name, report=False)
    reader = RunsReader(tmp_path)
    assert {run.run for run in reader.look()} == {"a", "b", "c"}
    read: list[str] = []
    from cifar_tui.tui import runs_data

    real = runs_data.summarise
    monkeypatch.setattr(
        runs_data, "summarise", lambda run, *rest, **more: (read.append(run.id), real(run, *rest, **more))[1]
    )
    assert len(reader.look()) == 3
    assert read == []
    with Recorder(RunDirectory(tmp_path, "b")) as recorder:
        recorder.append(evaluation(1000, accuracy=0.99))
    assert max(run.best_test_accuracy or 0 for run in reader.look()) == 0.99
    assert read == ["b"]
    make_run(tmp_path, "d", report=False)
    assert len(reader.look()) == 4 and read == ["b", "d"]


def test_what_was_read_ahead_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c"):
        make_run(tmp_path, name, report=False)
    from cifar_tui.tui import runs_data

    read: list[str] = []
    real = runs_data.summarise
    monkeypatch.setattr(
        runs_data, "summarise", lambda run, *rest, **more: (read.append(run.id), real(run, *rest, **more))[1]
    )
    reader = RunsReader(tmp_path)
    reader.prepare(lambda: len(read) == 2)  # the app goes
    assert len(read) == 2
    ahead = threading.Thread(target=reader.prepare, args=(lambda: False,))
    ahead.start()
    assert {run.run for run in reader.look()} == {"a", "b", "c"}
    ahead.join()
    assert sorted(set(read)) == ["a", "b", "c"]
    read.clear()
    reader.prepare(lambda: False)  # a look came first
    assert read == []
    reader.save()
    assert len(RunsReader(tmp_path).look()) == 3


async def test_the_room_opens_with_what_the_app_read_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        make_run(tmp_path / "runs", name, report=False)
    app = CifarTuiApp(tmp_path / "data", tmp_path / "runs", settings=Settings(), first_start=False)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: len(app.runs_reader._known) == 2)
        from cifar_tui.tui import runs_data

        def refuse(*_: object, **__: object) -> None:
            raise AssertionError("read again")

        monkeypatch.setattr(runs_data, "summarise", refuse)
        await pilot.press("4")
        await until(pilot, lambda: "2 runs, by age down" in screen_text(app))


def test_fault_089_a_run_whose_process_was_killed_is_no_longer_in_training(
    tmp_path: Path, held: tuple[RunDirectory, RunLock]
) -> None:
    run, lock = held
    reader = RunsReader(run.root)
    assert [found.state for found in reader.look()] == ["running"]
    lock.release()  # what the system does for a process that dies
    assert [found.state for found in reader.look_at_live()] == ["interrupted"]
    assert reader.look_at_live() == []
    assert [found.state for found in reader.look()] == ["interrupted"]


# ---- what is done to runs ----


async def test_n_renames_and_a_taken_or_bad_name_says_why(tmp_path: Path) -> None:
    for name in ("one", "two"):
        make_run(tmp_path / "runs", name, report=False)
    room = RoomRuns()
    app = app_with(room, tmp_path)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "one" in app.text and "two" in app.text)
        room.focus_first()
        room.query_one(RunsTable).put_cursor("one")
        await pilot.press("n")
        await pilot.pause()
        field = app.screen.query_one("Input")
        for text, reason in (("two", "there is a run"), ("../x", "is no name for a run")):
            field.value = text  # type: ignore[attr-defined]
            await pilot.pause()
            await pilot.press("enter")
            assert reason in screen_text(app)
        field.value = "three"  # type: ignore[attr-defined]
        await pilot.press("enter")
        await until(pilot, lambda: "three" in line_with(app, "▸") or "three " in app.text)
        assert sorted(run.id for run in list_runs(tmp_path / "runs")) == ["three", "two"]
        await until(pilot, lambda: getattr(room.query_one(RunsTable).current, "run", "") == "three")


async def test_x_asks_for_a_greater_step_and_resumes_with_it(tmp_path: Path) -> None:
    make_run(tmp_path / "runs", "cnn-1")
    room = RoomRuns()
    app = app_with(room, tmp_path)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "cnn-1" in app.text)
        room.focus_first()
        await pilot.press("x")
        await pilot.pause()
        field = app.screen.query_one("Input")
        assert field.value == "2000"  # type: ignore[attr-defined]
        field.value = "1000"  # type: ignore[attr-defined]
        await pilot.press("enter")
        await pilot.pause()
        assert "expected a number of steps above 1,000" in screen_text(app)
        field.value = "5,000"  # type: ignore[attr-defined]
        await pilot.press("enter")
        await pilot.pause()
        [asked] = app.asked
        assert isinstance(asked, RunResumed)
        assert (asked.run_id, asked.changes) == ("cnn-1", {"steps": "5000"})


async def test_t_opens_the_report_of_the_run(tmp_path: Path) -> None:
    make_run(tmp_path / "runs", "cnn-1")
    room = RoomRuns()
    app = app_with(room, tmp_path)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "cnn-1" in app.text)
        room.focus_first()
        await pilot.press("t")
        assert isinstance(app.asked[0], RunOpened)
        assert (app.asked[0].run_id, app.asked[0].room) == ("cnn-1", 3)


def test_changes_of_a_fork_are_checked_as_they_are_typed() -> None:
    assert changes(" learning_rate=1e-4  steps=20 ") == ["learning_rate=1e-4", "steps=20"]
    assert changes("") == []
    for text, reason in (
        ("learning_rate", "is no change"),
        ("model=fnn", "keeps its model"),
        ("learning_rat=1", "there is no option"),
    ):
        with pytest.raises(UsageError, match=reason):
            changes(text)
