"""The view of a drawn chart paints what changed and no more."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.style import Style

from cifar_tui.tui.widgets.chart_view import Cells, ChartView
from tests.tui.pane_app import PaneApp


def cells(*rows: str) -> Cells:
    return [[(sign, Style()) for sign in row] for row in rows]


async def test_only_rows_that_differ_are_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    view, drawn = ChartView(), []
    app = PaneApp(view, tmp_path / "data", tmp_path / "runs")
    line = ChartView.render_line

    def counted(self: ChartView, y: int) -> object:
        drawn.append(y)
        return line(self, y)

    monkeypatch.setattr(ChartView, "render_line", counted)
    async with app.run_test(size=(20, 4)) as pilot:
        view.show(cells("first", "second", "third"), None)
        await pilot.pause(0.1)
        assert [row.strip() for row in app.text.splitlines()] == ["first", "second", "third", ""]
        drawn.clear()
        view.show(cells("first", "changed", "third"), None)
        await pilot.pause(0.1)
        assert [row.strip() for row in app.text.splitlines()] == ["first", "changed", "third", ""]
        assert set(drawn) == {1}
        drawn.clear()
        view.show(cells("first", "changed", "third"), None)
        await pilot.pause(0.1)
        assert not drawn


async def test_what_stood_there_before_leaves_nothing_behind(tmp_path: Path) -> None:
    view = ChartView()
    app = PaneApp(view, tmp_path / "data", tmp_path / "runs")
    async with app.run_test(size=(20, 4)) as pilot:
        for shown, expected in (
            (cells("one", "two", "three"), ["one", "two", "three", ""]),
            (cells("x"), ["x", "", "", ""]),
            (cells("x", "longer line"), ["x", "longer line", "", ""]),
            (cells("x", "short"), ["x", "short", "", ""]),
        ):
            view.show(shown, None)
            await pilot.pause(0.1)
            assert [row.strip() for row in app.text.splitlines()] == expected
        view.show_note(["nothing yet"])
        await pilot.pause(0.1)
        assert "nothing yet" in app.text and "short" not in app.text
        view.show(cells("x", "short"), None)
        await pilot.pause(0.1)
        assert [row.strip() for row in app.text.splitlines()] == ["x", "short", "", ""]
