"""At 80 columns: the keys that the footer keeps, and the way to everything else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import OptionList

from cifar_tui.tui.screens.checkpoints import ChooseCheckpoint
from cifar_tui.tui.widgets.dataset_pane import DatasetPane
from cifar_tui.tui.widgets.fields import ChoiceEditor
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


async def open_checkpoints(app: Any) -> None:
    app.push_screen(ChooseCheckpoint("cnn-1", [], 100))


async def open_keys(app: Any) -> None:
    app.action_keys()


async def open_palette(app: Any) -> None:
    app.action_command_palette()


async def open_choices(app: Any) -> None:
    await app.dashboard.pane("recipe").query_one("#model", ChoiceEditor).action_open()


@pytest.mark.parametrize("open_list", [open_checkpoints, open_keys, open_palette, open_choices])
async def test_a_list_outlives_a_terminal_of_any_width(
    tmp_path: Path, open_list: Callable[[Any], Awaitable[None]]
) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await open_list(app)
        await until(pilot, lambda: bool(app.screen.query(OptionList)))
        for width in (*range(12, 0, -1), 80):
            await pilot.resize_terminal(width, 24)
            await pilot.pause()
            assert app.is_running
