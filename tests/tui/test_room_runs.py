"""The room of runs: all runs with their true state."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from cifar_tui import events
from cifar_tui.runs.directory import list_runs
from cifar_tui.runs.summary import RunSummary
from cifar_tui.runs.summary_index import NAME
from cifar_tui.tui.live import ALL_KINDS, LiveRun
from cifar_tui.tui.messages import CopyRequested, RunOpened, RunResumed
from cifar_tui.tui.runs_data import RunsReader
from cifar_tui.tui.screens.rooms.runs import RoomRuns
from cifar_tui.tui.widgets.runs_table import RunsTable, age, natural
from tests.tui.pane_app import screen_text
from tests.tui.room_tools import app_with, line_with
from tests.tui.run_maker import ended, evaluation, make_run, started
from tests.tui.waiting import until


async def test_runs_are_listed_newest_first_with_their_numbers(tmp_path: Path) -> None:
    for name, accuracy in (("cnn-1", 0.61), ("cnn-2", 0.72)):
        make_run(tmp_path / "runs", name, accuracy=accuracy)
    room = RoomRuns()
    app = app_with(room, tmp_path)
    async with app.run_test(size=(200, 30)) as pilot:
        await until(pilot, lambda: "cnn-2" in app.text)
        row = line_with(app, "cnn-1 ")
        assert "done" in row and "1,000 /   1,000" in row and "cifar10" in row
        assert row.count("61.0%") == 2  # best and last
        assert "2 runs, by age down" in app.text
        assert "trained 1:01, 0 checkpoints" in app.text


async def test_enter_opens_r_resumes_and_y_copies_the_command(tmp_path: Path) -> None:
    make_run(tmp_path / "runs", "cnn-1", state="stopped", step=500)
    room = RoomRuns()
    app = app_with(room, tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "cnn-1" in app.text)
        room.focus_first()
        await pilot.press("enter", "r", "y")
        assert [type(message) for message in app.asked] == [RunOpened, RunResumed, CopyRequested]
        assert app.asked[0].run_id == "cnn-1"  # type: ignore[attr-defined]
        assert app.asked[2].text == "cifar-tui train --resume cnn-1"  # type: ignore[attr-defined]


async def test_the_filter_narrows_as_it_is_typed_and_esc_shows_all(tmp_path: Path) -> None:
    for name in ("cnn-1", "wide-2", "wide-10"):
        make_run(tmp_path / "runs", name)
    room = RoomRuns()
    app = app_with(room, tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "wide-10" in app.text)
        room.focus_first()
        await pilot.press("slash", "w", "i", "d")
        await pilot.pause()
        assert "2 of 3 runs" in app.text and "cnn-1 " not in app.text
        await pilot.press("x", "x")
        await pilot.pause()
        assert "No run holds these words." in app.text
        await pilot.press("escape")
        await pilot.pause()
        assert "3 runs" in app.text


async def test_o_and_a_click_on_a_heading_sort(tmp_path: Path) -> None:
    for name, accuracy in (("run-10", 0.3), ("run-9", 0.9)):
        make_run(tmp_path / "runs", name, accuracy=accuracy)
    room = RoomRuns()
    app = app_with(room, tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "run-9" in app.text)
        room.focus_first()
        table = room.query_one(RunsTable)
        await pilot.press("o")
        assert table.order == ("run", False)
        assert [run.run for run in table.shown] == ["run-9", "run-10"]
        heading = app.text.splitlines()[1]
        await pilot.click("#runs-table", offset=(heading.index("best") - 2, 0))
        assert table.order == ("best test", True)
        assert table.shown[0].run == "run-9"
        await pilot.press("O")
        assert table.shown[0].run == "run-10"


async def test_d_asks_before_a_run_is_deleted(tmp_path: Path) -> None:
    make_run(tmp_path / "runs", "cnn-1")
    room = RoomRuns()
    app = app_with(room, tmp_path)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "cnn-1" in app.text)
        room.focus_first()
        await pilot.press("d")
        await pilot.pause()
        assert "Delete cnn-1?" in screen_text(app)
        await pilot.press("escape")
        assert len(list_runs(tmp_path / "runs")) == 1
        await pilot.press("d")
        await pilot.pause()
        await pilot.press("d")
        await until(pilot, lambda: "There are no runs yet" in app.text)
        assert list_runs(tmp_path / "runs") == []


async def test_no_runs_say_the_next_key(tmp_path: Path) -> None:
    app = app_with(RoomRuns(), tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "There are no runs yet" in app.text)
        assert "1 Dashboard, then space Start" in app.text


def summary(number: int, **fields: Any) -> RunSummary:
    values: dict[str, Any] = {
        "run": f"run-{number}",
        "title": f"run {number}",
        "state": "damaged" if number % 10 == 0 else "done",
        "step": number,
        "target": 20_000,
        "model": "cnn",
        "dataset": "cifar10",
        "best_test_accuracy": number / 20_000,
        "created": "2025-06-15T12:00:00Z",
    }
    return RunSummary(**(values | fields))


async def test_fault_092_ten_thousand_runs_filter_sort_and_scroll_at_once(tmp_path: Path) -> None:
    table = RunsTable(id="runs-table")
    app = app_with(table, tmp_path)
    runs = [summary(number) for number in range(10_000)]
    async with app.run_test(size=(120, 40)) as pilot:
        began = time.perf_counter()
        table.show(runs)
        shown = time.perf_counter() - began
        await pilot.pause()
        began = time.perf_counter()
        table.filter("damaged 77")
        filtered = time.perf_counter() - began
        await pilot.pause()
        assert [run.run for run in table.shown][:3] == ["run-770", "run-1770", "run-2770"]
        table.filter("")
        table.focus()
        await pilot.press("end")
        assert "run-" in app.text.splitlines()[-1]
        assert shown < 1.0
        assert filtered < 0.5, "20 ms on a quiet machine, where 150 ms are allowed"


async def test_fault_090_wide_and_bidi_names_keep_the_columns(tmp_path: Path) -> None:
    table = RunsTable(id="runs-table")
    app = app_with(table, tmp_path)
    async with app.run_test(size=(100, 10)) as pilot:
        names = ["日本語" * 4, "a\u202eb[/]", "plain"]
        table.show([summary(number, run=name) for number, name in enumerate(names, 1)])
        await pilot.pause()
        from rich.cells import cell_len

        rows = app.text.splitlines()[1:4]
        assert len({cell_len(row.partition("done")[0]) for row in rows}) == 1
        assert "\\u202e" in app.text and "[/]" in app.text


def test_names_sort_as_people_count() -> None:
    assert sorted(["run-10", "run-9", "Run-1", "a"], key=natural) == ["a", "Run-1", "run-9", "run-10"]


def test_ages_are_short_and_odd_times_are_left_out() -> None:
    assert age("2025-06-15T12:00:00Z", 1_749_988_800.0 + 59) == "59 s"
    assert age("2025-06-15T12:00:00Z", 1_749_988_800.0 + 3600 * 3) == "3 h"
    assert age("yesterday", 0.0) == ""


async def test_fault_100_markup_in_a_title_is_plain_text(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", "cnn-1")
    run.update_meta(title="[@click=app.quit]x[/] [b]y \x1b[31m\u202e")
    room = RoomRuns()
    app = app_with(room, tmp_path)
    async with app.run_test(size=(140, 40)) as pilot:
        await until(pilot, lambda: "cnn-1" in app.text)
        await until(pilot, lambda: "[@click=app.quit]x[/] [b]y" in app.text)
        assert "\\x1b[31m\\u202e" in app.text


async def test_the_open_run_is_known_to_the_table(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", "cnn-1")
    room = RoomRuns()
    app = app_with(room, tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "cnn-1" in app.text)
        room.show_live(LiveRun.from_run(run), ALL_KINDS)
        assert room.query_one(RunsTable).open_run == "cnn-1"


@pytest.mark.slow
def test_fault_092_ten_thousand_runs_are_listed_in_time(tmp_path: Path) -> None:
    lines = "".join(
        json.dumps(events.to_json(event)) + "\n"
        for event in (started("x"), evaluation(500, accuracy=0.3), ended("x", 500))
    )
    for number in range(10_000):
        folder = tmp_path / f"r-{number}"
        folder.mkdir()
        (folder / "events.jsonl").write_text(lines)
        text = {
            "schema": 1,
            "created": f"2025-01-01T00:00:{number / 1000:07.4f}Z",
            "config": {"model": "cnn"},
        }
        (folder / "run.json").write_text("{" if number % 10 == 0 else json.dumps(text))
    reader = RunsReader(tmp_path)
    began = time.perf_counter()
    first = reader.look()
    assert time.perf_counter() - began < 6.0, "about 1.5 s on a quiet machine"
    reader.save()
    assert (tmp_path / NAME).read_bytes().count(b"\n") == 9001
    began = time.perf_counter()
    found = RunsReader(tmp_path).look()
    spent = time.perf_counter() - began
    assert sorted(found, key=lambda run: run.run) == sorted(first, key=lambda run: run.run)
    assert (len(found), sum(run.state == "damaged" for run in found)) == (10_000, 1000)
    assert spent < 4.0, "about 0.6 s on a quiet machine, where 1.5 s are allowed"
