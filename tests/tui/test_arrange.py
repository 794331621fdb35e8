"""The places of the panes, for every size."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from textual import events

from cifar_tui.tui.arrange import PANES, TABS, Sizes, mode, regions
from tests.tui.fake_session import make_app, ready


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1, 1), "tiny"),
        ((20, 5), "tiny"),
        ((80, 24), "tabs"),
        ((120, 29), "tabs"),
        ((120, 40), "two"),
        ((200, 50), "three"),
    ],
)
def test_the_layout_goes_by_the_size(size: tuple[int, int], expected: str) -> None:
    assert mode(*size) == expected


def test_at_120_by_40_the_panes_have_the_sizes_of_the_design() -> None:
    placed = regions(120, 37, "two")
    assert {name: (r.x, r.y, r.width, r.height) for name, r in placed.items()} == {
        "dataset": (0, 0, 42, 15),
        "recipe": (0, 15, 42, 22),
        "loss": (42, 0, 78, 12),
        "accuracy": (42, 12, 78, 12),
        "report": (42, 24, 78, 13),
    }


def test_at_200_by_50_there_are_three_columns() -> None:
    placed = regions(200, 47, "three")
    assert (placed["loss"].width, placed["report"].x, placed["report"].height) == (90, 138, 47)


@pytest.mark.parametrize("layout", ["two", "three"])
def test_the_panes_fill_the_screen_without_overlap(layout: str) -> None:
    sizes = [
        Sizes(),
        Sizes(left=200),
        Sizes(left=1, dataset=99, chart=99, report=99),
        Sizes(dataset=1, chart=1, report=1),
    ]
    for width, height, chosen in itertools.product((100, 137, 250, 400), (27, 37, 47, 97), sizes):
        placed = regions(width, height, layout, sizes=chosen)
        assert set(placed) == set(PANES)
        assert sum(r.width * r.height for r in placed.values()) == width * height
        for a, b in itertools.combinations(placed.values(), 2):
            assert not a.overlaps(b)
        assert all(r.right <= width and r.bottom <= height for r in placed.values())


def test_a_chart_tab_has_the_numbers_below_it_and_the_others_are_alone() -> None:
    assert {name: r.height for name, r in regions(80, 20, "tabs", tab="loss").items()} == {
        "loss": 14,
        "report": 6,
    }
    for tab in set(TABS) - {"loss", "accuracy"}:
        assert set(regions(80, 20, "tabs", tab=tab)) == {tab}


def test_a_maximised_pane_is_alone() -> None:
    assert set(regions(120, 37, "two", alone="report")) == {"report"}
    assert regions(0, 0, "two") == {}


async def test_a_border_that_is_dragged_while_the_panes_become_tabs_is_let_go(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        for dragged in ("left", "dataset", "loss", "report"):
            app.dashboard.grid._dragged = dragged
            app.dashboard.grid.alone = "accuracy"
            app.dashboard.fit()
            await pilot.pause()
            move = events.MouseMove(app.dashboard.grid, 20, 9, 1, 1, 1, False, False, False, 20, 9)
            app.dashboard.grid.on_mouse_move(move)
        assert app.dashboard.grid.visible_panes() == ["accuracy"]
        for alone in (*PANES, ""):
            for mode_name in ("two", "three", "tabs"):
                app.dashboard.grid.alone, app.dashboard.grid.layout_mode = alone, mode_name
                for part in ("left", *PANES):
                    app.dashboard.grid.change(part, 1)
