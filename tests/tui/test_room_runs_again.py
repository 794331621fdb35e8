"""The room of runs at the next start: order, filter and marks are as they were."""

from __future__ import annotations

from pathlib import Path

from textual.widgets import Input

from cifar_tui.tui.screens.rooms.runs import RoomRuns
from cifar_tui.tui.settings import Settings
from cifar_tui.tui.widgets.runs_table import RunsTable
from tests.tui.pane_app import PaneApp
from tests.tui.room_tools import app_with, line_with
from tests.tui.run_maker import make_run
from tests.tui.waiting import until


def runs_in(tmp_path: Path, *names: str) -> None:
    for name in names:
        make_run(tmp_path / "runs", name)


def started_with(settings: Settings, tmp_path: Path) -> tuple[RoomRuns, PaneApp]:
    room = RoomRuns()
    app = app_with(room, tmp_path)
    app.settings = settings  # type: ignore[attr-defined]
    return room, app


async def test_order_filter_and_marks_are_there_at_the_next_start(tmp_path: Path) -> None:
    runs_in(tmp_path, "cnn-1", "wide-2", "wide-10")
    settings = Settings.load(tmp_path / "settings.toml")
    room, app = started_with(settings, tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "wide-10" in app.text)
        room.focus_first()
        await pilot.press("o", "space", "slash", *"wide", "enter")
        table = room.query_one(RunsTable)
        await until(pilot, lambda: len(table.shown) == 2)
        order, marks = table.order, table.marks
        assert marks
    assert settings.save()
    room, app = started_with(Settings.load(tmp_path / "settings.toml"), tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "2 of 3 runs, 1 marked" in app.text)
        table = room.query_one(RunsTable)
        assert (table.order, table.marks) == (order, marks)
        assert room.query_one(Input).display and "wide" in line_with(app, "wide ")
        room.focus_first()
        await pilot.press("escape")
        await until(pilot, lambda: "3 runs, 1 marked" in app.text)


async def test_the_mark_of_a_run_that_is_gone_is_forgotten(tmp_path: Path) -> None:
    runs_in(tmp_path, "cnn-1", "cnn-2")
    settings = Settings.load(tmp_path / "settings.toml")
    settings.set(runs_marks="gone cnn-2")
    _room, app = started_with(settings, tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "2 runs, 1 marked" in app.text)
        assert settings.runs_marks == "cnn-2"


async def test_marks_outlive_a_start_without_a_look_at_the_runs(tmp_path: Path) -> None:
    settings = Settings.load(tmp_path / "settings.toml")
    settings.set(runs_marks="cnn-1 cnn-2")
    room, app = started_with(settings, tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "There are no runs yet" in app.text)
        assert settings.runs_marks == "cnn-1 cnn-2"
        runs_in(tmp_path, "cnn-1", "cnn-2")
        room._next_look = 0.0
        await until(pilot, lambda: "2 runs, 2 marked" in app.text)


async def test_nothing_is_marked_while_the_filter_hides_every_run(tmp_path: Path) -> None:
    runs_in(tmp_path, "cnn-1", "cnn-2")
    room = RoomRuns()
    app = app_with(room, tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "cnn-2" in app.text)
        room.focus_first()
        await pilot.press("slash", *"wide", "enter", "space")
        room.action_mark()
        await pilot.pause()
        assert "0 of 2 runs, by" in app.text
        await pilot.press("escape", "space")
        await until(pilot, lambda: "2 runs, 1 marked" in app.text)
