"""The shell of the app: header, layout, rooms, themes, footer, first start."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from textual import events

from cifar_tui.charts import role_colour
from cifar_tui.tui import theme
from cifar_tui.tui.actions import ACTIONS
from cifar_tui.tui.live import ALL_KINDS
from cifar_tui.tui.settings import Settings
from tests.tui.fake_session import FakeSession, evaluation, make_app, progress, ready, screen_text, started
from tests.tui.run_maker import make_run
from tests.tui.waiting import until


async def test_at_120_by_40_all_five_panes_are_in_sight(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        text = screen_text(app)
        for title in ("─ Dataset", "─ Recipe", "─ Loss", "─ Accuracy", "─ Report"):
            assert title in text
        assert "1 Dashboard   2 Data   3 Report   4 Runs   5 Log" in text
        assert "no run yet" in text and "○ idle" in text
        assert "space Start" in text.splitlines()[-1]


async def test_at_80_by_24_the_panes_are_tabs_that_a_key_walks_through(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        text = screen_text(app)
        assert " Loss   Accuracy   Report   Recipe   Dataset" in text and "─ Recipe" not in text
        seen = []
        for _ in range(5):
            await pilot.press("f6")
            await pilot.pause()
            seen.append(app.dashboard.grid.tab)
        assert seen == ["accuracy", "report", "recipe", "dataset", "loss"]
        await pilot.click("TabLine", offset=(32, 0))
        await pilot.pause()
        assert "─ Recipe" in screen_text(app)


async def test_a_change_of_size_keeps_the_panes_and_what_is_in_them(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        app.dashboard.pane("recipe").load(preset=None, values={"steps": "1234"})
        await pilot.pause()
        before = dict(app.dashboard.grid.panes)
        for size in ((80, 24), (20, 5), (200, 50), (120, 40)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
        assert app.dashboard.grid.panes == before
        assert app.dashboard.pane("recipe").values["steps"] == "1234"
        assert "1234" in screen_text(app)


async def test_z_gives_the_focused_pane_all_of_the_room_and_back(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        app.dashboard.focus_pane("report")
        await pilot.pause()
        await pilot.press("z")
        await pilot.pause()
        assert "─ Report" in screen_text(app) and "─ Loss" not in screen_text(app)
        await pilot.press("z")
        await pilot.pause()
        assert "─ Loss" in screen_text(app)


async def test_sizes_of_panes_are_changed_by_keys_and_by_mouse_and_remembered(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await pilot.press("right_square_bracket", "right_square_bracket")
        await pilot.pause()
        assert app.dashboard.pane("dataset").size.width + 4 >= 44
        assert app.settings.left_width == 46
        await pilot.mouse_down(offset=(45, 20))
        await pilot.hover(offset=(59, 20))
        await pilot.mouse_up(offset=(59, 20))
        await pilot.pause()
        assert app.settings.left_width == 60
    app.settings.save()
    again = make_app(tmp_path)
    async with again.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        assert again.dashboard.pane("loss").region.x == 60
        await pilot.press("equals_sign")
        await pilot.pause()
        assert again.dashboard.pane("loss").region.x == 42


@pytest.mark.parametrize("number", [2, 3, 4, 5])
async def test_each_room_is_entered_by_its_key_and_by_a_click_on_its_name(
    tmp_path: Path, number: int
) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        column = screen_text(app).splitlines()[0].index(f"{number} ")
        await pilot.click("HeaderLine", offset=(column, 0))
        await until(pilot, lambda: app.dashboard.room == number)
        assert "─ Accuracy ─" not in screen_text(app)
        await pilot.press("1")
        await until(pilot, lambda: app.dashboard.room == 1)
        await pilot.press(str(number))
        await until(pilot, lambda: app.dashboard.room == number)


async def test_themes_are_switched_and_remembered(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        assert app.theme == theme.DARK
        await pilot.press("f2")
        assert app.theme == theme.LIGHT
        await pilot.press("f3")
        assert app.theme == theme.LIGHT_BLIND
        await pilot.press("f2")
        assert app.theme == theme.DARK_BLIND
    app.settings.save()
    assert Settings.load(app.settings.path).theme == theme.DARK_BLIND
    assert make_app(tmp_path).theme == theme.DARK_BLIND


def test_train_and_test_have_the_colours_of_the_charts() -> None:
    for (palette, dark), colours in theme.LINES.items():
        for role, code in colours.items():
            assert tuple(bytes.fromhex(code[1:])) == role_colour(role, palette, dark)  # type: ignore[arg-type]


async def test_the_footer_shows_the_keys_of_the_focused_pane_and_a_click_presses_one(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        footer = screen_text(app).splitlines()[-1]
        assert footer.startswith(" space Start") and footer.rstrip().endswith("q Quit")
        app.dashboard.focus_pane("dataset")
        await pilot.pause()
        assert screen_text(app).splitlines()[-1] != footer
        column = screen_text(app).splitlines()[-1].index("z Maximise")
        await pilot.click("FooterLine", offset=(column, 0))
        await pilot.pause()
        assert app.dashboard.grid.alone == "dataset"


@pytest.mark.parametrize("size", [(60, 24), (80, 24), (120, 40)])
async def test_the_footer_is_never_cut_in_a_word(tmp_path: Path, size: tuple[int, int]) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=size) as pilot:
        await ready(pilot)
        await pilot.press("space")
        await until(pilot, lambda: app.live.step > 0)
        footer = screen_text(app).splitlines()[-1]
        assert "? Explain" in footer
        last = footer.rstrip().rsplit(" ", 1)[-1]
        names = {word for action in ACTIONS for word in action.name.split()}
        assert last in names | {"Resume", "Start"}


def test_every_action_has_a_method_a_key_and_a_sentence() -> None:
    from cifar_tui.tui.app import CifarTuiApp

    for action in ACTIONS:
        name = "room" if action.id.startswith("room_") else action.id
        assert callable(getattr(CifarTuiApp, f"action_{name}", None)), action.id
        assert action.key and action.help.endswith(".")
    keys = [key for action in ACTIONS for key in action.key.split(",")]
    assert len(keys) == len(set(keys))


async def test_the_first_start_reaches_a_training_in_three_keys(tmp_path: Path) -> None:
    class Slow(FakeSession):
        rate = 20.0

    app = make_app(tmp_path, Slow, first_start=True)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await until(pilot, lambda: "Welcome" in screen_text(app))
        assert "no network" in screen_text(app)
        await pilot.press("d", "q", "space")
        await until(pilot, lambda: app.live.step > 0)
        config = app.sessions[0].request.recipe.config
        assert (config.dataset, config.model) == ("synthetic", "cnn")
        await until(pilot, lambda: "● training" in screen_text(app))


async def test_the_first_start_goes_back_step_by_step_and_can_be_left(tmp_path: Path) -> None:
    app = make_app(tmp_path, first_start=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await until(pilot, lambda: "Which?" in screen_text(app))
        await pilot.press("g")
        assert "✓ Data" in screen_text(app)
        await pilot.press("c")
        assert "CIFAR-10, the notebook's convolutional net." in screen_text(app)
        await pilot.press("escape", "escape", "escape")
        await pilot.pause()
        assert app.screen is app.dashboard and not app.sessions


async def test_the_recipe_of_the_first_start_can_be_looked_at_before(tmp_path: Path) -> None:
    app = make_app(tmp_path, first_start=True)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await until(pilot, lambda: "Which?" in screen_text(app))
        await pilot.press("h", "f", "e")
        await pilot.pause()
        form = app.dashboard.pane("recipe")
        assert (form.preset, form.values) == ("seed-fnn", {"dataset": "cifar100"})
        assert not app.sessions


async def test_the_first_start_is_not_shown_where_there_is_a_run(tmp_path: Path) -> None:
    from cifar_tui.runs.directory import RunDirectory

    RunDirectory.create(tmp_path / "runs", {"config": {}}, name=None, stem="fnn")
    app = make_app(tmp_path, first_start=True)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await until(pilot, lambda: "no data yet" in screen_text(app))
        assert app.screen is app.dashboard


async def test_the_first_start_says_what_is_on_the_disk_by_then(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        app.show_data({"cifar10"})
        await pilot.press("f9")
        await until(pilot, lambda: "Which?" in screen_text(app))
        rows = [line for line in screen_text(app).splitlines() if "CIFAR-10" in line and "│" in line]
        assert any("ready on this disk" in line for line in rows)
        assert "to fetch" in screen_text(app), "CIFAR-100 is not there"


async def test_a_key_that_comes_while_the_panes_are_made_leaves_the_focus_in_its_room(
    tmp_path: Path,
) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        for name in ("loss", "report", "dataset"):
            app.dashboard.focus_pane(name)  # as when the panes are there
            app.dashboard.room = 4  # and the room is entered before any other message
            app.set_focus(None)
            await pilot.pause(0.05)
            assert app.focused is None, "a focus of the dashboard that comes late would be a hidden one"
            app.dashboard.room = 1


async def test_help_and_palette_open_on_their_keys_and_close_again(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await pilot.press("question_mark")
        await until(pilot, lambda: "Loss chart" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.dashboard)
        await pilot.press("ctrl+p")
        await pilot.press(*"colour-blind")
        await until(pilot, lambda: "Colour-blind palette" in screen_text(app))
        await pilot.press("enter", "enter")
        await until(pilot, lambda: app.theme == theme.DARK_BLIND)


async def test_every_key_of_the_footer_does_something_that_can_be_seen(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await ready(pilot)
        for event in (started(), progress(100), evaluation(100, "train"), evaluation(100), progress(200)):
            app.live.add(event)
        app.dashboard.show_live(app.live, ALL_KINDS)
        for pane in ("loss", "report", "dataset"):
            app.dashboard.focus_pane(pane)
            await pilot.pause()
            keys = [key for key, _name, _pressed in app.dashboard.query_one("FooterLine")._wanted]
            for key in keys:
                if key in {"q", "space", "^p"}:
                    continue
                await pilot.pause(0.3)
                before = screen_text(app)
                await pilot.press({"?": "question_mark", "+": "plus"}.get(key, key))
                end = time.monotonic() + 5
                while screen_text(app) == before:
                    assert time.monotonic() < end, f"{key} in {pane} does nothing that can be seen"
                    await pilot.pause(0.02)
                if app.screen is not app.dashboard:
                    await pilot.press("escape")
                    await until(pilot, lambda: app.screen is app.dashboard)
                if app.dashboard.grid.alone:
                    await pilot.press("z")
                app.desk.stop_everything("next")
                await until(pilot, lambda: app.desk.download is None)


async def test_closing_a_dialog_twice_closes_nothing_else(tmp_path: Path) -> None:
    from cifar_tui.tui.screens.dialogs import error_dialog

    app = make_app(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        below, above = error_dialog(RuntimeError("below")), error_dialog(RuntimeError("above"))
        app.push_screen(below)
        app.push_screen(above)
        await pilot.pause()
        below.call_later(lambda: below.dismiss(None) and None)  # a key that was meant for it comes late
        await pilot.pause(0.1)
        assert app.screen is above
        above.call_later(lambda: above.dismiss(None) and None)
        above.call_later(lambda: above.dismiss(None) and None)
        await until(pilot, lambda: app.screen is below)
        await pilot.pause(0.1)
        assert app.screen is below
        below.call_later(lambda: below.dismiss(None) and None)
        below.call_later(lambda: below.dismiss(None) and None)
        await until(pilot, lambda: app.screen is app.dashboard)
        await pilot.pause(0.1)
        assert app.is_running and app.crash is None


async def test_two_quick_clicks_beside_the_palette_close_it_and_no_more(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await pilot.press("ctrl+p")
        palette = app.screen
        assert palette is not app.dashboard
        palette.call_later(lambda: palette.dismiss(None) and None)
        palette.call_later(lambda: palette.dismiss(None) and None)
        await until(pilot, lambda: app.screen is app.dashboard)
        await pilot.pause(0.1)
        assert app.is_running and app.crash is None


async def test_keys_typed_ahead_of_a_room_are_its_own(tmp_path: Path) -> None:
    make_run(tmp_path / "runs", "cnn-1")
    app = make_app(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        app.action_open_run("cnn-1")
        await until(pilot, lambda: app.live.run_id == "cnn-1")
        app.dashboard.focus_pane("loss")
        await pilot.pause()
        marker = app.settings.marker
        for key in ("3", "m"):  # both before the room is there; m is the marker of a chart, too
            app.post_message(events.Key(key, key))
        await until(pilot, lambda: "cat said dog  40 of 91" in screen_text(app))
        assert app.settings.marker == marker
