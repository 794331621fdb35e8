"""The room of runs over runs of real trainings, one of them in another process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cifar_tui.runs.directory import RunDirectory, list_runs
from cifar_tui.runs.liveness import look
from cifar_tui.tui.app import CifarTuiApp
from cifar_tui.tui.settings import Settings
from cifar_tui.tui.widgets.runs_table import RunsTable
from tests.tui.fake_session import ready, screen_text
from tests.tui.waiting import until

pytestmark = pytest.mark.slow

RECIPE = ["--dataset=synthetic", "--model=fnn", "--num-nodes=16", "--hidden-layers=1", "--threads=1"]


@pytest.fixture
def training(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that trains run "far", for as long as nobody stops it."""
    command = [sys.executable, "-m", "cifar_tui", "train", *RECIPE, "--steps=100000000", "--name=far"]
    command += [f"--runs-dir={tmp_path / 'runs'}", f"--data-dir={tmp_path / 'data'}", "--evaluate=end"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        yield process
        process.kill()


async def test_a_run_is_watched_paused_stopped_forked_extended_renamed_and_deleted_by_keys_alone(
    tmp_path: Path, training: subprocess.Popen[bytes]
) -> None:
    runs = tmp_path / "runs"
    app = CifarTuiApp(tmp_path / "data", runs, settings=Settings(), first_start=False)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await pilot.press("4")
        await until(pilot, lambda: "running" in screen_text(app), 60)
        table = app.query_one(RunsTable)
        run = RunDirectory.open(runs, "far")
        await until(pilot, lambda: look(run).doing == "training" and table.has_focus, 30)

        await pilot.press("p")
        await until(pilot, lambda: "paused" in screen_text(app), 20)
        await until(pilot, lambda: "p Go on" in screen_text(app).splitlines()[-1])
        await pilot.press("p")
        await until(pilot, lambda: "running" in screen_text(app), 20)
        steps = table.current.step if table.current is not None else 0
        await until(pilot, lambda: table.current is not None and table.current.step > steps)

        await pilot.press("enter")
        await until(pilot, lambda: app.live.watched and app.dashboard.room == 1)
        await until(pilot, lambda: "far  watched" in screen_text(app))
        await pilot.press("4")
        await until(pilot, lambda: table.has_focus)
        await pilot.press("s")
        await until(pilot, lambda: training.poll() is not None, 30)
        await until(pilot, lambda: not app.live.watched and "■ stopped" in screen_text(app), 20)
        # the header says so at once, the list at its next look
        await until(pilot, lambda: table.current is not None and table.current.state == "stopped", 20)
        done = table.current.step if table.current is not None else 0

        await pilot.press("f")
        await until(pilot, lambda: "Fork far" in screen_text(app))
        await pilot.press("n")
        await until(pilot, lambda: "What does it do differently" in screen_text(app))
        await pilot.press(*"learning_rate=0.01", "enter")
        await until(pilot, lambda: len(list_runs(runs)) == 2, 20)
        await until(pilot, lambda: table.current is not None and table.current.run != "far")

        await pilot.press("x")
        await until(pilot, lambda: "Extend fnn-synthetic-1" in screen_text(app))
        app.screen.query_one("Input").value = str(done + 40)  # type: ignore[attr-defined]
        await pilot.press("enter")
        await until(pilot, lambda: app.live.status == "done" and not app.desk.busy, 60)
        assert app.live.step == done + 40
        assert (app.live.config or {})["learning_rate"] == 0.01
        fork = app.live.run_id

        await pilot.press("4")
        await until(pilot, lambda: table.has_focus and "✓ done" in screen_text(app))
        await pilot.press("home", "space", "space")
        await until(pilot, lambda: "learning_rate" in screen_text(app) and "2 marked" in screen_text(app), 20)
        table.put_cursor(fork)
        await pilot.press("n")
        await until(pilot, lambda: f"Rename {fork}" in screen_text(app))
        app.screen.query_one("Input").value = "slower"  # type: ignore[attr-defined]
        await pilot.press("enter")
        await until(pilot, lambda: table.current is not None and table.current.run == "slower", 20)
        table.put_cursor("far")
        await pilot.press("d")
        await until(pilot, lambda: "Delete far?" in screen_text(app))
        await pilot.press("d")
        await until(pilot, lambda: [each.id for each in list_runs(runs)] == ["slower"], 20)
        await until(pilot, lambda: "1 run," in screen_text(app), 20)
