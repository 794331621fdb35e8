"""What comes while the app, a dialog or a widget is going ends nothing; an error of ours does."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cifar_tui.tui.app import CifarTuiApp
from cifar_tui.tui.settings import Settings
from tests.tui.fake_session import make_app, ready, screen_text
from tests.tui.waiting import until


async def test_news_that_come_when_the_screens_are_gone_are_no_crash(tmp_path: Path) -> None:
    from cifar_tui.tui.widgets.dataset_messages import StatusChanged

    class LateNews(CifarTuiApp):
        async def _close_all(self) -> None:
            await super()._close_all()
            self.post_message(StatusChanged({}))
            await asyncio.sleep(0.05)

    app = LateNews(tmp_path / "data", tmp_path / "runs", settings=Settings(), first_start=False)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
    assert app.crash is None


async def test_a_dialog_that_is_closed_before_it_is_seen_is_no_bug(tmp_path: Path) -> None:
    from textual._context import active_message_pump
    from textual.css.query import NoMatches

    from cifar_tui.tui.screens.first_start import FirstStart

    app = make_app(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        token = active_message_pump.set(FirstStart())
        app._handle_exception(NoMatches("no widgets any more"))
        active_message_pump.reset(token)
        await pilot.pause()
        assert app.crash is None and app.is_running


async def test_keys_while_the_app_leaves_are_left_alone(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        app.leave()
        for key in ("2", "3", "f9", "question_mark", "ctrl+p", "z"):
            app.simulate_key(key)
    assert app.crash is None and app.dashboard.room == 1


async def test_a_click_at_which_the_library_fails_ends_nothing_but_one_of_ours_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from textual import events
    from textual.widgets import Static

    app = make_app(tmp_path)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await ready(pilot)
        gone = Static()  # has no parent, as a widget that was removed but is painted until the next refresh
        down = events.MouseDown(gone, 3, 5, 0, 0, 1, False, False, False, 3, 5)
        monkeypatch.setattr(
            app.dashboard, "get_widget_and_offset_at", lambda _x, _y: (gone, app.dashboard.region.offset)
        )
        await app.on_event(down)
        monkeypatch.undo()
        await until(pilot, lambda: "nothing was lost" in screen_text(app))
        assert app.crash is None and app.is_running

        def ours(*_: object) -> None:
            raise KeyError(0)

        monkeypatch.setattr(app.dashboard, "_forward_event", ours)
        with pytest.raises(KeyError):
            await app.on_event(events.MouseDown(gone, 3, 5, 0, 0, 1, False, False, False, 3, 5))
        monkeypatch.undo()
