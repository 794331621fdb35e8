"""The foot of the recipe form: the command line or what is wrong, the cost, and the buttons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Static

from cifar_tui.text import safe_text
from cifar_tui.tui.widgets.cost import CostLine
from cifar_tui.tui.widgets.recipe_controls import KeyButton

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from cifar_tui.tui.widgets.cost import Cost
    from cifar_tui.tui.widgets.form_state import FormState

COMMAND_LIMIT = 2000
IDLE_BUTTONS = (
    ("^s", "Start", "start", "-primary", "Train this recipe"),
    ("^o", "Load", "load_file", "", "Load a recipe from a TOML file"),
    ("^t", "Save", "save_file", "", "Save this recipe as a TOML file"),
)
LIVE_BUTTONS = (
    ("space", "Pause", "app.pause", "-primary", "Pause or go on"),
    ("s", "Stop", "app.stop", "", "Stop the training and save"),
    ("c", "Checkpoint", "app.checkpoint_now", "", "Save a checkpoint now"),
)


class CommandLine(Static):
    """The command line that trains the same; a click copies it. While something is wrong: what."""

    ALLOW_SELECT = False

    def __init__(self) -> None:
        super().__init__("", id="recipe-command")
        self._shown: tuple[str, str] | None = None

    def show(self, text: str, style: str) -> None:
        """Show a text in a style, wrapped."""
        if (text, style) != self._shown:
            self._shown = (text, style)
            self.update(Content.styled(text, style))


class RecipeFoot(Vertical):
    """What stays in sight below the fields."""

    def compose(self) -> ComposeResult:
        """Command line, cost, and the buttons for an idle form."""
        yield CommandLine()
        yield CostLine(id="recipe-cost")
        with Horizontal(id="recipe-buttons"):
            yield from self._buttons(IDLE_BUTTONS, "-idle")

    @staticmethod
    def _buttons(table: tuple[tuple[str, str, str, str, str], ...], kind: str) -> list[KeyButton]:
        buttons = []
        for key, title, action, classes, tip in table:
            name = f"recipe-{title.lower()}"
            button = KeyButton(key, title, action, id=name, classes=f"{kind} {classes}")
            button.tooltip = tip
            buttons.append(button)
        return buttons

    def show(self, state: FormState, cost: Cost) -> None:
        """Show what the form holds."""
        line = self.query_one(CommandLine)
        wrong = state.first_error()
        if wrong is None:
            command = safe_text(state.command(), COMMAND_LIMIT)
            fits = len(command) <= self.size.width
            line.show(command if fits else command.removeprefix("cifar-tui "), "$muted")
            line.tooltip = "Click, ctrl+y or y: copy the command line"
        else:
            name, problem = wrong
            prefix = f"{name}: " if name and not problem.reason.startswith(name) else ""
            line.show(f"✕ {prefix}{safe_text(problem.reason, 300)}", "$bad")
            line.tooltip = "Click: go to the field"
        self.query_one(CostLine).show(cost)
        self.query_one("#recipe-start", KeyButton).set_class(wrong is not None, "-blocked")

    async def show_running(self, running: bool, paused: bool) -> None:
        """Buttons for a running training, or for an idle form."""
        row = self.query_one("#recipe-buttons", Horizontal)
        if running and not row.query(".-live"):
            await row.mount_all(self._buttons(LIVE_BUTTONS, "-live"))
        for button in row.query(KeyButton):
            button.display = button.has_class("-live") == running
        if running:
            row.query_one("#recipe-pause", KeyButton).rename("Resume" if paused else "Pause")
