"""The two header lines: chips, numbers, colours, outside text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cifar_tui.tui import theme
from cifar_tui.tui.live import ALL_KINDS
from tests.tui.fake_session import make_app, progress, ready, screen_text, started


@pytest.mark.parametrize(
    ("there", "shown"),
    [
        (("cifar100",), "CIFAR-100"),
        (("cifar100", "cifar10"), "CIFAR-10 CIFAR-100"),
        ((), "no data yet"),
    ],
)
async def test_the_header_names_the_datasets_that_are_on_the_disk(
    tmp_path: Path, there: tuple[str, ...], shown: str
) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        app.show_data(name for name in there)
        await pilot.pause()
        assert app.dashboard.header.data_chip == shown
        assert shown in screen_text(app)


async def test_a_header_painted_between_a_theme_and_its_colours_takes_them_all_the_same(
    tmp_path: Path,
) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        app.theme = theme.LIGHT
        app.dashboard.header.update_text()
        await pilot.pause(0.1)
        colour = app.theme_variables["foreground"].lower()
        strip = app.dashboard.header.render_line(0)
        assert any(s.style and s.style.color and s.style.color.name == colour for s in strip)


@pytest.mark.parametrize("status", ["training", "evaluating"])
async def test_a_narrow_header_keeps_every_number_whole(tmp_path: Path, status: str) -> None:
    from cifar_tui import events as told

    app = make_app(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        app.live.add(started(run="a-run-with-a-long-name-of-30-xx"))
        app.live.add(progress(123_456))
        if status == "evaluating":
            app.live.add(told.Phase(phase="evaluate", text="training split", done=1, total=2))
        app.dashboard.show_live(app.live, ALL_KINDS)
        await pilot.pause()
        line = screen_text(app).splitlines()[1]
        assert line.rstrip().endswith("steps/s"), line
        assert line.startswith(" a-run-w")


async def test_outside_text_in_the_header_is_shown_and_not_obeyed(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        event = started(run="[red]x[/] [@click=app.quit]\x1b[31m")
        app.live.add(event)
        app.live.add(progress(10))
        app.dashboard.show_live(app.live, ALL_KINDS)
        await pilot.pause()
        assert "[red]x[/] [@click=app.q" in screen_text(app)
        assert "\x1b" not in re.sub(r"\s", "", screen_text(app))
