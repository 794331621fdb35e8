"""Pictures as cells: the colours of the picture, in the codes that the terminal knows."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from rich.color import ColorSystem
from textual.strip import Strip

from cifar_tui.tui.widgets.pixel_cells import Colours, colours_of, picture_strips

SYSTEMS: dict[Colours, ColorSystem] = {
    "truecolour": ColorSystem.TRUECOLOR,
    "256": ColorSystem.EIGHT_BIT,
    "16": ColorSystem.STANDARD,
}
PIXELS = np.random.default_rng(3).integers(0, 256, (5, 6, 3), dtype=np.uint8)


@pytest.mark.parametrize("colours", list(SYSTEMS))
def test_a_cell_has_the_colours_of_its_two_pixels(colours: Colours) -> None:
    rows = picture_strips(PIXELS, colours)
    assert len(rows) == 3
    for y, row in enumerate(rows):
        assert [segment.text for segment in row] == ["▀"] * 6
        for x, segment in enumerate(row):
            assert segment.style is not None and segment.style.color is not None
            assert segment.style.bgcolor is not None
            assert segment.style.color.triplet == tuple(PIXELS[2 * y, x])
            assert segment.style.bgcolor.triplet == tuple(PIXELS[min(2 * y + 1, 4), x])


def test_equal_neighbours_are_one_segment() -> None:
    (row,) = picture_strips(np.array([[[1, 2, 3]] * 4 + [[9, 9, 9]] * 2] * 2, dtype=np.uint8), "truecolour")
    assert [segment.text for segment in row] == ["▀▀▀▀", "▀▀"]


@pytest.mark.parametrize(
    ("colours", "codes"),
    [
        ("truecolour", "38;2;255;0;0;48;2;0;0;238"),
        ("256", "38;5;196;48;5;21"),
        ("16", "38;5;9;48;5;4"),
    ],
)
def test_the_terminal_is_sent_what_it_knows(colours: Colours, codes: str) -> None:
    image = np.array([[[255, 0, 0]], [[0, 0, 238]]], dtype=np.uint8)
    ((segment,),) = picture_strips(image, colours)
    assert segment.style is not None
    assert Strip.render_style(segment.style, "▀", SYSTEMS[colours]) == f"\x1b[{codes}m▀\x1b[0m"


def test_true_colours_are_sent_as_textual_would_send_them() -> None:
    for row in picture_strips(PIXELS, "truecolour"):
        for segment in row:
            assert segment.style is not None
            plain = segment.style.copy()
            plain._ansi = None
            assert segment.style._ansi == Strip.render_ansi(plain, ColorSystem.TRUECOLOR)


def test_without_colours_there_are_signs_without_style() -> None:
    rows = picture_strips(PIXELS, "none")
    assert [len(segment.text) for row in rows for segment in row] == [6, 6, 6]
    assert not any(segment.style for row in rows for segment in row)


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        ("truecolor", "truecolour"),
        ("256", "256"),
        ("standard", "16"),
        ("windows", "16"),
        (None, "truecolour"),
    ],
)
def test_the_colours_are_those_of_the_screen(system: str | None, expected: str) -> None:
    console = SimpleNamespace(color_system=system)
    assert colours_of(SimpleNamespace(no_color=False, console=console)) == expected
    assert colours_of(SimpleNamespace(no_color=True, console=console)) == "none"
