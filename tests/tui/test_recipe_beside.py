"""The recipe form beside a training, a file and the settings."""

from __future__ import annotations

from cifar_tui.events import Progress
from cifar_tui.tui.live import LiveRun
from cifar_tui.tui.messages import StartRequested
from cifar_tui.tui.settings import Settings
from tests.tui.recipe_app import PANE, RecipeApp, line_of, lines, ready, type_into, unfold


async def test_the_form_is_read_only_while_a_training_runs_and_its_values_stay_in_sight():
    app = RecipeApp()
    live = LiveRun()
    async with app.run_test(size=PANE) as pilot:
        await ready(pilot)
        app.form.load("seed-cnn", {"seed": "7"})
        app.query_one("#steps").focus()
        live.begin()
        app.form.show_live(live, frozenset({"status"}))
        await pilot.pause()
        await pilot.pause()
        assert app.query_one("#steps").disabled
        assert "20_000" in line_of(app, "Steps")
        assert "read only while training" in lines(app)[-1]
        assert "Pause" in line_of(app, "Stop") and "Start" not in line_of(app, "Stop")
        await pilot.press("enter")
        await pilot.click("#recipe-stop")
        await pilot.pause()
        assert app.ran == ["pause", "stop"]
        await pilot.press("ctrl+s", "R")
        assert app.of(StartRequested) == [] and app.form.values == {"seed": "7"}
        await unfold(pilot, "run")
        assert app.query_one("#seed").disabled
        live.status = "paused"
        app.form.show_live(live, frozenset({"progress"}))
        await pilot.pause()
        assert "Resume" in line_of(app, "Stop")
        live.status = "done"
        app.form.show_live(live, frozenset({"run_ended"}))
        await pilot.pause()
        assert "Start" in line_of(app, "Load")
        assert not app.query_one("#seed").disabled


async def test_the_time_is_unknown_until_a_run_ended_and_then_told():
    app = RecipeApp()
    live = LiveRun()
    async with app.run_test(size=(60, 30)) as pilot:
        await ready(pilot)
        app.form.load("seed-cnn")
        await pilot.pause()
        assert "time unknown  ^g estimate" in line_of(app, "time unknown")
        assert app.form.recipe is not None
        live.config, live.device = app.form.recipe.config.model_dump(), {"device": "cpu"}
        figures = dict.fromkeys(
            ("loss", "loss_min", "loss_max", "moving_loss", "moving_accuracy", "mean_loss", "mean_accuracy"),
            1.0,
        )
        live.progress = Progress(
            step=1,
            target=9,
            epoch=0.1,
            learning_rate=0.1,
            steps_per_second=40.0,
            images_per_second=1.0,
            seconds=1.0,
            **figures,
        )
        app.form.show_live(live, frozenset({"run_ended"}))
        await pilot.pause()
        assert "about 8:20 from 1 run here" in line_of(app, "about")


async def test_a_recipe_is_saved_and_loaded_by_name(tmp_path):
    app = RecipeApp()
    path = tmp_path / "mine.toml"
    async with app.run_test(size=(90, 30)) as pilot:
        await ready(pilot)
        app.form.load("seed-cnn", {"seed": "7", "dropout": "0.25"})
        app.form.focus_first()
        await pilot.press("w")
        await pilot.pause()
        app.screen.query_one("#recipe-path").value = str(path)
        await pilot.press("enter")
        await pilot.pause()
        assert 'preset = "seed-cnn"' in path.read_text()
        app.form.load("seed-fnn")
        await pilot.press("w")
        await pilot.pause()
        await pilot.press("enter")
        await pilot.pause()
        assert "enter again to replace it" in "".join(lines(app))
        assert 'preset = "seed-cnn"' in path.read_text()
        await pilot.press("escape", "o")
        await pilot.pause()
        await pilot.press("enter")
        await pilot.pause()
        assert (app.form.preset, app.form.values) == ("seed-cnn", {"dropout": "0.25", "seed": "7"})
        assert "seed-cnn" in line_of(app, "Preset")


async def test_a_bad_file_is_named_in_the_dialog_and_the_form_stays(tmp_path):
    app = RecipeApp()
    path = tmp_path / "bad.toml"
    path.write_text("[schedule]\nsteps = 'many'\n")
    async with app.run_test(size=(90, 30)) as pilot:
        await ready(pilot)
        app.form.load("seed-cnn", {"seed": "7"})
        app.form.focus_first()
        await pilot.press("o")
        await pilot.pause()
        for name, said in ((str(path), "expected an integer"), (str(tmp_path / "no.toml"), "cannot read")):
            app.screen.query_one("#recipe-path").value = name
            await pilot.pause()
            await pilot.press("enter")
            await pilot.pause()
            assert "✕" in line_of(app, "✕")
            assert said in " ".join(line.strip(" │") for line in lines(app))
        await pilot.press("escape")
        await pilot.pause()
        assert app.form.values == {"seed": "7"}


async def test_the_last_form_comes_back_from_the_settings():
    settings = Settings(preset="seed-cnn", form={"seed": "7", "steps": "bad", "colour": "red"})
    app = RecipeApp(settings=settings)
    async with app.run_test(size=PANE) as pilot:
        await ready(pilot)
        assert "bad" in line_of(app, "Steps") and "seed-cnn" in line_of(app, "Preset")
        await type_into(pilot, "steps", "50")
        assert settings.form == {"seed": "7", "steps": "50"}
    settings = Settings(preset="gone", form={"seed": "7"})
    app = RecipeApp(settings=settings)
    async with app.run_test(size=PANE) as pilot:
        await ready(pilot)
        assert "none" in line_of(app, "Preset")
        assert app.form.values == {"seed": "7"}
