"""Help, glossary and command palette."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
from textual.widgets import Input

from cifar_tui.datasets import store, synthetic
from cifar_tui.tui import glossary
from cifar_tui.tui.actions import ACTIONS
from cifar_tui.tui.app import CifarTuiApp
from cifar_tui.tui.commands import commands
from cifar_tui.tui.messages import DownloadRequested
from cifar_tui.tui.screens.help import HelpScreen
from cifar_tui.tui.widgets.dataset_pane import DatasetPane
from cifar_tui.tui.widgets.runs_table import RunsTable
from tests.tui.pane_app import PaneApp, screen_text
from tests.tui.waiting import until

WANTED = (
    "loss",
    "~loss",
    "~acc",
    "#loss",
    "#acc",
    "top-5",
    "ECE",
    "epoch",
    "steps/s",
    "median step",
    "p95 step",
    "ETA",
    "learning rate",
    "penalty",
)


@pytest.fixture(autouse=True)
def small_world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    store.reset_cache()
    monkeypatch.setattr(synthetic, "build", functools.partial(synthetic.build, train=120, test=40))
    monkeypatch.setenv("CIFAR_TUI_CONFIG_DIR", str(tmp_path / "config"))


@pytest.mark.parametrize("word", WANTED)
def test_every_number_that_is_shown_is_explained(word: str) -> None:
    found = [term for term in glossary.TERMS if word in {term.name, term.short}]
    assert len(found) == 1
    assert found[0].text.endswith(".")


def test_the_glossary_has_no_word_twice_and_names_known_panes() -> None:
    names = [term.name for term in glossary.TERMS]
    assert len(names) == len(set(names))
    known = {"dataset", "recipe", "chart", "report", "runs", "machine", "header"}
    assert all(set(term.panes) <= known for term in glossary.TERMS)


def test_a_search_finds_names_first_then_texts() -> None:
    assert glossary.search("ece")[0].name == "ECE"
    assert glossary.search("LOSS moving")[0].name == "moving loss"
    assert glossary.search("no such word") == []
    assert glossary.search("", "machine")[0].panes and "machine" in glossary.search("", "machine")[0].panes
    assert len(glossary.search("")) == len(glossary.TERMS)


async def test_help_explains_the_focused_pane_and_lists_its_keys(tmp_path: Path) -> None:
    app = PaneApp(DatasetPane(), tmp_path / "data", tmp_path / "runs")
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause(0.2)
        app.widget.focus()
        app.push_screen(HelpScreen())
        await pilot.pause()
        text = screen_text(app)
        assert "Explain: Dataset" in text
        assert "A download keeps what arrived" in text.replace("\n", " ") or "A download keeps" in text
        assert "Keys here" in text
        assert any("g " in line and "Get" in line for line in text.splitlines())
        assert "Numbers here" in text
        assert "ETA" in text


async def test_typing_searches_and_esc_first_empties_then_closes(tmp_path: Path) -> None:
    app = PaneApp(RunsTable(), tmp_path / "data", tmp_path / "runs")
    async with app.run_test(size=(100, 30)) as pilot:
        app.push_screen(HelpScreen())
        await pilot.pause()
        await pilot.press(*"calibration")
        text = screen_text(app)
        assert "Expected calibration error" in text
        assert "warm-up" not in text
        await pilot.press(*"[/x]")
        assert 'No word "calibration[/x]".' in screen_text(app)
        await pilot.press("escape")
        assert app.screen.query_one("#help-search", Input).value == ""
        await pilot.press("escape")
        assert not isinstance(app.screen, HelpScreen)


@pytest.mark.parametrize("size", [(80, 24), (60, 20), (20, 5)])
async def test_help_fits_small_screens_and_scrolls(tmp_path: Path, size: tuple[int, int]) -> None:
    app = PaneApp(DatasetPane(), tmp_path / "data", tmp_path / "runs")
    async with app.run_test(size=size) as pilot:
        app.widget.focus()
        app.push_screen(HelpScreen())
        await pilot.pause()
        before = screen_text(app)
        await pilot.press("pagedown", "down")
        assert "Explain" in screen_text(app)
        assert size[1] < 10 or screen_text(app) != before


async def test_the_palette_lists_every_action_under_its_one_name(tmp_path: Path) -> None:
    app = CifarTuiApp(tmp_path / "data", tmp_path / "runs", first_start=False)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.dashboard.ready)
        names = {command.name for command in commands(app.screen)}
        idle = {"stop", "stop_evaluate", "evaluate_now", "checkpoint_now", "set_target", "set_learning_rate"}
        for action in ACTIONS:
            if action.id not in idle | {"pause", "command_palette"}:
                assert action.name in names
        assert "Start" in names, "space starts while nothing is trained"
        assert {"Get CIFAR-10", "Get CIFAR-100"} <= names


async def test_a_command_of_the_palette_does_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(
        CifarTuiApp, "on_download_requested", lambda _self, message: asked.append(message.dataset)
    )
    app = CifarTuiApp(tmp_path / "data", tmp_path / "runs", first_start=False)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.dashboard.ready)
        before = app.theme
        await pilot.press("ctrl+p", *"light or dark", "down", "enter")
        await pilot.pause(0.3)
        assert app.theme != before
        command = next(found for found in commands(app.screen) if found.name == "Get CIFAR-100")
        command.run()
        await pilot.pause()
        assert asked == ["cifar100"]
    assert DownloadRequested("cifar10").dataset == "cifar10"


async def test_question_mark_opens_and_closes_help_in_the_app(tmp_path: Path) -> None:
    app = CifarTuiApp(tmp_path / "data", tmp_path / "runs", first_start=False)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.dashboard.ready)
        await pilot.press("question_mark")
        await pilot.pause()
        assert isinstance(app.screen, HelpScreen)
        assert "Everywhere" in screen_text(app)
        await pilot.press("question_mark")
        await pilot.pause()
        assert not isinstance(app.screen, HelpScreen)
