"""What augmentation makes of a picture, looked at before a training."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tui.fake_session import make_app, ready, screen_text
from tests.tui.waiting import until

pytestmark = pytest.mark.usefixtures("small_synthetic")


async def look_at_the_first_picture(app, pilot) -> None:
    await ready(pilot)
    await pilot.press("2")
    await until(pilot, lambda: app.dashboard.query("SamplesGrid"))
    pane = app.dashboard.query_one("#room-dataset-pane")
    await until(pilot, lambda: pane.statuses)
    pane.select("synthetic")
    grid = app.dashboard.query_one("SamplesGrid")
    await until(pilot, lambda: grid.count == 120, 30)
    grid.focus()
    await pilot.press("a")
    await until(pilot, lambda: "augmented" in screen_text(app))


@pytest.mark.parametrize(("size", "pictures"), [((80, 24), 8), ((120, 40), 18), ((200, 50), 18)])
async def test_a_shows_the_picture_as_the_recipe_would_change_it(
    tmp_path: Path, size: tuple[int, int], pictures: int
) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=size) as pilot:
        await ready(pilot)
        app.dashboard.pane("recipe").load(values={"crop": "2", "cutout": "9"})
        await look_at_the_first_picture(app, pilot)
        text = screen_text(app)
        assert "the recipe: crop 2, cutout 9" in text and "mirrored" not in text
        assert text.count("as it is") == 1
        moved = [word for word in text.split() if word[0] in "←→↑↓" and word[1:].isdigit()]
        assert moved and {word[1:] for word in moved} <= {"1", "2"}
        assert sum(len(row._rows) for row in app.screen.query("PictureRow") if row.display) == pictures
        await pilot.press("a")
        await pilot.pause()
        assert screen_text(app) != text, "other numbers are drawn"
        await pilot.press("escape")
        await until(pilot, lambda: "augmented" not in screen_text(app))


async def test_a_recipe_without_augmentation_says_so_and_shows_the_usual_one(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await look_at_the_first_picture(app, pilot)
        assert "the recipe leaves pictures as they are; this is flip, crop 4" in screen_text(app)
        assert "mirrored" in screen_text(app)
