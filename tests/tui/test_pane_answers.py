"""Every key of a pane gives an answer that can be seen, and what was chosen is there at the next start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cifar_tui.tui.live import ALL_KINDS, LiveRun
from cifar_tui.tui.settings import Settings
from tests.tui.fake_session import evaluation, make_app, ready, screen_text, started
from tests.tui.recipe_app import RecipeApp, lines
from tests.tui.recipe_app import ready as form_ready
from tests.tui.waiting import until


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_keys_of_an_empty_chart_say_what_they_did(tmp_path: Path, size: tuple[int, int]) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=size, notifications=True) as pilot:
        await ready(pilot)
        app.dashboard.focus_pane("loss")
        await pilot.pause()
        for key, said in (
            ("y", "No curve yet: there is nothing to copy"),
            ("left", "No curve yet: there is nothing to point at"),
            ("l", "l log"),
            ("x", "x epoch"),
            ("plus", "+- smooth 0.8"),
            ("minus", "+- smooth 0.6"),
            ("m", "m block"),
            ("v", "─ Steps per second"),
        ):
            await pilot.press(key)
            await until(pilot, lambda said=said: said in screen_text(app))
        app.settings.set(smoothing=0.0)
        for _ in range(2):
            await pilot.press("minus")
        await until(pilot, lambda: "Smoothing stays 0: the least there is" in screen_text(app))


async def test_a_border_too_narrow_for_the_answer_is_helped_by_a_notice(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=(48, 24), notifications=True) as pilot:
        await ready(pilot)
        app.dashboard.focus_pane("loss")
        await pilot.pause()
        await pilot.press("x", "m")
        await until(pilot, lambda: "Drawn with: block" in screen_text(app))


async def test_y_on_an_empty_report_says_so(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await ready(pilot)
        app.dashboard.focus_pane("report")
        await pilot.pause()
        await pilot.press("y")
        await until(pilot, lambda: "No numbers yet: there is nothing to copy" in screen_text(app))


async def test_groups_of_the_form_are_as_they_were_left() -> None:
    settings = Settings()
    first: Any = RecipeApp(settings=settings)
    async with first.run_test(size=(44, 36)) as pilot:
        await form_ready(pilot)
        assert "Hidden layers" in "".join(lines(first))
        for name in ("group-model", "group-schedule"):
            first.query_one(f"#{name}").focus()
            await pilot.press("enter")
            await pilot.pause()
        assert "Warm-up" in "".join(lines(first)) and "Hidden layers" not in "".join(lines(first))
    assert settings.folds == {"model": "folded", "schedule": "open"}
    again: Any = RecipeApp(settings=settings)
    async with again.run_test(size=(44, 36)) as pilot:
        await form_ready(pilot)
        text = "".join(lines(again))
        assert "Warm-up" in text and "▸ Architecture" in text and "Hidden layers" not in text


async def test_what_an_error_unfolds_is_not_remembered() -> None:
    settings = Settings()
    app = RecipeApp(settings=settings)
    async with app.run_test(size=(44, 20)) as pilot:
        await form_ready(pilot)
        app.form.load("seed-fnn", {"seed": "x"})
        await app.form.action_start()
        await pilot.pause()
        assert "Seed" in "".join(lines(app))
    assert settings.folds == {}


async def test_the_order_of_the_runs_is_remembered(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await pilot.press("4")
        await until(pilot, lambda: bool(app.query("RunsTable")))
        await pilot.pause()
        app.query_one("RunsTable").sort_by(5)  # type: ignore[attr-defined]
    assert app.settings.runs_sort == "-best test"
    app.settings.save()
    again = make_app(tmp_path)
    async with again.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await pilot.press("4")
        await until(pilot, lambda: bool(again.query("RunsTable")))
        await pilot.pause()
        assert again.query_one("RunsTable").order == ("best test", True)  # type: ignore[attr-defined]


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_f6_reaches_every_pane_while_a_training_runs(tmp_path: Path, size: tuple[int, int]) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=size) as pilot:
        await ready(pilot)
        live = LiveRun()
        live.begin()
        app.dashboard.show_live(live, frozenset({"status"}))
        await pilot.pause()
        await pilot.pause()
        for key in ("f6", "shift+f6"):
            seen = []
            for _ in range(5):
                await pilot.press(key)
                await pilot.pause()
                seen.append(app.dashboard.grid.focused_pane())
            assert set(seen) == {"dataset", "recipe", "loss", "accuracy", "report"}, seen


@pytest.mark.parametrize("pane", ["dataset", "recipe", "accuracy", "report"])
async def test_coming_back_from_a_room_leads_to_the_pane_that_was_left(tmp_path: Path, pane: str) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        app.dashboard.focus_pane(pane)
        await pilot.pause()
        for room in ("4", "5", "1"):
            await app.dashboard.show_room(int(room))
            await pilot.pause()
        assert app.dashboard.grid.tab == pane
        assert app.dashboard.grid.focused_pane() == pane
        assert f"─ {pane.capitalize()} " in screen_text(app)


@pytest.mark.parametrize("key", ["f2", "f3"])
async def test_the_map_of_the_report_takes_the_colours_of_another_theme_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    from cifar_tui.tui.widgets import report_blocks

    inks: list[dict[str, str]] = []
    arrange = report_blocks.arrange

    def watched(report: Any, width: int, height: int, ink: Any, colour: bool) -> Any:
        inks.append(dict(ink))
        return arrange(report, width, height, ink, colour)

    monkeypatch.setattr(report_blocks, "arrange", watched)
    app = make_app(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        app.live.add(started())
        app.live.add(evaluation(100))
        app.dashboard.show_live(app.live, ALL_KINDS)
        await pilot.pause()
        await pilot.press(key)
        await until(pilot, lambda: len(inks) > 1)
        await pilot.pause()
        now = app.theme_variables
        assert inks[-1] == {name: now[name] for name in inks[-1]}
        assert inks[-1] != inks[0]
