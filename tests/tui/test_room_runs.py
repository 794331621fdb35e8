"""The room of runs: all runs with their true state, what is done to them, and runs side by side."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cifar_tui import events
from cifar_tui.errors import UsageError
from cifar_tui.runs import requests
from cifar_tui.runs.directory import RunDirectory, list_runs
from cifar_tui.runs.lock import RunLock
from cifar_tui.runs.recorder import Recorder
from cifar_tui.runs.report import RunSummary
from cifar_tui.tui.live import ALL_KINDS, LiveRun
from cifar_tui.tui.messages import CopyRequested, RunOpened, RunResumed
from cifar_tui.tui.runs_data import RunsReader, beside
from cifar_tui.tui.screens.rooms.runs import RoomRuns
from cifar_tui.tui.screens.rooms.runs_deeds import changes
from cifar_tui.tui.widgets.runs_table import RunsTable, age, natural
from tests.tui.pane_app import screen_text
from tests.tui.room_tools import app_with, line_with, until
from tests.tui.run_maker import ended, evaluation, make_run, started


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
    monkeypatch.setattr(runs_data, "summarise", lambda run: (read.append(run.id), real(run))[1])
    assert len(reader.look()) == 3
    assert read == []
    with Recorder(RunDirectory(tmp_path, "b")) as recorder:
        recorder.append(evaluation(1000, accuracy=0.99))
    assert max(run.best_test_accuracy or 0 for run in reader.look()) == 0.99
    assert read == ["b"]
    make_run(tmp_path, "d", report=False)
    assert len(reader.look()) == 4 and read == ["b", "d"]


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


# ---- side by side ----


def make_other(folder: Path, name: str, accuracy: float, **config: Any) -> RunDirectory:
    run = make_run(folder, name, accuracy=accuracy, report=False)
    text = run.events_path.read_text().splitlines()
    first = json.loads(text[0])
    first["config"] |= config
    run.events_path.write_text("\n".join([json.dumps(first), *text[1:]]) + "\n")
    return run


def test_side_by_side_names_only_what_differs(tmp_path: Path) -> None:
    make_other(tmp_path, "a", 0.5, learning_rate=0.1, seed=1)
    make_other(tmp_path, "b", 0.6, learning_rate=0.2, seed=1)
    found = beside(tmp_path, ["a", "gone", "b"])
    assert found.runs == ("a", "b")
    assert found.comparison is not None
    assert found.comparison.differences == {"learning_rate": [0.1, 0.2]}
    assert found.equal > 1
    assert [points["test"][-1][2] for points in found.curves] == [0.5, 0.6]


async def test_space_marks_runs_and_their_curves_and_differences_stand_beside(tmp_path: Path) -> None:
    for name, rate in (("slow", 0.001), ("quick", 0.1), ("other", 0.5)):
        make_other(tmp_path / "runs", name, rate, learning_rate=rate)
    room = RoomRuns()
    app = app_with(room, tmp_path)
    async with app.run_test(size=(140, 40)) as pilot:
        await until(pilot, lambda: "slow" in app.text)
        room.focus_first()
        room.query_one(RunsTable).sort_by(0)
        await until(pilot, lambda: "Results" in app.text and "top-5" in app.text)
        await pilot.press("down", "space", "space")
        await until(pilot, lambda: "Only what differs" in app.text and "learning_rate" in app.text)
        row = line_with(app, "learning_rate")
        assert "0.1" in row and "0.001" in row and "0.5" not in row
        assert "2 marked" in app.text
        assert "Test accuracy" in app.text
        await pilot.press("m")
        await pilot.pause()
        assert "Test loss" in app.text
        await pilot.press("u")
        await until(pilot, lambda: "marked" not in app.text and "Results" in app.text)


async def test_on_a_narrow_screen_v_shows_the_comparison_in_place_of_the_table(tmp_path: Path) -> None:
    make_run(tmp_path / "runs", "cnn-1")
    room = RoomRuns()
    app = app_with(room, tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "cnn-1" in app.text)
        room.focus_first()
        assert "Results" not in app.text
        await pilot.press("v")
        await until(pilot, lambda: "Results" in app.text and "best test" in app.text)
        assert "step / target" not in app.text
        await pilot.press("space")
        assert room.query_one(RunsTable).marks == ("cnn-1",)
        await pilot.press("v")
        await until(pilot, lambda: "step / target" in app.text)


async def test_a_click_at_the_left_edge_marks(tmp_path: Path) -> None:
    make_run(tmp_path / "runs", "cnn-1")
    room = RoomRuns()
    app = app_with(room, tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "cnn-1" in app.text)
        await pilot.click("#runs-table", offset=(0, 1))
        assert room.query_one(RunsTable).marks == ("cnn-1",)
        assert "◆ ✓ cnn-1" in app.text


async def test_the_table_is_copied_as_text(tmp_path: Path) -> None:
    make_run(tmp_path / "runs", "cnn-1")
    room = RoomRuns()
    app = app_with(room, tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "cnn-1" in app.text)
        room.focus_first()
        await pilot.press("Y")
        assert isinstance(app.asked[0], CopyRequested)
        assert app.asked[0].text.splitlines()[1].startswith("cnn-1\tdone\t1000\t1000\tcnn\tcifar10\t0.7000")


async def test_fault_100_markup_in_a_title_is_plain_text(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", "cnn-1")
    run.update_meta(title="[@click=app.quit]x[/] [b]y \x1b[31m\u202e")
    room = RoomRuns()
    app = app_with(room, tmp_path)
    async with app.run_test(size=(140, 40)) as pilot:
        await until(pilot, lambda: "cnn-1" in app.text)
        await until(pilot, lambda: "[@click=app.quit]x[/] [b]y" in app.text)
        assert "\\x1b[31m\\u202e" in app.text


def live_of(run: RunDirectory) -> LiveRun:
    return LiveRun.from_run(run)


async def test_the_open_run_is_known_to_the_table(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", "cnn-1")
    room = RoomRuns()
    app = app_with(room, tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "cnn-1" in app.text)
        room.show_live(live_of(run), ALL_KINDS)
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
    RunsReader(tmp_path).look()  # writes the summaries, as the first look at such a folder does
    began = time.perf_counter()
    found = RunsReader(tmp_path).look()
    spent = time.perf_counter() - began
    assert (len(found), sum(run.state == "damaged" for run in found)) == (10_000, 1000)
    assert spent < 4.0, "about 0.6 s on a quiet machine, where 1.5 s are allowed"
