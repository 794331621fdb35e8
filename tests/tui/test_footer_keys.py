"""Every key that the footer shows does something that can be seen."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from cifar_tui import events
from cifar_tui.tui.app import CifarTuiApp
from cifar_tui.tui.widgets.footer import FooterLine
from tests.tui.fake_session import FakeSession, ended, evaluation, make_app, progress, ready, started
from tests.tui.waiting import until

PANES = ("dataset", "recipe", "loss", "accuracy", "report")


class Still(FakeSession):
    """Stands at one step, so that nothing but an answer to a key changes the screen."""

    def run(self) -> events.RunEnded | None:
        """Obey until a stop."""
        put = self.mailbox.put
        self.run_id = "fnn-1"
        put(started(run=self.run_id))
        put(events.Phase(phase="train"))
        put(progress(100))
        was_paused, step = False, 100
        while (stop := self.control.stop_request) is None:
            time.sleep(0.01)
            if self.control.take_checkpoint():
                self._save(step, "demand")
            if self.control.take_evaluate():
                put(evaluation(step, "train", 0.55))
                put(evaluation(step, "test", 0.5))
            if self.control.paused != was_paused:
                was_paused = self.control.paused
                put(progress(step, paused=was_paused))
        self._save(step, "end")
        self.ended = ended(step, "stopped", run=self.run_id, reason=stop.reason)
        put(self.ended)
        return self.ended


def cells(app: CifarTuiApp) -> list[list[tuple[str, Any]]]:
    """What is seen, with its styles; dialogs and notices too."""
    return [
        [(segment.text, segment.style) for segment in strip]
        for strip in app.screen._compositor.render_strips()
    ]


async def settle(pilot: Pilot[Any]) -> None:
    """Until the screen stands still, at most a second."""
    app: Any = pilot.app
    before = None
    for _ in range(20):
        await pilot.pause(0.05)
        now = cells(app)
        if now == before:
            return
        before = now


async def go_to(pilot: Pilot[Any], place: str) -> None:
    """A pane or a room, without dialogs and notices."""
    app: Any = pilot.app
    for _ in range(5):
        if app.screen is app.dashboard:
            break
        await pilot.press("escape")
        await pilot.pause()
    assert app.screen is app.dashboard
    app.clear_notifications()
    if app.dashboard.grid.alone:
        app.dashboard.maximise()
    if place in PANES:
        await app.dashboard.show_room(1)
        app.dashboard.focus_pane(place)
    else:
        await app.dashboard.show_room(int(place))
    await settle(pilot)


async def begin_again(pilot: Pilot[Any], *, training: bool) -> None:
    """A training that stands at a step, or none."""
    app: Any = pilot.app
    if app.desk.control is not None and app.desk.control.stop_request is not None:
        await until(pilot, lambda: app.desk.thread is None)
    if training and app.desk.thread is None:
        app.start_recipe({}, "seed-fnn")
        await until(pilot, lambda: app.live.step > 0)
    elif not training and app.desk.thread is not None:
        app.desk.stop_everything("the next key")
        await until(pilot, lambda: app.desk.thread is None)
    elif app.desk.control is not None:
        app.desk.control.resume()


def shown_keys(app: CifarTuiApp) -> list[tuple[str, str]]:
    """Key and name of all that the footer says."""
    line = app.dashboard.query_one(FooterLine)
    names = {pressed: f"{key} {name}" for key, name, pressed in line._wanted}
    return [(key, names[key]) for _, _, key in line._spots]


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("place", [*PANES, "2", "3", "4", "5"])
async def test_each_key_of_the_footer_changes_the_screen(
    tmp_path: Path, size: tuple[int, int], training: bool, place: str
) -> None:
    app = make_app(tmp_path, Still)
    silent: list[str] = []
    async with app.run_test(size=size, notifications=True) as pilot:
        await ready(pilot)
        await begin_again(pilot, training=training)
        await go_to(pilot, place)
        keys = shown_keys(app)
        assert keys
        for key, name in keys:
            if name == "q Quit" and not training:
                continue  # ends the app
            await begin_again(pilot, training=training)
            await go_to(pilot, place)
            before = cells(app)
            await pilot.press(key)
            for _ in range(40):
                await pilot.pause(0.05)
                if cells(app) != before:
                    break
            else:
                silent.append(name)
        app.desk.stop_everything("the test is over")
        with contextlib.suppress(AssertionError):
            await until(pilot, lambda: app.desk.thread is None, 3)
    assert silent == []
