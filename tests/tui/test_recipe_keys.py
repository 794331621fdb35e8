"""The recipe form as the user drives it, by keys and by mouse."""

from __future__ import annotations

from cifar_tui.tui.messages import CopyRequested, StartRequested
from cifar_tui.tui.widgets.fields import ChoiceMenu, TextEditor
from tests.tui.recipe_app import PANE, RecipeApp, line_of, lines, ready, type_into, unfold


async def test_a_click_on_what_it_was_resets_the_field():
    app = RecipeApp()
    async with app.run_test(size=PANE) as pilot:
        await ready(pilot)
        app.form.load("seed-cnn", {"batch_size": "64"})
        await pilot.pause()
        shown = lines(app)
        row = next(i for i, line in enumerate(shown) if "was 50" in line)
        await pilot.click(offset=(shown[row].index("was 50"), row))
        await pilot.pause()
        assert app.form.values == {}


async def test_all_fields_are_reset_at_once():
    app = RecipeApp()
    async with app.run_test(size=PANE) as pilot:
        await ready(pilot)
        app.form.load("seed-cnn", {"batch_size": "64", "seed": "x"})
        await pilot.pause()
        assert "^n reset all" in line_of(app, "copy command")
        app.query_one("#group-run").focus()
        await pilot.press("R")
        await pilot.pause()
        assert app.form.values == {} and app.form.recipe is not None
        assert "^n reset all" not in "".join(lines(app))


async def test_a_wrong_field_in_a_folded_group_is_named_and_reached_with_start():
    app = RecipeApp()
    async with app.run_test(size=PANE) as pilot:
        await ready(pilot)
        app.form.load("seed-cnn", {"epsilon": "-1"})
        await pilot.pause()
        assert "✕ 1 wrong" in line_of(app, "Optimisation")
        assert "✕ epsilon: expected a value" in line_of(app, "epsilon")
        app.form.focus_first()
        await pilot.press("ctrl+s")
        await pilot.pause()
        assert app.of(StartRequested) == []
        assert app.focused is app.query_one("#epsilon")
        assert "-1" in line_of(app, "Epsilon")


async def test_start_asks_for_a_training_with_texts_and_preset():
    app = RecipeApp()
    async with app.run_test(size=PANE) as pilot:
        await ready(pilot)
        app.form.load("seed-cnn", {"seed": "7"})
        app.query_one("#recipe-start").focus()
        await pilot.press("enter")
        await pilot.click("#recipe-start")
        await pilot.pause()
        asked = app.of(StartRequested)
        assert [(message.values, message.preset) for message in asked] == [({"seed": "7"}, "seed-cnn")] * 2


async def test_y_copies_the_command_and_so_does_a_click_on_it():
    app = RecipeApp()
    async with app.run_test(size=PANE) as pilot:
        await ready(pilot)
        app.form.load("seed-cnn", {"seed": "7"})
        app.form.focus_first()
        await pilot.press("y")
        await pilot.click("#recipe-command")
        app.query_one("#steps").focus()
        await pilot.press("ctrl+y")
        await pilot.click(offset=(lines(app)[-1].index("copy command"), 20))
        await pilot.pause()
        copied = [message.text for message in app.of(CopyRequested)]
        assert copied == ["cifar-tui train --preset seed-cnn --seed 7"] * 4


async def test_letters_in_an_input_are_text_and_no_commands():
    app = RecipeApp()
    async with app.run_test(size=PANE) as pilot:
        await ready(pilot)
        await type_into(pilot, "steps", "yrRow")
        assert app.query_one("#steps", TextEditor).value == "yrRow"
        assert app.of(CopyRequested) == []


async def test_a_choice_opens_a_list_and_escape_leaves_it():
    app = RecipeApp()
    async with app.run_test(size=(100, 30)) as pilot:
        await ready(pilot)
        app.form.load("seed-cnn")
        app.query_one("#model").focus()
        await pilot.press("enter")
        await pilot.pause()
        assert "Feed-forward net" in line_of(app, "Feed-forward")
        await pilot.press("escape")
        await pilot.pause()
        assert not app.query(ChoiceMenu) and app.focused is app.query_one("#model")
        await pilot.press("enter", "up", "enter")
        await pilot.pause()
        assert not app.query(ChoiceMenu)
        assert app.form.values == {"model": "fnn"}
        await pilot.press("enter")
        app.query_one("#steps").focus()
        await pilot.pause()
        assert not app.query(ChoiceMenu)


async def test_arrows_and_tab_go_from_field_to_field_and_enter_to_the_next():
    app = RecipeApp()
    async with app.run_test(size=PANE) as pilot:
        await ready(pilot)
        app.form.focus_first()
        await pilot.pause()
        seen = []
        for key in ("down", "down", "down", "enter", "tab", "down", "up", "shift+tab"):
            await pilot.press(key)
            seen.append(app.focused.id)
        assert seen == [
            "dataset",
            "model",
            "steps",
            "batch_size",
            "learning_rate",
            "group-model",
            "learning_rate",
            "batch_size",
        ]


async def test_a_switch_says_on_or_off():
    app = RecipeApp()
    async with app.run_test(size=(60, 40)) as pilot:
        await ready(pilot)
        app.form.load(None, {"optimizer": "sgd", "momentum": "0.9"})
        await unfold(pilot, "optimisation")
        await unfold(pilot, "optimisation", more=True)
        assert "○ off" in line_of(app, "Nesterov")
        app.query_one("#nesterov").focus()
        await pilot.press("enter")
        await pilot.pause()
        assert "● on" in line_of(app, "Nesterov")
        assert app.form.values["nesterov"] == "true"
