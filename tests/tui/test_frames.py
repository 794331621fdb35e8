"""The frame of the pane with the focus is lit, and moving the focus costs no more than that."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.color import Color
from textual.css.stylesheet import Stylesheet

from cifar_tui.tui.frames import LIT
from cifar_tui.tui.widgets.chart_view import ChartView
from tests.tui.fake_session import make_app, ready
from tests.tui.waiting import until

pytestmark = pytest.mark.usefixtures("small_synthetic")


def lit(app: object) -> list[str]:
    """Panes of the dashboard whose frame and title have the accent's colour on the screen."""
    accent = Color.parse(app.theme_variables["accent"]).rich_color  # type: ignore[attr-defined]
    grid = app.dashboard.grid  # type: ignore[attr-defined]
    strips = app.screen._compositor.render_strips()  # type: ignore[attr-defined]
    found = []
    for name, pane in grid.panes.items():
        if not pane.region.area:
            continue
        line = strips[pane.region.y].crop(pane.region.x, pane.region.x + 4)
        colours = {segment.style.color for segment in line if segment.text.strip()}
        assert len(colours) >= 1
        if accent in colours:
            found.append(name)
            title = strips[pane.region.y].crop(pane.region.x + 3, pane.region.right - 3)
            words = next(segment for segment in title if segment.text.strip(" ─"))
            assert words.style.color == accent or name in {"loss", "accuracy"}  # those name their curves
    return found


async def test_one_pane_is_lit_and_it_is_the_one_with_the_focus(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        for name in ("dataset", "recipe", "loss", "accuracy", "report", "recipe", "dataset"):
            app.dashboard.focus_pane(name)
            await until(pilot, lambda name=name: lit(app) == [name])
        app.dashboard.set_focus(None)
        await until(pilot, lambda: lit(app) == [])


async def test_a_frame_in_another_room_is_lit_too(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await pilot.press("4")
        await until(pilot, lambda: app.focused is not None and app.focused.id == "runs-table")
        pane = app.query_one("#runs-pane")
        accent = Color.parse(app.theme_variables["accent"])
        assert pane.has_class(LIT) and pane.styles.border_top[1] == accent
        assert pane.styles.border_title_color == accent
        await pilot.press("1")
        await until(pilot, lambda: not pane.has_class(LIT))


async def test_what_is_inside_a_pane_is_neither_styled_nor_painted_anew_when_the_focus_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        app.dashboard.focus_pane("accuracy")
        await until(pilot, lambda: lit(app) == ["accuracy"])
        styled: list[str] = []
        painted: list[str] = []
        apply, draw = Stylesheet.apply, ChartView.render_line

        def count(sheet: Stylesheet, node: object, **options: object) -> None:
            styled.append(type(node).__name__)
            apply(sheet, node, **options)  # type: ignore[arg-type]

        def count_lines(view: ChartView, y: int) -> object:
            painted.append(type(view).__name__)
            return draw(view, y)

        monkeypatch.setattr(Stylesheet, "apply", count)
        monkeypatch.setattr(ChartView, "render_line", count_lines)
        app.dashboard.focus_pane("loss")
        await until(pilot, lambda: lit(app) == ["loss"])
        assert sorted(set(styled)) == ["ChartPane"] and len(styled) == 2
        assert painted == []
