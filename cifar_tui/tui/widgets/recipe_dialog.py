"""Asks for the name of a recipe file to load or save; what goes wrong is said in the dialog."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Input, Static

from cifar_tui.errors import CifarTuiError, UsageError
from cifar_tui.text import safe_text
from cifar_tui.tui.screens.modal import Modal
from cifar_tui.tui.widgets.fields import TEXT_LIMIT
from cifar_tui.tui.widgets.recipe_controls import KeyButton
from cifar_tui.tui.widgets.recipe_files import path_of

if TYPE_CHECKING:
    from textual.app import ComposeResult


class PathDialog(Modal[Path | None]):
    """A name, a line for what is wrong, and two buttons. Its result is the path, or None.

    `act` does the work while the dialog is open, and raises `CifarTuiError` when it fails; the dialog then
    stays with the name and the error.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "Cancel", id="recipe.dialog.cancel")]
    DEFAULT_CLASSES = "recipe-dialog"

    def __init__(self, title: str, verb: str, path: str, act: Callable[[Path], None], *, ask: bool) -> None:
        super().__init__()
        self._title = title
        self._verb = verb
        self._path = path
        self._act = act
        self._ask = ask
        self._asked: Path | None = None

    def compose(self) -> ComposeResult:
        """The dialog."""
        with Vertical(id="recipe-dialog-box") as box:
            box.border_title = self._title
            yield Static(Content.styled("TOML file, as cifar-tui train --config takes it", "$muted"))
            yield Input(self._path, id="recipe-path", compact=True, max_length=TEXT_LIMIT)
            yield Static("", id="recipe-dialog-error")
            with Horizontal():
                yield KeyButton("enter", self._verb, "screen.accept", id="dialog-accept", classes="-primary")
                yield KeyButton("esc", "Cancel", "screen.cancel", id="dialog-cancel")

    @on(Input.Submitted)
    def action_accept(self) -> None:
        """Do it; ask once more before a file is replaced."""
        try:
            path = path_of(self.query_one("#recipe-path", Input).value)
            if self._ask and self._asked != path and self._exists(path):
                self._asked = path
                self._say(f"{safe_text(path, 200)} exists. Press enter again to replace it.", "$warning")
                return
            self._act(path)
        except CifarTuiError as error:
            hint = f"\n{safe_text(error.hint, 200)}" if error.hint else ""
            self._say(f"✕ {safe_text(error.message, 400)}{hint}", "$bad")
            return
        self.dismiss(path)

    @on(KeyButton.Pressed)
    async def _pressed(self, event: KeyButton.Pressed) -> None:
        event.stop()
        await self.run_action(event.button.action)

    @on(Input.Changed)
    def _edited(self) -> None:
        self._asked = None
        self._say("", "")

    @staticmethod
    def _exists(path: Path) -> bool:
        try:
            return path.exists()
        except (OSError, ValueError) as error:
            raise UsageError(f"no file can have this name: {safe_text(error, 200)}") from None

    def _say(self, text: str, style: str) -> None:
        self.query_one("#recipe-dialog-error", Static).update(Content.styled(text, style) if text else "")

    def action_cancel(self) -> None:
        """Close the dialog; nothing is changed."""
        self.dismiss(None)
