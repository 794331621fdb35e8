"""Pixels of the terminal's own, with the extra ``graphics``: asked for once; cells wherever that fails."""

from __future__ import annotations

import importlib.machinery
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from textual.app import App
from textual.content import Content
from textual.widgets import Static

from cifar_tui.tui import graphics
from cifar_tui.tui.screens.zoom import ZoomScreen
from cifar_tui.tui.widgets.picture_views import PictureZoom
from tests.tui.waiting import until

IMAGE = np.arange(32 * 32 * 3, dtype=np.uint8).reshape(32, 32, 3)


class Sixels(Static):
    """In place of the widget that writes pixels."""

    def __init__(self, picture: Any) -> None:
        super().__init__("pixels")
        self.picture = picture


@pytest.fixture(autouse=True)
def nothing_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphics, "_found", [])
    monkeypatch.delenv("CIFAR_TUI_GRAPHICS", raising=False)


def install(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    """A library whose terminal gave this answer: "sixel", "kitty" or "cells"."""
    kinds = {"sixel": Sixels, "kitty": type("Kitty", (), {}), "cells": type("Cells", (), {})}
    package = ModuleType("textual_image")
    package.__spec__ = importlib.machinery.ModuleSpec("textual_image", None)
    package.renderable = SimpleNamespace(  # type: ignore[attr-defined]
        Image=kinds[answer], SixelImage=kinds["sixel"], TGPImage=kinds["kitty"]
    )
    package.widget = SimpleNamespace(  # type: ignore[attr-defined]
        Image=Sixels, get_cell_size=lambda: SimpleNamespace(width=8, height=16)
    )
    monkeypatch.setitem(sys.modules, "textual_image", package)


@pytest.mark.parametrize(("answer", "found"), [("sixel", True), ("kitty", True), ("cells", False)])
def test_the_terminal_is_believed(monkeypatch: pytest.MonkeyPatch, answer: str, found: bool) -> None:
    install(monkeypatch, answer)
    graphics.ask()
    assert graphics.available() == found


def test_nothing_is_asked_without_the_extra_or_where_it_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "sixel")
    monkeypatch.setenv("CIFAR_TUI_GRAPHICS", "off")
    graphics.ask()
    assert not graphics.available()
    monkeypatch.delenv("CIFAR_TUI_GRAPHICS")
    monkeypatch.delitem(sys.modules, "textual_image")
    monkeypatch.setattr(graphics, "find_spec", lambda _name: None)
    graphics.ask()
    assert not graphics.available()
    with pytest.raises(RuntimeError):
        graphics.picture(IMAGE, 32, 16)


def test_a_library_that_fails_leaves_the_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "sixel")
    del sys.modules["textual_image"].renderable
    graphics.ask()
    assert not graphics.available()


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 50)])
async def test_the_zoom_shows_every_pixel_as_a_sharp_square(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    install(monkeypatch, "sixel")
    graphics.ask()
    app: App[None] = App()
    async with app.run_test(size=size) as pilot:
        app.push_screen(ZoomScreen(IMAGE, "a picture", Content("line one\nline two")))
        await until(pilot, lambda: bool(app.screen.query(Sixels)))
        shown = app.screen.query_one(Sixels)
        assert not app.screen.query(PictureZoom)
        width, height = shown.picture.size
        assert (width, height) == (shown.size.width * 8, shown.size.height * 16)
        pixels = np.asarray(shown.picture)
        columns = np.arange(width) * 32 // width
        rows = np.arange(height) * 32 // height
        if width % 32 == 0 and height % 32 == 0:
            assert np.array_equal(pixels, IMAGE[rows][:, columns])
        assert set(map(tuple, pixels.reshape(-1, 3))) <= set(map(tuple, IMAGE.reshape(-1, 3)))


async def test_without_it_the_zoom_draws_cells() -> None:
    app: App[None] = App()
    async with app.run_test(size=(120, 40)) as pilot:
        app.push_screen(ZoomScreen(IMAGE, "a picture", Content("a line")))
        await until(pilot, lambda: bool(app.screen.query(PictureZoom)))
        zoom = app.screen.query_one(PictureZoom)
        assert zoom.size.width >= 32 and zoom.size.height >= 16
