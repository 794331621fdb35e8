"""Keys that the user chose."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.app import App

from cifar_tui.tui.app import CifarTuiApp
from cifar_tui.tui.keys import keymap
from cifar_tui.tui.screens.help import topic_of
from cifar_tui.tui.settings import Settings
from tests.tui.fake_session import ready, screen_text
from tests.tui.waiting import until


def app_with(folder: Path) -> CifarTuiApp:
    settings = Settings.load(folder / "settings.toml")
    return CifarTuiApp(folder / "data", folder / "runs", settings=settings, first_start=False)


def test_keys_are_taken_by_name_and_the_way_out_is_kept() -> None:
    found, problems = keymap({"pause": "p", "app.quit": "Q", "runs.delete": "ctrl+d", "copy": "b"})
    assert problems == []
    assert found == {"app.pause": "p", "app.quit": "Q,ctrl+q", "runs.delete": "ctrl+d", "app.copy": "b"}


@pytest.mark.parametrize(
    ("chosen", "reason"),
    [
        ({"pauze": "p"}, 'no action "pauze"; did you mean "pause"'),
        ({"pause": "s"}, "s is the key of Stop"),
        ({"pause": ""}, '"" is no key'),
        ({"pause": "escape"}, "cannot do anything else"),
        ({"Runs.x y": "p"}, "is no name of an action"),
    ],
)
def test_keys_that_cannot_be_used_are_told_and_left_out(chosen: dict[str, str], reason: str) -> None:
    found, [problem] = keymap(chosen)
    assert found == {} and reason in problem


def test_two_actions_can_change_their_keys_with_each_other() -> None:
    found, problems = keymap({"stop": "e", "evaluate_now": "s"})
    assert problems == [] and found == {"app.stop": "e", "app.evaluate_now": "s"}


async def test_a_key_of_the_settings_file_works_and_footer_and_help_show_it(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text('[keys]\nhelp = "h"\napp.theme = "f8"\n')
    app = app_with(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await until(pilot, lambda: "h Explain" in footer(app))
        theme = app.theme
        await pilot.press("f8")
        assert app.theme != theme
        await pilot.press("h")
        await until(pilot, lambda: "Explain:" in screen_text(app))
        assert ("h", "Explain") in topic_of(app.dashboard).everywhere


async def test_a_key_is_chosen_in_the_app_and_is_there_at_the_next_start(tmp_path: Path) -> None:
    app = app_with(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await pilot.press("f4")
        await until(pilot, lambda: "usual one" in screen_text(app))
        listed = app.screen.query_one("#keys-list")
        place = next(n for n, entry in enumerate(app.screen._entries) if entry.id == "app.theme")  # type: ignore[attr-defined]
        listed.highlighted = place  # type: ignore[attr-defined]
        await pilot.press("enter", "s")
        await until(pilot, lambda: any("key of Stop" in note.message for note in app._notifications))
        assert app.settings.keys == {}
        await pilot.press("enter", "f8")
        await pilot.pause()
        assert app.settings.keys == {"app.theme": "f8"}
        assert "usually F2" in screen_text(app) or "usually f2" in screen_text(app)
        await pilot.press("escape")
        theme = app.theme
        await pilot.press("f2")
        assert app.theme == theme
        await pilot.press("f8")
        assert app.theme != theme
        app.settings.save()
    again = app_with(tmp_path)
    async with again.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        theme = again.theme
        await pilot.press("f8")
        assert again.theme != theme


async def test_reduced_motion_is_remembered(tmp_path: Path) -> None:
    app = app_with(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await pilot.press("f7")
        assert app.animation_level == "none"
        app.settings.save()
    again = app_with(tmp_path)
    async with again.run_test(size=(80, 24)):
        assert again.animation_level == "none"


def footer(app: App[None]) -> str:
    return screen_text(app).splitlines()[-1]
