"""The estimated time in the form: where it comes from, and the probe that finds it."""

from __future__ import annotations

import sys
import threading
import types
from pathlib import Path
from typing import Any

import pytest

from cifar_tui.errors import UsageError
from cifar_tui.session import probe
from cifar_tui.session.probe import Probe
from cifar_tui.tui.screens.help import HelpScreen
from cifar_tui.tui.widgets import estimate
from cifar_tui.tui.widgets.cost import CostLine
from tests.tui.fake_session import FakeSession, make_app, ready, screen_text
from tests.tui.recipe_app import RecipeApp, line_of, lines
from tests.tui.recipe_app import ready as form_ready
from tests.tui.waiting import until


class FakeProbe:
    """In place of a measurement: waits where it is told to, and gives a rate."""

    def __init__(self, rate: float = 40.0, error: Exception | None = None) -> None:
        self.rate, self.error = rate, error
        self.configs: list[Any] = []
        self.threads: list[threading.Thread] = []
        self.go = threading.Event()
        self.go.set()

    def __call__(self, config: Any, cancelled: Any = lambda: False) -> Probe | None:
        self.configs.append(config)
        self.threads.append(threading.current_thread())
        while not self.go.wait(0.01):
            if cancelled():
                return None
        if self.error is not None:
            raise self.error
        return Probe(self.rate, 0.3, "cpu", "fused", 1)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeProbe:
    found = FakeProbe()
    monkeypatch.setattr(probe, "measure", found)
    monkeypatch.setattr(probe, "is_ready", lambda: False)
    monkeypatch.setattr(estimate, "QUIET_SECONDS", 0.01)
    return found


async def test_a_key_times_the_steps_and_the_foot_says_so(tmp_path: Path, fake: FakeProbe) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await ready(pilot)
        app.dashboard.pane("recipe").load("seed-cnn")
        await until(pilot, lambda: "time unknown  ^g estimate" in screen_text(app))
        fake.go.clear()
        await pilot.press("ctrl+g")
        await until(
            pilot, lambda: "timing the steps" in screen_text(app) or "loading torch" in screen_text(app)
        )
        await pilot.press("ctrl+g")
        await until(pilot, lambda: "The steps are being timed" in screen_text(app))
        fake.go.set()
        await until(pilot, lambda: "about 8:20 from a probe" in screen_text(app))
        assert len(fake.configs) == 1
        assert fake.threads[0] is not threading.main_thread()


async def test_the_palette_has_the_estimate_and_the_help_names_its_key(
    tmp_path: Path, fake: FakeProbe
) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await ready(pilot)
        await pilot.press("ctrl+p")
        await pilot.pause()
        await pilot.press(*"estimate")
        await until(pilot, lambda: "Estimate time" in screen_text(app))
        await pilot.press("down", "enter")
        await until(pilot, lambda: len(fake.configs) == 1)
        await pilot.press("escape", "question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))


async def test_no_probe_while_a_training_runs_and_a_running_one_ends(tmp_path: Path, fake: FakeProbe) -> None:
    app = make_app(tmp_path, FakeSession)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await ready(pilot)
        fake.go.clear()
        await pilot.press("ctrl+g")
        await until(pilot, lambda: len(fake.threads) == 1)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: app.live.is_live)
        await until(pilot, lambda: not fake.threads[0].is_alive())
        await pilot.press("ctrl+g")
        await until(pilot, lambda: "A training runs" in screen_text(app))
        assert len(fake.configs) == 1
        assert "from a probe" not in screen_text(app)


async def test_once_torch_is_loaded_an_unknown_recipe_is_probed_by_itself_and_once(
    monkeypatch: pytest.MonkeyPatch, fake: FakeProbe
) -> None:
    app = RecipeApp()
    async with app.run_test(size=(60, 30), notifications=True) as pilot:
        await form_ready(pilot)
        await pilot.pause(0.05)
        assert fake.configs == []
        monkeypatch.setattr(probe, "is_ready", lambda: True)
        monkeypatch.setitem(sys.modules, "torch", types.ModuleType("torch"))
        app.form.load("seed-cnn")
        await until(pilot, lambda: "about 8:20 from a probe" in line_of(app, "MB"))
        app.form.load("seed-cnn", {"seed": "3", "steps": "4000"})
        await pilot.pause(0.05)
        assert "about 1:40 from a probe" in line_of(app, "about")
        assert len(fake.configs) == 1
        fake.rate = 80.0
        app.form.load("seed-cnn", {"batch_size": "100"})
        await until(pilot, lambda: "about 4:10 from a probe" in line_of(app, "MB"))
        assert len(fake.configs) == 2


async def test_a_probe_that_fails_is_told_and_not_tried_again_by_itself(
    monkeypatch: pytest.MonkeyPatch, fake: FakeProbe
) -> None:
    app = RecipeApp()
    fake.error = UsageError("one step is too \x1b[31mlarge")
    async with app.run_test(size=(60, 30), notifications=True) as pilot:
        await form_ready(pilot)
        await pilot.click(CostLine)
        await until(pilot, lambda: "The time is not known" in "".join(lines(app)))
        assert "too \\x1b[31mlarge" in "\n".join(notice.message for notice in app._notifications)
        assert "time unknown" in app.query_one(CostLine).render().plain
        monkeypatch.setattr(probe, "is_ready", lambda: True)
        app.form.load("seed-fnn")
        await pilot.pause(0.05)
        assert len(fake.configs) == 1


async def test_the_end_does_not_wait_for_a_probe(fake: FakeProbe) -> None:
    app = RecipeApp()
    fake.go.clear()
    async with app.run_test(size=(60, 30), notifications=True) as pilot:
        await form_ready(pilot)
        app.form.estimate()
        await until(pilot, lambda: len(fake.threads) == 1)
    fake.threads[0].join(2)
    assert not fake.threads[0].is_alive()
