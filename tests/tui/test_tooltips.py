"""Tooltips explain; they are never in the way of the mouse."""

from __future__ import annotations

from pathlib import Path

from textual.widgets import Button, Tooltip

from cifar_tui.tui.screens.first_start import FirstStart
from tests.tui.fake_session import make_app, ready, screen_text
from tests.tui.waiting import until


async def test_a_click_on_a_tooltip_goes_to_what_is_below_it(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=(120, 40), tooltips=True) as pilot:
        await ready(pilot)
        row = app.dashboard.query_one("#row-learning_rate")
        assert row.tooltip
        tooltip = app.screen.query_one(Tooltip)
        await pilot.hover(row)
        await until(pilot, lambda: tooltip.display and tooltip.region)
        x, y = tooltip.region.x + 1, tooltip.region.y
        covered = [widget for widget, _region in app.screen.get_widgets_at(x, y)]
        assert covered[0] is tooltip
        assert app.screen.get_widget_at(x, y)[0] is covered[1]


async def test_no_tooltip_covers_the_choices_of_the_first_start(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=(80, 24), tooltips=True) as pilot:
        await ready(pilot)
        await app.push_screen(FirstStart())
        for step in (("built in, no network", "100 classes, 169 MB to fetch"), ("600 steps", "67.1% there")):
            assert all(remark in screen_text(app) for remark in step), "all of a remark is in its line"
            assert not any(button.tooltip for button in app.screen.query(Button))
            await pilot.press("enter")
            await pilot.pause()
