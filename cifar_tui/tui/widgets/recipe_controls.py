"""Small controls of the recipe form: a button of one row, and the head of a group that folds."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from cifar_tui.text import safe_text

if TYPE_CHECKING:
    from textual import events
    from textual.geometry import Size


class KeyButton(Widget, can_focus=True):
    """A button of one row: a key and a word. Who holds it runs its action."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "press", "Press", show=False)]
    ALLOW_SELECT = False

    def __init__(self, key: str, title: str, action: str, *, id: str, classes: str = "") -> None:
        super().__init__(id=id, classes=f"key-button {classes}")
        self.key = key
        self.title = title
        self.action = action

    def get_content_width(self, container: Size, viewport: Size) -> int:  # noqa: ARG002
        """Key, word and a blank at each side."""
        return len(self.key) + bool(self.key) + len(self.title) + 2

    def render(self) -> Content:
        """The key in the accent colour, the word beside it."""
        colour = "" if self.has_class("-primary") else "$accent"
        key = [(f"{self.key} ", f"bold {colour}".strip())] if self.key else []
        return Content.assemble(" ", *key, self.title, " ")

    class Pressed(Message):
        """The button was pressed."""

        def __init__(self, button: KeyButton) -> None:
            super().__init__()
            self.button = button

    def rename(self, title: str) -> None:
        """Show another word."""
        if title != self.title:
            self.title = title
            self.refresh(layout=True)

    def action_press(self) -> None:
        """Press it."""
        if not self.is_disabled:
            self.post_message(self.Pressed(self))

    def on_click(self, event: events.Click) -> None:
        """Press it."""
        event.stop()
        self.action_press()


class GroupTitle(Widget, can_focus=True):
    """The head of a group that folds: an arrow, its name, and at the right what is in it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter", "turn", "Fold, unfold", id="recipe.fold", tooltip="Show or hide the fields of a group"
        ),
        Binding("right", "fold(True)", "Unfold", show=False),
        Binding("left", "fold(False)", "Fold", show=False),
    ]
    ALLOW_SELECT = False

    class Toggled(Message):
        """The group was folded or unfolded."""

        def __init__(self, title: GroupTitle) -> None:
            super().__init__()
            self.title = title

    def __init__(self, section: str, title: str, *, is_more: bool = False) -> None:
        super().__init__(id=f"{'more' if is_more else 'group'}-{section}", classes="group-title")
        self.section = section
        self.title = title
        self.is_more = is_more
        self.is_open = False
        self.summary = ""
        self.changed = 0
        self.wrong = 0
        self.tooltip = "Click or enter: fold and unfold"

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002
        """One line."""
        return 1

    def show(self, title: str, summary: str, changed: int, wrong: int) -> None:
        """Show what the group holds."""
        if (title, summary, changed, wrong) != (self.title, self.summary, self.changed, self.wrong):
            self.title, self.summary, self.changed, self.wrong = title, summary, changed, wrong
            self.refresh()

    def render(self) -> Content:
        """One line."""
        width = self.size.width
        arrow = ("  " if self.is_more else "") + ("▾ " if self.is_open else "▸ ")
        side, colour = self.summary, "$muted"
        if self.wrong:
            side, colour = f"✕ {self.wrong} wrong", "$bad"
        elif self.changed:
            side, colour = f"● {self.changed} changed", "$warning"
        elif self.is_open:
            side = ""
        side = safe_text(side, max(1, width - len(arrow) - len(self.title) - 1)) if side else ""
        gap = " " * max(1, width - len(arrow) - len(self.title) - len(side))
        weight = "$muted" if self.is_more else ("bold" if self.is_open else "")
        return Content.assemble((arrow, "$accent"), (self.title, weight), gap, (side, colour))

    def action_turn(self) -> None:
        """Fold or unfold."""
        self.action_fold(not self.is_open)

    def action_fold(self, is_open: bool) -> None:
        """Fold (False) or unfold (True)."""
        if is_open != self.is_open:
            self.is_open = is_open
            self.refresh()
            self.post_message(self.Toggled(self))

    def on_click(self, event: events.Click) -> None:
        """Fold or unfold."""
        event.stop()
        self.focus()
        self.action_turn()
