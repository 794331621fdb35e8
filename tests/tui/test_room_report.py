"""Room 3: what a model gets right and wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from textual.widgets import Static

from cifar_tui.tui import report_data, theme
from cifar_tui.tui.live import ALL_KINDS, LiveRun
from cifar_tui.tui.messages import CopyRequested
from cifar_tui.tui.screens.rooms.report import RoomReport
from tests.tui.room_tools import app_with, line_with
from tests.tui.run_maker import confusion, evaluation, make_run, report_values, started
from tests.tui.waiting import until

pytestmark = pytest.mark.usefixtures("small_synthetic")


async def test_the_report_of_the_open_run_is_shown_with_intervals_and_calibration(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", "cnn-1")
    room = RoomReport()
    app = app_with(room, tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        room.show_live(LiveRun.from_run(run), ALL_KINDS)
        await until(pilot, lambda: "ECE 11.0 points" in app.text)
        low, high = report_data.wilson(0.7, 1000)
        assert f"{low * 100:.1f} to {high * 100:.1f}" in line_with(app, "test ")
        assert "70.0%" in line_with(app, "test ")
        assert "gap 20.0 points" in app.text
        assert "penalty 0.250" in app.text
        assert "cnn-1, step 1,000" in app.text
        assert "80 to 90%" in app.text and "-15.0" in app.text
        assert "cat → dog" in app.text


async def test_the_matrix_is_walked_and_says_each_cell(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", "cnn-1")
    room = RoomReport()
    app = app_with(room, tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        room.show_live(LiveRun.from_run(run), ALL_KINDS)
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
        room.show_live(LiveRun.from_run(run), ALL_KINDS)
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
        live = LiveRun.from_run(run)
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
        room.show_live(LiveRun.from_run(run), ALL_KINDS)
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
        await pilot.pause()
        keys = app.screen.active_bindings
        assert keys["enter"].binding.description == "Its classes"
        await pilot.press("right")
        assert app.screen.active_bindings["enter"].binding.description == "Pictures"
        await pilot.press("left")
        await pilot.press("enter")
        inside = [name for name, group in zip(SPEC.names, SPEC.fine_to_coarse, strict=True) if group == 0]
        assert all(name[:10] in app.text for name in inside)
        await pilot.press("escape")
        assert SPEC.coarse_names[19][:5] in app.text
        await pilot.resize_terminal(200, 50)
        await until(pilot, lambda: "aquatic_mammals" in app.text)
        shown = [name for name in SPEC.coarse_names if len(name) <= 22]
        assert all(name in app.text for name in shown) and len(shown) >= 15


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


async def test_the_scales_below_the_matrix_follow_a_change_of_theme(tmp_path: Path) -> None:
    app = app_with(RoomReport(), tmp_path)
    async with app.run_test(size=(120, 37)) as pilot:
        app.widget.show_live(LiveRun.from_run(make_run(tmp_path / "runs", "cnn-1")), ALL_KINDS)
        await until(pilot, lambda: "plane" in app.text and "wrong" in app.text)

        def shades() -> set[str]:
            spans = app.query_one("#report-cell", Static).visual.spans  # type: ignore[attr-defined]
            return {str(span.style) for span in spans if "rgb" in str(span.style)}

        dark = shades()
        app.theme = theme.LIGHT
        await until(pilot, lambda: bool(shades()) and not shades() & dark)
        assert len(shades()) == len(dark) == 10
