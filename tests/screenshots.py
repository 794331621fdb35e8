"""Pictures of the real app, before, during and after real trainings on CIFAR-10. Run as a script.

    python -m tests.screenshots --data-dir FOLDER                      # screenshots/, 120x40
    python -m tests.screenshots --data-dir FOLDER --size 80x24 --size 200x50 --out looks/

FOLDER holds ``cifar-10-batches-bin``. Writes an SVG of each state of each theme, and a PNG beside it where
``rsvg-convert`` is installed. It takes about two minutes on two cores.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from cifar_tui.datasets import store
from cifar_tui.tui import theme as themes
from cifar_tui.tui.app import CifarTuiApp
from cifar_tui.tui.screens.first_start import FirstStart
from cifar_tui.tui.settings import Settings
from cifar_tui.tui.widgets.gallery import Gallery

SIZE = (120, 40)
FNN = {"steps": "5000"}
CNN = {"learning_rate": "5e-4", "evaluate_first": "50"}
STEPS_A_PICTURE = 6000  # so that the CNN trains while all pictures of a training are taken
UNSTEADY = {
    "dataset": "cifar10",
    "model": "cnn",
    "norm": "none",
    "conv_norm": "none",
    "optimizer": "sgd",
    "momentum": "0.9",
    "learning_rate": "0.001",
    "steps": "4000",
    "evaluate_first": "20",
}


class Photographer:
    """Takes the same picture in every size and theme.

    Args:
        pilot: of the app.
        out: folder for the pictures.
        sizes: columns and rows.
        palettes: names of themes.
    """

    def __init__(
        self, pilot: Pilot[Any], out: Path, sizes: list[tuple[int, int]], palettes: tuple[str, ...]
    ) -> None:
        self.pilot, self.out, self.sizes, self.palettes = pilot, out, sizes, palettes
        self.app: Any = pilot.app
        self.taken: list[Path] = []

    async def until(self, true: Callable[[], Any], seconds: float = 600.0) -> None:
        """Wait for something to be so."""
        for _ in range(int(seconds * 20)):
            if true():
                return
            await self.pilot.pause(0.05)
        raise AssertionError("what the picture should show did not come in time")

    async def take(self, name: str, palettes: tuple[str, ...] = ()) -> None:
        """One state, in every size and in every theme, or in these."""
        for columns, rows in self.sizes:
            await self.pilot.resize_terminal(columns, rows)
            for palette in palettes or self.palettes:
                self.app.theme = palette
                await self.pilot.pause(0.8)  # charts are painted on a clock
                size = "" if (columns, rows) == SIZE else f"-{columns}x{rows}"
                path = self.out / f"{name}{size}-{palette.removeprefix('cifar-')}.svg"
                # Renderers that collapse runs of blanks would shift what follows them.
                picture = self.app.export_screenshot(title="cifar-tui")
                path.write_text(picture.replace("<svg ", '<svg xml:space="preserve" ', 1), encoding="utf-8")
                self.taken.append(path)
        await self.pilot.resize_terminal(*SIZE)
        await self.pilot.pause(0.2)

    async def dialog(self, name: str, key: str) -> None:
        """What a key opens, once for each theme."""
        for palette in self.palettes:
            self.app.theme = palette
            await self.pilot.pause(0.3)
            await self.pilot.press(key)
            await self.until(lambda: len(self.app.screen_stack) > 1)
            await self.take(name, (palette,))
            await self.pilot.press("escape")
            await self.until(lambda: len(self.app.screen_stack) == 1)

    async def train(self, preset: str | None, values: dict[str, str]) -> None:
        """Begin a recipe, as the form does."""
        self.app.dashboard.pane("recipe").load(preset=preset, values=values)
        await self.pilot.pause(0.3)
        await self.pilot.press("ctrl+s")
        await self.until(lambda: self.app.live.is_live)

    async def ended(self) -> None:
        """Wait for the end of the training."""
        await self.until(lambda: self.app.desk.thread is None)
        await self.pilot.pause(1.0)


async def tour(photos: Photographer) -> None:
    """Every state and room, in the order a user meets them."""
    pilot, app = photos.pilot, photos.app
    await photos.until(lambda: app.dashboard.ready)
    await photos.until(lambda: app.dashboard.pane("recipe").recipe is not None)
    app.dashboard.pane("recipe").load(preset="seed-cnn")
    await photos.take("dashboard-idle")

    await photos.train("seed-fnn", FNN)
    await photos.ended()
    await photos.take("dashboard-finished")

    pictures = len(photos.sizes) * len(photos.palettes)
    await photos.train("seed-cnn", {**CNN, "steps": str(STEPS_A_PICTURE * pictures)})
    await photos.until(lambda: app.live.step > 1500)
    await photos.take("dashboard-training")
    await pilot.press("2")
    await photos.take("data")
    await photos.dialog("data-zoom", "enter")
    await photos.dialog("data-augmented", "a")
    await pilot.press("1", "space")
    await photos.until(lambda: app.live.status == "paused")
    await photos.take("dashboard-paused")
    await pilot.press("space")
    await photos.until(lambda: app.live.status == "training")
    await pilot.press("5")
    await photos.take("log")
    await pilot.press("1", "E")
    await photos.ended()

    await pilot.press("3")
    await photos.until(lambda: app.dashboard.query("ConfusionMatrix"))
    await pilot.pause(1.5)
    await photos.take("report")
    await pilot.press("m", "enter")  # the pictures of the pair that is confused most
    await photos.until(lambda: app.dashboard.query_one("#pictures-gallery", Gallery).count)
    await photos.take("report-pictures")
    await pilot.press("escape", "4")
    await pilot.pause(1.5)
    await photos.take("runs")
    await pilot.press("space", "down", "space")
    await pilot.pause(1.0)
    await photos.take("runs-compare")
    await pilot.press("u", "1")
    app.dashboard.focus_pane("loss")
    for key, name in (("question_mark", "help"), ("f4", "keys"), ("ctrl+p", "commands")):
        await photos.dialog(name, key)
    app.push_screen(FirstStart())
    await photos.take("first-start")
    await pilot.press("escape")
    await photos.until(lambda: len(app.screen_stack) == 1)

    await photos.train(None, UNSTEADY)
    await photos.until(lambda: app.live.step > 400)
    app.dashboard.focus_pane("loss")
    await pilot.pause(0.3)
    app.action_set_learning_rate()  # another one from here on
    await photos.until(lambda: len(app.screen_stack) > 1)
    await pilot.pause(0.5)
    await pilot.press(*["backspace"] * 8, *"100", "enter")
    await photos.ended()
    assert app.live.status == "diverged"
    await photos.take("dashboard-failed")


def to_png(pictures: list[Path]) -> None:
    """A PNG beside each SVG, where the renderer is installed."""
    renderer = shutil.which("rsvg-convert")
    if renderer is None:
        print("no PNG: install rsvg-convert and a monospaced font with braille and blocks", file=sys.stderr)
        return
    for picture in pictures:
        path = picture.with_suffix(".png")
        subprocess.run([renderer, "-o", str(path), str(picture)], check=True)
        make_smaller(path)


def make_smaller(picture: Path) -> None:
    """A quarter of the bytes by a palette of 192 colours, where Pillow is installed."""
    try:
        from PIL import Image
    except ImportError:
        return
    with Image.open(picture) as full:
        palette = full.convert("RGB").quantize(192, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    palette.save(picture, optimize=True)


def accept(data_dir: Path) -> None:
    """Say once that data of unknown origin may be used, as ``--allow-unverified`` does."""
    store.load("cifar10", data_dir, allow_unverified=True)


async def photograph(options: argparse.Namespace, scratch: Path) -> list[Path]:
    """Run the tour in a fresh app."""
    options.out.mkdir(parents=True, exist_ok=True)
    settings = Settings.load(scratch / "settings.toml")
    # The pictures show a home of their own, and commands that need not name the folders.
    runs = scratch / ".local" / "share" / "cifar-tui" / "runs"
    os.environ |= {
        "HOME": str(scratch),
        "CIFAR_TUI_DATA_DIR": str(options.data_dir),
        "CIFAR_TUI_RUNS_DIR": str(runs),
    }
    app = CifarTuiApp(settings=settings, first_start=False)
    palettes = themes.NAMES if options.all_themes else (themes.DARK, themes.LIGHT)
    async with app.run_test(size=SIZE) as pilot:
        photos = Photographer(pilot, options.out, options.size or [SIZE], tuple(palettes))
        await tour(photos)
        return photos.taken


def size(text: str) -> tuple[int, int]:
    """``120x40`` as numbers."""
    columns, rows = text.split("x")
    return int(columns), int(rows)


def main() -> None:
    """Parse, photograph, convert."""
    parser = argparse.ArgumentParser(description="Write pictures of the app.")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "screenshots")
    parser.add_argument("--size", type=size, action="append", help="COLUMNSxROWS, repeatable")
    parser.add_argument("--all-themes", action="store_true")
    options = parser.parse_args()
    accept(options.data_dir)
    with tempfile.TemporaryDirectory() as scratch:
        pictures = asyncio.run(photograph(options, Path(scratch)))
    to_png(pictures)
    print(f"{len(pictures)} pictures in {options.out}")


if __name__ == "__main__":
    main()
