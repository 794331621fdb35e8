"""A run that another process trains, followed and steered from the app."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cifar_tui.runs.directory import RunDirectory, list_runs
from cifar_tui.runs.liveness import look
from cifar_tui.tui.app import CifarTuiApp
from cifar_tui.tui.settings import Settings
from tests.tui.fake_session import make_app, ready, screen_text
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


def app_on(folder: Path, **options: object) -> CifarTuiApp:
    """The app on the folders of that process."""
    settings = Settings(folder / "settings.toml")
    return CifarTuiApp(folder / "data", folder / "runs", settings=settings, first_start=False, **options)  # type: ignore[arg-type]


async def begun(folder: Path, pilot: object) -> RunDirectory:
    """Wait until the run is trained."""
    runs = folder / "runs"

    def trains() -> bool:
        return (
            runs.is_dir()
            and bool(list_runs(runs))
            and look(RunDirectory.open(runs, "far")).doing == "training"
        )

    await until(pilot, trains, 60)  # type: ignore[arg-type]
    return RunDirectory.open(runs, "far")


async def test_a_run_of_another_process_is_watched_paused_and_stopped(
    tmp_path: Path, training: subprocess.Popen[bytes]
) -> None:
    app = app_on(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        run = await begun(tmp_path, pilot)
        app.action_open_run("far")
        await until(pilot, lambda: app.live.watched and app.live.step > 0)
        await until(pilot, lambda: "far  watched" in screen_text(app))
        step = app.live.step
        await until(pilot, lambda: app.live.step > step)

        await pilot.press("space")
        await until(pilot, lambda: "‖ paused" in screen_text(app), 20)
        assert look(run).state == "paused"
        await pilot.press("space")
        await until(pilot, lambda: app.live.status == "training", 20)

        await pilot.press("c")
        await until(pilot, lambda: any(mark.kind == "checkpoint" for mark in app.live.marks), 20)
        await pilot.press("s")
        await until(pilot, lambda: app.live.status == "stopped", 30)
        await until(pilot, lambda: "■ stopped" in screen_text(app))
        assert "watched" not in screen_text(app).splitlines()[1]
        assert app.desk.thread is None
    assert training.wait(20) == 0


async def test_leaving_the_app_leaves_the_run_alone(
    tmp_path: Path, training: subprocess.Popen[bytes]
) -> None:
    app = app_on(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        run = await begun(tmp_path, pilot)
        app.action_open_run("far")
        await until(pilot, lambda: app.live.watched)
        await pilot.press("q")
        await until(pilot, lambda: app._exit)
    assert look(run).state == "running"
    assert training.poll() is None


async def test_a_watched_process_that_dies_is_told_with_a_remedy(
    tmp_path: Path, training: subprocess.Popen[bytes]
) -> None:
    app = app_on(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await begun(tmp_path, pilot)
        app.action_open_run("far")
        await until(pilot, lambda: app.live.watched and app.live.step > 0)
        os.kill(training.pid, signal.SIGKILL)
        training.wait()
        await until(pilot, lambda: "without a last word" in screen_text(app), 20)
        assert "cifar-tui train --resume far" in screen_text(app)
        assert app.live.status == "failed" and not app.live.is_live


async def test_the_app_can_be_opened_on_a_run(tmp_path: Path, training: subprocess.Popen[bytes]) -> None:
    app = app_on(tmp_path, watch="far")
    runs = tmp_path / "runs"
    other = make_app(tmp_path / "other")  # only to wait with
    async with other.run_test() as waiting:
        await begun(tmp_path, waiting)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await until(pilot, lambda: app.live.watched and app.live.step > 0)
        assert "far  watched" in screen_text(app)
        # A recipe can be started here meanwhile; the watched run goes on without us.
        form = app.dashboard.pane("recipe")
        form.load(
            preset=None, values={"dataset": "synthetic", "model": "fnn", "num_nodes": "16", "steps": "20"}
        )
        await pilot.press("ctrl+s")
        await until(pilot, lambda: app.live.status == "done", 60)
        assert app.live.run_id != "far"
        assert look(RunDirectory.open(runs, "far")).state == "running"
