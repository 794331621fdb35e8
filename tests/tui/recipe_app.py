"""An app that holds only the recipe form, and what the tests of it share."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual.app import App, ComposeResult
from textual.message import Message
from textual.pilot import Pilot

import cifar_tui.tui
from cifar_tui.tui import theme
from cifar_tui.tui.messages import CopyRequested, FormChanged, StartRequested
from cifar_tui.tui.settings import Settings
from cifar_tui.tui.widgets.recipe_controls import GroupTitle
from cifar_tui.tui.widgets.recipe_form import RecipeForm

PANE = (41, 21)  # of the dashboard at 120 by 40
STYLES = Path(cifar_tui.tui.__file__).parent / "styles"


class RecipeApp(App[None]):
    CSS_PATH: ClassVar[list[Path]] = [STYLES / "recipe.tcss"]

    def __init__(self, runs_dir: Path | None = None, settings: Settings | None = None) -> None:
        super().__init__()
        self.runs_dir = runs_dir
        self.settings = settings
        self.posted: list[Message] = []
        self.ran: list[str] = []
        self.register_theme(theme.build(theme.DARK))
        self.theme = theme.DARK

    def compose(self) -> ComposeResult:
        yield RecipeForm(self.settings)

    @property
    def form(self) -> RecipeForm:
        return self.query_one(RecipeForm)

    def on_form_changed(self, message: FormChanged) -> None:
        self.posted.append(message)

    def on_start_requested(self, message: StartRequested) -> None:
        self.posted.append(message)

    def on_copy_requested(self, message: CopyRequested) -> None:
        self.posted.append(message)

    def action_pause(self) -> None:
        self.ran.append("pause")

    def action_stop(self) -> None:
        self.ran.append("stop")

    def of(self, kind: type[Message]) -> list[Message]:
        return [message for message in self.posted if isinstance(message, kind)]


def lines(app: App[None]) -> list[str]:
    """What is on the screen, line by line."""
    strips = app.screen._compositor.render_strips()
    return ["".join(segment.text for segment in strip).rstrip() for strip in strips]


def line_of(app: App[None], word: str) -> str:
    """The first line with a word; fails when no line has it."""
    found = [line for line in lines(app) if word in line]
    assert found, f"{word!r} is not on the screen:\n" + "\n".join(lines(app))
    return found[0]


async def ready(pilot: Pilot[None]) -> None:
    """Wait until the rows are there."""
    for _ in range(200):
        await pilot.pause(0.01)
        if pilot.app.query("#learning_rate"):
            break
    await pilot.pause()


async def type_into(pilot: Pilot[None], field: str, text: str) -> None:
    """Focus a field, replace its text by typing."""
    editor = pilot.app.query_one(f"#{field}")
    editor.focus()
    await pilot.pause()
    await pilot.press("end", "ctrl+u")
    for character in text:
        await pilot.press({".": "full_stop", "-": "minus", "_": "underscore"}.get(character, character))
    await pilot.pause()


async def unfold(pilot: Pilot[None], section: str, *, more: bool = False) -> None:
    """Turn a group over."""
    title = pilot.app.query_one(f"#{'more' if more else 'group'}-{section}", GroupTitle)
    title.focus()
    await pilot.press("enter")
    await pilot.pause()
