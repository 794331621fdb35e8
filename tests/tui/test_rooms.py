"""The rooms: data, report, runs, log and machine."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from textual.color import Color
from textual.pilot import Pilot
from textual.widget import Widget

from cifar_tui.datasets import store, synthetic
from cifar_tui.runs.directory import RunDirectory, list_runs
from cifar_tui.runs.report import RunSummary
from cifar_tui.tui import machine_data, report_data, theme
from cifar_tui.tui.live import ALL_KINDS, LiveRun
from cifar_tui.tui.messages import CopyRequested, RunOpened, RunResumed
from cifar_tui.tui.screens.rooms.data import RoomData
from cifar_tui.tui.screens.rooms.machine import RoomMachine
from cifar_tui.tui.screens.rooms.report import RoomReport
from cifar_tui.tui.screens.rooms.runs import RoomRuns
from cifar_tui.tui.screens.zoom import ZoomScreen
from cifar_tui.tui.widgets.dataset_pane import DatasetPane
from cifar_tui.tui.widgets.runs_table import RunsTable, age, natural
from cifar_tui.tui.widgets.samples_grid import SamplesGrid
from tests.tui.pane_app import PaneApp, screen_text
from tests.tui.run_maker import confusion, evaluation, make_run, report_values, started


@pytest.fixture(autouse=True)
def small_synthetic(monkeypatch: pytest.MonkeyPatch) -> None:
    store.reset_cache()
    monkeypatch.setattr(synthetic, "build", functools.partial(synthetic.build, train=120, test=40))


def app_with(room: Widget, tmp_path: Path) -> PaneApp:
    return PaneApp(room, tmp_path / "data", tmp_path / "runs")


async def until(pilot: Pilot[None], true: Callable[[], bool], seconds: float = 10.0) -> None:
    for _ in range(int(seconds / 0.02)):
        await pilot.pause(0.02)
        if true():
            return
    raise AssertionError(screen_text(pilot.app))


def line_with(app: PaneApp, words: str) -> str:
    return next((line for line in app.text.splitlines() if words in line), "")


# ---- 2 Data ----


async def open_data(app: PaneApp, pilot: Pilot[None]) -> SamplesGrid:
    room = app.widget
    await until(pilot, lambda: bool(room.query_one(DatasetPane).statuses))
    room.query_one(DatasetPane).select("synthetic")
    grid = room.query_one(SamplesGrid)
    await until(pilot, lambda: grid.count == 120)
    grid.focus()
    return grid


async def test_the_data_room_shows_every_picture_with_label_and_index(tmp_path: Path) -> None:
    app = app_with(RoomData(), tmp_path)
    async with app.run_test(size=(120, 37)) as pilot:
        grid = await open_data(app, pilot)
        await pilot.pause()
        assert "Synthetic  train  all classes" in app.text
        assert "1 of 120, file order" in app.text
        split = store.load("synthetic", tmp_path).train
        first = split.names[int(split.labels[0])]
        assert f"{first[:12]}" in line_with(app, "#0 ").replace("▌", " ") or first[:12] in app.text
        await pilot.press("right", "down")
        assert grid.cursor == 1 + grid.columns == 4
        assert "5 of 120" in app.text
        mean = split.images[4].reshape(-1, 3).astype(float).mean(0)
        assert f"{mean[0]:8.1f}{mean[1]:8.1f}{mean[2]:8.1f}" in line_with(app, "mean")


async def test_a_class_filter_shows_only_its_pictures(tmp_path: Path) -> None:
    app = app_with(RoomData(), tmp_path)
    async with app.run_test(size=(120, 37)) as pilot:
        grid = await open_data(app, pilot)
        await pilot.press("f")
        split = store.load("synthetic", tmp_path).train
        assert grid.count == int((split.labels == 0).sum())
        assert "Synthetic  train  disc" in app.text
        await pilot.press("F", "F")
        assert "stripes_slanted" in app.text.splitlines()[0]
        room = app.widget
        room.query_one("#data-classes").focus()
        await pilot.press("home", "enter")
        assert grid.count == 120


async def test_t_switches_the_split_and_n_the_order(tmp_path: Path) -> None:
    app = app_with(RoomData(), tmp_path)
    async with app.run_test(size=(120, 37)) as pilot:
        grid = await open_data(app, pilot)
        await pilot.press("t")
        assert "Synthetic  test  all classes" in app.text
        assert grid.count == 40
        await pilot.press("n")
        assert "shuffled" in app.text
        assert grid.index != 0 or grid.count == 1
        await pilot.press("o")
        assert grid.index == 0


async def test_a_picture_is_found_by_its_index_and_a_wrong_one_is_explained(tmp_path: Path) -> None:
    app = app_with(RoomData(), tmp_path)
    async with app.run_test(size=(120, 37)) as pilot:
        grid = await open_data(app, pilot)
        await pilot.press("i", "9", "7", "enter")
        assert grid.index == 97
        await pilot.press("i", "1", "2", "0", "enter")
        assert "no such picture: 0 to 119" in app.text
        await pilot.press("escape")
        assert grid.index == 97
        assert grid.has_focus


async def test_enter_shows_every_pixel_and_esc_goes_back(tmp_path: Path) -> None:
    app = app_with(RoomData(), tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await open_data(app, pilot)
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, ZoomScreen)
        assert max(line.count("▀") for line in screen_text(app).splitlines()) >= 64
        await pilot.press("escape")
        assert not isinstance(app.screen, ZoomScreen)


async def test_a_missing_dataset_says_the_next_key_in_the_data_room(tmp_path: Path) -> None:
    app = app_with(RoomData(), tmp_path)
    async with app.run_test(size=(80, 21)) as pilot:
        await until(pilot, lambda: "g Get CIFAR-10" in app.text)


async def test_a_click_moves_and_a_double_click_zooms(tmp_path: Path) -> None:
    app = app_with(RoomData(), tmp_path)
    async with app.run_test(size=(80, 22)) as pilot:
        grid = await open_data(app, pilot)
        await pilot.click("#samples", offset=(20, 3))
        assert grid.cursor == 1
        await pilot.click("#samples", offset=(20, 3), times=2)
        await pilot.pause()
        assert isinstance(app.screen, ZoomScreen)


async def test_the_pictures_are_let_go_when_the_room_is_left(tmp_path: Path) -> None:
    app = app_with(RoomData(), tmp_path)
    async with app.run_test(size=(80, 22)) as pilot:
        grid = await open_data(app, pilot)
        await pilot.press("right", "right")
        app.widget.display = False
        await pilot.pause()
        assert grid.count == 0
        app.widget.display = True
        await until(pilot, lambda: grid.count == 120)
        assert grid.cursor == 2


# ---- 3 Report ----


def live_of(run: RunDirectory) -> LiveRun:
    return LiveRun.from_run(run)


async def test_the_report_of_the_open_run_is_shown_with_intervals_and_calibration(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", "cnn-1")
    room = RoomReport()
    app = app_with(room, tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        room.show_live(live_of(run), ALL_KINDS)
        await until(pilot, lambda: "ECE 11.0 points" in app.text)
        low, high = report_data.wilson(0.7, 1000)
        assert f"{low * 100:.1f} to {high * 100:.1f}" in line_with(app, "test ")
        assert "70.0%" in line_with(app, "test ")
        assert "gap 20.0 points" in app.text
        assert "L2 penalty 0.250" in app.text
        assert "cnn-1, step 1,000" in app.text
        assert "80 to 90%" in app.text and "-15.0" in app.text
        assert "cat → dog" in app.text


async def test_the_matrix_is_walked_and_says_each_cell(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", "cnn-1")
    room = RoomReport()
    app = app_with(room, tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        room.show_live(live_of(run), ALL_KINDS)
        await until(pilot, lambda: "plane" in app.text)
        room.focus_first()
        assert "airplane said airplane  50 of 51, 98.0%  right" in app.text
        await pilot.press("m")
        assert "cat said dog  40 of 91, 44.0%  wrong" in app.text
        await pilot.press("p")
        assert "44.0" in line_with(app, "│ cat  ")
        await pilot.press("left", "up")
        assert "bird said deer" in app.text
        await pilot.press("t")
        assert "Confusion, train" in app.text
        await pilot.press("y")
        copied = [message for message in app.asked if isinstance(message, CopyRequested)]
        assert "cat → dog" in copied[0].text


async def test_classes_are_worst_first_with_what_they_are_taken_for(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", "cnn-1")
    room = RoomReport()
    app = app_with(room, tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        room.show_live(live_of(run), ALL_KINDS)
        await until(pilot, lambda: "Per class" in app.text)
        lines = app.text.splitlines()
        first = lines[next(i for i, line in enumerate(lines) if "10 classes" in line) + 1]
        assert "cat" in first and "54.9%" in first and "dog" in first
        room.focus_first()
        await pilot.press("o")
        assert "Per class, best first" in app.text


async def test_no_report_says_the_next_key(tmp_path: Path) -> None:
    room = RoomReport()
    app = app_with(room, tmp_path)
    async with app.run_test(size=(80, 21)) as pilot:
        await pilot.pause()
        assert "No run is open." in app.text
        assert "4 Open a run that was trained before" in app.text


async def test_an_evaluation_newer_than_the_report_is_shown_instead(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", "cnn-1")
    room = RoomReport()
    app = app_with(room, tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        live = live_of(run)
        live.add(evaluation(1500, accuracy=0.81))
        room.show_live(live, ALL_KINDS)
        await until(pilot, lambda: "step 1,500" in app.text)
        assert "81.0%" in line_with(app, "test ")
        assert "Known after the evaluation at the end" in app.text


async def test_a_damaged_report_is_an_error_in_place(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", "cnn-1", report=False)
    run.report_path.write_text("{broken")
    run.events_path.write_text("")
    room = RoomReport()
    app = app_with(room, tmp_path)
    async with app.run_test(size=(100, 30)) as pilot:
        room.show_live(live_of(run), ALL_KINDS)
        await until(pilot, lambda: 'report.json of run "cnn-1" is damaged' in app.text)


@pytest.mark.parametrize(
    "splits",
    [
        {"test": {}},
        {"test": {"confusion": [[1, 2], [3]], "accuracy": "x", "examples": -1}},
        {"test": {"confusion": "abc", "calibration": [1], "classes": 7, "loss": float("nan")}},
        {"test": {"confusion": [[0]], "accuracy": 0.0, "examples": 0}},
        {"test": {"confusion": [[1, 2], [3, 4]], "calibration": {"ece": "x", "bins": [{"count": 1}, 3]}}},
    ],
)
def test_fault_a_report_with_odd_fields_never_raises(splits: dict[str, Any]) -> None:
    report = report_data.from_json("r", {"splits": splits, "dataset": 3, "step": "x"})
    for split in report.splits.values():
        split.classes()
        split.pairs()
        assert len(split.names) == len(split.confusion)
        assert 0 <= split.interval[0] <= split.interval[1] <= 1


async def test_fault_100_class_names_with_markup_stay_plain_text(tmp_path: Path) -> None:
    names = ["[/x]", "\x1b[31m"] + [f"c{number}" for number in range(8)]
    room = RoomReport()
    app = app_with(room, tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        live = LiveRun()
        live.add(started("", names=names))
        live.add(evaluation(10))
        room.show_live(live, ALL_KINDS)
        await until(pilot, lambda: "[/x]" in app.text)
        assert "\\x1b[31m" in app.text


async def test_a_hundred_classes_show_their_groups_and_enter_opens_one(tmp_path: Path) -> None:
    counts = np.eye(100, dtype=int) * 9
    counts[0, 1] = 5
    live = LiveRun()
    live.add(started(""))
    from cifar_tui.datasets.cifar100 import SPEC

    live.dataset = {"name": "cifar100", "names": list(SPEC.names)}
    live.add(evaluation(10, confusion=counts.tolist()))
    room = RoomReport()
    app = app_with(room, tmp_path)
    async with app.run_test(size=(120, 50)) as pilot:
        room.show_live(live, ALL_KINDS)
        await until(pilot, lambda: "its classes" in app.text)
        assert SPEC.coarse_names[0][:7] in app.text
        room.focus_first()
        await pilot.press("enter")
        inside = [name for name, group in zip(SPEC.names, SPEC.fine_to_coarse, strict=True) if group == 0]
        assert all(name[:10] in app.text for name in inside)
        await pilot.press("escape")
        assert SPEC.coarse_names[19][:5] in app.text


def test_wilson_intervals_are_those_of_the_formula() -> None:
    low, high = report_data.wilson(0.5, 100)
    assert (round(low, 4), round(high, 4)) == (0.4038, 0.5962)
    assert report_data.wilson(0.0, 0) == (0.0, 1.0)
    assert report_data.wilson(1.0, 50)[1] == pytest.approx(1.0)


def test_grouping_keeps_every_picture() -> None:
    report = report_data.SplitReport("test", 4, 1.0, 0.0, 0.5, 1.0, tuple("abcd"), ((1, 2, 0, 0),) * 4)
    joined = report_data.grouped(report, ("x", "y"), (0, 0, 1, 1))
    assert joined.confusion == ((6, 0), (6, 0))
    assert joined.accuracy == 0.5
    assert report_data.grouped(report, (), (0,)) is report


def test_a_report_of_an_evaluation_equals_the_recorded_one() -> None:
    recorded = report_data.from_json("r", report_values("r", 7)).splits["test"]
    found = report_data.from_evaluations("r", {"names": list(recorded.names)}, {"test": evaluation(7)})
    assert found.splits["test"].classes() == recorded.classes()
    assert recorded.confusion == tuple(map(tuple, confusion()))


# ---- 4 Runs ----


async def test_runs_are_listed_newest_first_with_their_numbers(tmp_path: Path) -> None:
    for name, accuracy in (("cnn-1", 0.61), ("cnn-2", 0.72)):
        make_run(tmp_path / "runs", name, accuracy=accuracy)
    room = RoomRuns()
    app = app_with(room, tmp_path)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: "cnn-2" in app.text)
        row = line_with(app, "cnn-1 ")
        assert "done" in row and "1,000 /   1,000" in row and "cifar10" in row and "61.0%" in row
        assert "2 runs, by age down" in app.text
        assert "trained 1:01, 0 checkpoints" in app.text


async def test_enter_opens_r_resumes_and_y_copies_the_command(tmp_path: Path) -> None:
    make_run(tmp_path / "runs", "cnn-1", state="stopped")
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
        assert "2 runs" in app.text and "cnn-1 " not in app.text
        await pilot.press("x", "x")
        assert "No run holds these words." in app.text
        await pilot.press("escape")
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
        assert filtered < 0.5, "100 ms on a quiet machine"


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


# ---- 5 Log and machine ----


async def test_the_log_tells_what_happened_in_order_and_w_only_warnings(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", "cnn-1")
    room = RoomMachine()
    app = app_with(room, tmp_path)
    async with app.run_test(size=(120, 30)) as pilot:
        room.show_live(live_of(run), ALL_KINDS)
        await until(pilot, lambda: "cnn-1 starts, to 1,000, on CIFAR-10" in app.text)
        places = [
            app.text.index(words)
            for words in ("starts", "test 35.0%", "the disk is slow", "test 70.0%", "done at step 1,000")
        ]
        assert places == sorted(places)
        assert "1 warnings, 0 errors" in app.text
        room.focus_first()
        await pilot.press("w")
        await pilot.pause()
        assert "the disk is slow" in app.text and "starts" not in app.text
        await pilot.press("y")
        assert "the disk is slow" in app.asked[-1].text  # type: ignore[attr-defined]


async def test_the_machine_is_measured_while_it_is_in_sight(tmp_path: Path) -> None:
    room = RoomMachine()
    app = app_with(room, tmp_path)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: " cores" in app.text and "disk free" in app.text)
        assert "this process" in app.text
        assert "4 open one" in app.text


async def test_fault_099_escapes_in_a_note_are_shown_not_sent(tmp_path: Path) -> None:
    from cifar_tui import events

    lines = machine_data.log_lines([events.Note(level="error", id="E", text="a\x1b]0;x\x07[/b]", time=1.0)])
    room = RoomMachine()
    app = app_with(room, tmp_path)
    async with app.run_test(size=(100, 30)) as pilot:
        room._lines = lines
        room._write_log()
        await pilot.pause()
        assert "a\\x1b]0;x\\x07[/b]" in app.text


def test_a_sample_of_the_machine_is_sound(tmp_path: Path) -> None:
    sample = machine_data.Sampler(tmp_path / "not" / "there").take()
    assert sample.cores >= 1
    assert 0 < sample.used < sample.total
    assert sample.process_memory > 0
    assert sample.free_disk is not None


@pytest.mark.parametrize("room", [RoomData, RoomReport, RoomRuns, RoomMachine])
async def test_rooms_follow_a_change_of_theme(tmp_path: Path, room: type[Widget]) -> None:
    run = make_run(tmp_path / "runs", "cnn-1")
    app = app_with(room(), tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        app.widget.show_live(live_of(run), ALL_KINDS)  # type: ignore[attr-defined]
        await pilot.pause(0.3)
        app.theme = theme.LIGHT
        await pilot.pause(0.1)
        dark = Color.parse("#d7dde5").rich_color
        strips = app.screen._compositor.render_strips()
        left = [s.text for strip in strips for s in strip if s.style is not None and s.style.color == dark]
        assert left == []


@pytest.mark.parametrize("size", [(20, 5), (44, 10), (1, 1), (200, 50)])
@pytest.mark.parametrize("room", [RoomData, RoomReport, RoomRuns, RoomMachine])
async def test_rooms_are_drawn_at_any_size(tmp_path: Path, room: type[Widget], size: tuple[int, int]) -> None:
    run = make_run(tmp_path / "runs", "cnn-1")
    app = app_with(room(), tmp_path)
    async with app.run_test(size=size) as pilot:
        app.widget.show_live(live_of(run), ALL_KINDS)  # type: ignore[attr-defined]
        await pilot.pause(0.1)
        await pilot.press("tab", "down", "right", "end", "home")
        await pilot.pause()
