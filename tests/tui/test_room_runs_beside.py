"""The room of runs: marked runs side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cifar_tui.runs.directory import RunDirectory
from cifar_tui.tui.messages import CopyRequested
from cifar_tui.tui.runs_data import beside
from cifar_tui.tui.screens.rooms.runs import RoomRuns
from cifar_tui.tui.widgets.runs_table import RunsTable
from tests.tui.room_tools import app_with, line_with
from tests.tui.run_maker import make_run
from tests.tui.waiting import until

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
