"""At 80 columns: the keys that the footer keeps, and the way to everything else."""

from __future__ import annotations

from pathlib import Path

import pytest

from cifar_tui.tui.widgets.dataset_pane import DatasetPane
from tests.tui.fake_session import make_app, ready, screen_text
from tests.tui.run_maker import make_run
from tests.tui.waiting import until

pytestmark = pytest.mark.usefixtures("small_synthetic")


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("room", [1, 2, 3, 4, 5])
async def test_a_small_screen_keeps_the_way_to_every_command_and_the_first_keys(
    tmp_path: Path, room: int, training: bool
) -> None:
    make_run(tmp_path / "runs", "cnn-1")
    app = make_app(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        if training:
            app.start_recipe({"steps": "100000"}, "seed-fnn")
            await until(pilot, lambda: app.live.step > 0)
            app.action_evaluate_now()
            await until(pilot, lambda: bool(app.live.last))
        else:
            app.action_open_run("cnn-1")
            await until(pilot, lambda: app.live.run_id == "cnn-1")
        await app.dashboard.show_room(room)
        if room == 2:
            app.query_one("#room-dataset-pane", DatasetPane).select("synthetic")
        keys = {1: "l Log x", 2: "t Split", 3: "m Worst cell", 4: "enter Open", 5: "w Warnings"}
        await until(pilot, lambda: keys[room] in screen_text(app).splitlines()[-1])
        footer = screen_text(app).splitlines()[-1]
        assert "? Explain" in footer and "^p Commands" in footer
        assert ("s Stop" in footer) == training
        app.desk.stop_everything("the test is over")
        await until(pilot, lambda: app.desk.thread is None)


async def test_the_list_of_classes_says_its_keys_on_a_small_screen(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        app.settings.set(dataset="synthetic")
        await pilot.press("2")
        await until(pilot, lambda: "1 of 120, file order" in screen_text(app))
        assert "/ Classes" in screen_text(app).splitlines()[-1]
        await pilot.press("slash")
        await until(pilot, lambda: "enter Show" in screen_text(app).splitlines()[-1])
        assert "esc Close" in screen_text(app).splitlines()[-1]
        await pilot.press("escape")
        await until(pilot, lambda: "enter Zoom" in screen_text(app).splitlines()[-1])
        assert "esc Close" not in screen_text(app).splitlines()[-1]
